//! Adagrad.

use crate::error::not_negative;
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// Divides steps by the root of the sum of all squared gradients; see [`AdagradConfig`].
pub type Adagrad = Fused<AdagradConfig>;

/// Hyper-parameters of [`Adagrad`].
///
/// At the t-th update (from 1):
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// s <- s + g^2
/// w <- w - lr / (1 + (t - 1) * learning_rate_decay) * g / (sqrt(initial_sum + s) + epsilon)
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-2 | step length | `[0, inf)` |
/// | `learning_rate_decay` | 0 | how fast the step length decays | `[0, inf)` |
/// | `initial_sum` | 0 | initial value of the sum of squares | `[0, inf)` |
/// | `epsilon` | 1e-10 | added to the square root; at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.Adagrad` (`lr_decay`, `initial_accumulator_value`); decoupled decay is an addition. There is
/// no momentum to schedule. The saved `sum_of_squares` excludes `initial_sum`.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Adagrad, AdagradConfig, Optimizer};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let config = AdagradConfig { learning_rate: 0.5, ..AdagradConfig::default() };
/// let mut adagrad = Adagrad::new([("w", w.clone())], config)?;
/// for slope in [3.0, 4.0] {
///     adagrad.step(&w.affine(slope, 0.0)?.sum_all()?.backward()?)?;
/// }
/// // 1 - 0.5 * 3 / 3 - 0.5 * 4 / 5
/// assert!((w.to_vec1::<f64>()?[0] - 0.1).abs() < 1e-9);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Duchi, Hazan, Singer: *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization*, 2011.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct AdagradConfig {
    /// Step length.
    pub learning_rate: f64,
    /// How fast the step length decays.
    #[doc(alias = "lr_decay")]
    pub learning_rate_decay: f64,
    /// Initial value of the sum of squares.
    #[doc(alias = "initial_accumulator_value")]
    pub initial_sum: f64,
    /// Added to the square root.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for AdagradConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            learning_rate_decay: 0.0,
            initial_sum: 0.0,
            epsilon: 1e-10,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(AdagradConfig);

/// One Adagrad update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct AdagradUpdate {
    penalty: f64,
    shrinkage: f64,
    initial_sum: f64,
    epsilon: f64,
    step: f64,
}

impl Rule for AdagradConfig {
    const NAME: &'static str = "adagrad";
    type Update = AdagradUpdate;

    usual_fields!();

    fn validate(&self) -> Result<()> {
        not_negative("learning_rate_decay", self.learning_rate_decay)?;
        not_negative("initial_sum", self.initial_sum)?;
        not_negative("epsilon", self.epsilon)?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["sum_of_squares"]
    }

    fn update(&self, clock: &Clock, scales: Scales) -> AdagradUpdate {
        let lr = self.learning_rate * scales.learning_rate;
        let before = clock.steps.saturating_sub(1) as f64;
        AdagradUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, lr),
            initial_sum: self.initial_sum,
            epsilon: self.epsilon,
            step: lr / (1.0 + before * self.learning_rate_decay),
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &AdagradUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let sum = state[0].clone() + g.clone() * g.clone();
        state[0] = sum.clone();
        (w - g.scale(u.step) / sum.offset(u.initial_sum).sqrt().offset(u.epsilon), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("learning_rate_decay", self.learning_rate_decay);
        settings.set("initial_sum", self.initial_sum);
        settings.set("epsilon", self.epsilon);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
