//! Adamax: Adam with the largest gradient as divisor.

use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, momentum_is_beta1, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// Adam that divides by a decaying maximum; see [`AdamaxConfig`].
pub type Adamax = Fused<AdamaxConfig>;

/// Hyper-parameters of [`Adamax`].
///
/// At the t-th update (from 1):
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// m <- beta1 * m + (1 - beta1) * g;             u <- max(beta2 * u, |g| + epsilon)
/// w <- w - lr / (1 - beta1^t) * m / u
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 2e-3 | step length | `[0, inf)` |
/// | `beta1` | 0.9 | decay rate of the first moment; set by a momentum schedule | `[0, 1)` |
/// | `beta2` | 0.999 | decay rate of the maximum | `[0, 1)` |
/// | `epsilon` | 1e-8 | added to the gradient's magnitude; at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.Adamax`; decoupled decay is an addition.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Adamax, AdamaxConfig, Optimizer};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let config = AdamaxConfig { learning_rate: 0.1, beta1: 0.5, epsilon: 0.0, ..AdamaxConfig::default() };
/// let mut adamax = Adamax::new([("w", w.clone())], config)?;
/// for slope in [4.0, -2.0] {
///     adamax.step(&w.affine(slope, 0.0)?.sum_all()?.backward()?)?;
/// }
/// // m is 2, then 0, and m / u is 1 after correction in the first step.
/// assert!((w.to_vec1::<f64>()?[0] - 0.9).abs() < 1e-12);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Kingma, Ba: *Adam*, 2015, section 7, [arXiv:1412.6980](https://arxiv.org/abs/1412.6980).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct AdamaxConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the maximum.
    pub beta2: f64,
    /// Added to the gradient's magnitude.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for AdamaxConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(AdamaxConfig);

/// One Adamax update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct AdamaxUpdate {
    penalty: f64,
    shrinkage: f64,
    /// `1 - beta1`.
    first: f64,
    keep: f64,
    epsilon: f64,
    /// `lr / (1 - beta1^t)`.
    step: f64,
}

impl Rule for AdamaxConfig {
    const NAME: &'static str = "adamax";
    type Update = AdamaxUpdate;

    usual_fields!();
    momentum_is_beta1!();

    fn validate(&self) -> Result<()> {
        below_one("beta1", self.beta1)?;
        below_one("beta2", self.beta2)?;
        not_negative("epsilon", self.epsilon)?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["first_moment", "largest_gradient"]
    }

    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((self.beta1, self.beta2))
    }

    fn update(&self, clock: &Clock, scales: Scales) -> AdamaxUpdate {
        let lr = self.learning_rate * scales.learning_rate;
        AdamaxUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, lr),
            first: 1.0 - self.beta1,
            keep: self.beta2,
            epsilon: self.epsilon,
            step: lr / clock.corrections(self.beta1, self.beta2).0,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &AdamaxUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let m = state[0].clone() + (g.clone() - state[0].clone()).scale(u.first);
        let size = g.clone().maximum(g.scale(-1.0)).offset(u.epsilon);
        let largest = state[1].clone().scale(u.keep).maximum(size);
        state[0] = m.clone();
        state[1] = largest.clone();
        (w - m.scale(u.step) / largest, state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("beta2", self.beta2);
        settings.set("epsilon", self.epsilon);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
