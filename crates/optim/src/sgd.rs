//! Stochastic gradient descent.

use crate::error::{at_most_one, below_one};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// Stochastic gradient descent with momentum; see [`SgdConfig`].
pub type Sgd = Fused<SgdConfig>;

/// Hyper-parameters of [`Sgd`].
///
/// With gradient `g`, weight `w`, momentum `mu`, dampening `d` and learning rate `lr`, one step is
///
/// ```text
/// g <- g + decay * w                            (L2 decay)
/// b <- g at the first step, mu * b + (1 - d) * g after
/// w <- w * (1 - lr * decay)                     (decoupled decay)
/// w <- w - lr * g        without momentum
///      w - lr * b        classical
///      w - lr * (g + mu * b)   Nesterov
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-3 | step length | `[0, inf)` |
/// | `momentum` | `None` | [`Momentum`] | |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups` | none | [`Group`]s with other scales | |
/// | `gradients` | as they are | [`Gradients`]: clipping, check | |
///
/// Arithmetic and defaults match `torch.optim.SGD`; decoupled decay is an addition. Nesterov with dampening, which PyTorch refuses, cannot
/// be expressed.
///
/// # Errors
/// [`Sgd::new`](Fused::new) reports a value out of range.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Momentum, Sgd, SgdConfig};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let config = SgdConfig { learning_rate: 0.5, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
/// let mut sgd = Sgd::new([("w", w.clone())], config)?;
/// for _ in 0..2 {
///     sgd.backward_step(&w.sum_all()?)?;
/// }
/// // b = 1, then 1.5: 3 - 0.5 * 1 - 0.5 * 1.5
/// assert_eq!(w.to_vec1::<f32>()?, [1.75]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Sutskever, Martens, Dahl, Hinton: *On the importance of initialization and momentum in deep learning*, 2013.
/// PyTorch applies the learning rate after the momentum, the paper before it; they differ when the rate changes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SgdConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Momentum.
    pub momentum: Momentum,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            momentum: Momentum::None,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(SgdConfig);

/// Momentum of [`Sgd`], in `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub enum Momentum {
    /// No momentum and no buffer; momentum cannot be scheduled.
    #[default]
    None,
    /// The step is the running sum of gradients.
    Classical {
        /// The factor on the buffer at each step.
        momentum: f64,
        /// How much of each gradient but the first is kept out of the buffer, in `[0, 1]`; without effect at momentum 0.
        #[cfg_attr(feature = "serde", serde(default))]
        dampening: f64,
    },
    /// The step looks ahead by one application of the momentum.
    Nesterov {
        /// The factor on the buffer at each step.
        momentum: f64,
    },
}

impl Momentum {
    /// Classical momentum without dampening.
    pub fn classical(momentum: f64) -> Self {
        Self::Classical { momentum, dampening: 0.0 }
    }

    /// Nesterov momentum.
    pub fn nesterov(momentum: f64) -> Self {
        Self::Nesterov { momentum }
    }
}

/// One SGD update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct SgdUpdate {
    penalty: f64,
    shrinkage: f64,
    /// The buffer becomes `keep * buffer + take * gradient`.
    keep: f64,
    take: f64,
    /// The step is `by_gradient * gradient + by_buffer * buffer`; both include the learning rate.
    by_gradient: f64,
    by_buffer: f64,
}

impl Rule for SgdConfig {
    const NAME: &'static str = "sgd";
    type Update = SgdUpdate;

    usual_fields!();

    fn validate(&self) -> Result<()> {
        let (momentum, dampening) = match self.momentum {
            Momentum::None => (0.0, 0.0),
            Momentum::Classical { momentum, dampening } => (momentum, dampening),
            Momentum::Nesterov { momentum } => (momentum, 0.0),
        };
        below_one("momentum", momentum)?;
        at_most_one("dampening", dampening)?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn momentum(&self) -> Option<f64> {
        match self.momentum {
            Momentum::None => None,
            Momentum::Classical { momentum, .. } | Momentum::Nesterov { momentum } => Some(momentum),
        }
    }

    fn set_momentum(&mut self, value: f64) {
        match &mut self.momentum {
            Momentum::None => {}
            Momentum::Classical { momentum, .. } | Momentum::Nesterov { momentum } => *momentum = value,
        }
    }

    fn slots(&self) -> Vec<&'static str> {
        if self.momentum == Momentum::None { vec![] } else { vec!["momentum"] }
    }

    fn update(&self, clock: &Clock, scales: Scales) -> SgdUpdate {
        let lr = self.learning_rate * scales.learning_rate;
        let (keep, take, by_gradient, by_buffer) = match self.momentum {
            Momentum::None => (0.0, 0.0, lr, 0.0),
            // Without momentum nothing is damped either, as in PyTorch.
            Momentum::Classical { momentum: 0.0, .. } => (0.0, 1.0, 0.0, lr),
            Momentum::Classical { momentum, dampening } => (momentum, 1.0 - dampening, 0.0, lr),
            Momentum::Nesterov { momentum } => (momentum, 1.0, lr, lr * momentum),
        };
        SgdUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, lr),
            keep,
            // The first gradient fills the buffer undamped, as in PyTorch.
            take: if clock.is_first() { 1.0 } else { take },
            by_gradient,
            by_buffer,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &SgdUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        if N == 0 {
            return (w - g.scale(u.by_gradient), state);
        }
        let buffer = state[0].clone().scale(u.keep) + g.clone().scale(u.take);
        state[0] = buffer.clone();
        (w - (g.scale(u.by_gradient) + buffer.scale(u.by_buffer)), state)
    }

    fn settings(&self, settings: &mut Settings) {
        let momentum = match self.momentum {
            Momentum::None => "none".to_string(),
            Momentum::Classical { dampening, .. } => format!("classical, dampening {dampening}"),
            Momentum::Nesterov { .. } => "nesterov".to_string(),
        };
        settings.set("momentum", momentum);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
