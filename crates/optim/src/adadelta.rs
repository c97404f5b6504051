//! Adadelta.

use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// Scales gradients by past step lengths over past gradients; see [`AdadeltaConfig`].
pub type Adadelta = Fused<AdadeltaConfig>;

/// Hyper-parameters of [`Adadelta`].
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// v <- smoothing * v + (1 - smoothing) * g^2
/// d <- g * sqrt(u + epsilon) / sqrt(v + epsilon)
/// u <- smoothing * u + (1 - smoothing) * d^2
/// w <- w - lr * d
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1 | multiplies the step | `[0, inf)` |
/// | `smoothing` | 0.9 | decay rate of both averages | `[0, 1)` |
/// | `epsilon` | 1e-6 | added inside both square roots; the first steps are about `sqrt(epsilon)` long | `[0, inf)` |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.Adadelta` (`smoothing` is its `rho`); decoupled decay is an addition. There is no momentum to
/// schedule.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Adadelta, AdadeltaConfig, Optimizer};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let config = AdadeltaConfig { smoothing: 0.75, epsilon: 1.0, ..AdadeltaConfig::default() };
/// let mut adadelta = Adadelta::new([("w", w.clone())], config)?;
/// adadelta.step(&w.affine(4.0, 0.0)?.sum_all()?.backward()?)?;
/// // v = 16 / 4, d = 4 * 1 / sqrt(5)
/// assert!((w.to_vec1::<f64>()?[0] - (1.0 - 4.0 / 5f64.sqrt())).abs() < 1e-12);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Zeiler: *ADADELTA: An Adaptive Learning Rate Method*, 2012, [arXiv:1212.5701](https://arxiv.org/abs/1212.5701).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct AdadeltaConfig {
    /// Multiplies the step.
    pub learning_rate: f64,
    /// Decay rate of both averages.
    #[doc(alias = "rho")]
    pub smoothing: f64,
    /// Added inside both square roots.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for AdadeltaConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1.0,
            smoothing: 0.9,
            epsilon: 1e-6,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(AdadeltaConfig);

/// One Adadelta update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct AdadeltaUpdate {
    penalty: f64,
    shrinkage: f64,
    keep: f64,
    take: f64,
    epsilon: f64,
    learning_rate: f64,
}

impl Rule for AdadeltaConfig {
    const NAME: &'static str = "adadelta";
    type Update = AdadeltaUpdate;

    usual_fields!();

    fn validate(&self) -> Result<()> {
        below_one("smoothing", self.smoothing)?;
        not_negative("epsilon", self.epsilon)?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["square_average", "square_average_of_steps"]
    }

    fn second_moment(&self) -> Option<usize> {
        Some(0)
    }

    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((self.smoothing, self.smoothing))
    }

    fn update(&self, _clock: &Clock, scales: Scales) -> AdadeltaUpdate {
        let learning_rate = self.learning_rate * scales.learning_rate;
        AdadeltaUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, learning_rate),
            keep: self.smoothing,
            take: 1.0 - self.smoothing,
            epsilon: self.epsilon,
            learning_rate,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &AdadeltaUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let v = state[0].clone().scale(u.keep) + (g.clone() * g.clone()).scale(u.take);
        state[0] = v.clone();
        let before = state[1].clone();
        // Two roots, as in PyTorch: a quotient under one would overflow for a tiny epsilon.
        let step = before.clone().offset(u.epsilon).sqrt() / v.offset(u.epsilon).sqrt() * g;
        state[1] = before.scale(u.keep) + (step.clone() * step.clone()).scale(u.take);
        (w - step.scale(u.learning_rate), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("smoothing", self.smoothing);
        settings.set("epsilon", self.epsilon);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
