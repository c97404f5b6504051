//! RMSProp.

use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// RMSProp, plain, centred and with momentum; see [`RmsPropConfig`].
pub type RmsProp = Fused<RmsPropConfig>;

/// Hyper-parameters of [`RmsProp`].
///
/// With gradient `g`, smoothing `a`, momentum `mu` and learning rate `lr`:
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// v <- a * v + (1 - a) * g^2
/// n <- a * n + (1 - a) * g;  x = v - n^2        (centred; else x = v)
/// d = g / (sqrt(x) + epsilon)
/// b <- mu * b + d;  w <- w - lr * b             (momentum; else w <- w - lr * d)
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-2 | step length | `[0, inf)` |
/// | `smoothing` | 0.99 | decay rate of the averages (PyTorch's `alpha`) | `[0, 1)` |
/// | `epsilon` | 1e-8 | added to the square root (TensorFlow adds it inside the root); at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `momentum` | `None` | `None` has no buffer and cannot be scheduled | `[0, 1)` |
/// | `centered` | false | divide by the standard deviation | |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.RMSprop`. Rounding can make `v - n^2` slightly negative, which PyTorch turns into a NaN;
/// here the difference is clamped to at least 0.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{RmsProp, RmsPropConfig};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let mut optimizer = RmsProp::new([("w", w.clone())], RmsPropConfig::default())?;
/// optimizer.backward_step(&w.affine(7.0, 0.0)?.sum_all()?)?;
/// // v = 0.01 * 49, so the first step is lr * 7 / 0.7.
/// assert!((w.to_vec1::<f64>()?[0] - 0.9).abs() < 1e-8);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Tieleman, Hinton: lecture 6.5 of *Neural Networks for Machine Learning*, 2012. Graves: *Generating Sequences With Recurrent Neural
/// Networks*, 2013, [arXiv:1308.0850](https://arxiv.org/abs/1308.0850) (centred).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RmsPropConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay rate of the averages.
    pub smoothing: f64,
    /// Added to the square root.
    pub epsilon: f64,
    /// Momentum of the normalised steps.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub momentum: Option<f64>,
    /// Divide by the standard deviation instead of the root mean square.
    pub centered: bool,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for RmsPropConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            smoothing: 0.99,
            epsilon: 1e-8,
            momentum: None,
            centered: false,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(RmsPropConfig);

/// One RMSProp update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct RmsPropUpdate {
    penalty: f64,
    shrinkage: f64,
    keep: f64,
    take: f64,
    epsilon: f64,
    momentum: f64,
    learning_rate: f64,
    centered: bool,
}

impl Rule for RmsPropConfig {
    const NAME: &'static str = "rmsprop";
    type Update = RmsPropUpdate;

    usual_fields!();

    fn validate(&self) -> Result<()> {
        below_one("smoothing", self.smoothing)?;
        not_negative("epsilon", self.epsilon)?;
        self.momentum.map_or(Ok(()), |momentum| below_one("momentum", momentum))?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn momentum(&self) -> Option<f64> {
        self.momentum
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.momentum = Some(momentum);
    }

    fn slots(&self) -> Vec<&'static str> {
        let mut slots = vec!["square_average"];
        if self.centered {
            slots.push("average");
        }
        if self.momentum.is_some() {
            slots.push("momentum");
        }
        slots
    }

    fn second_moment(&self) -> Option<usize> {
        Some(0)
    }

    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((self.smoothing, self.smoothing))
    }

    fn update(&self, _clock: &Clock, scales: Scales) -> RmsPropUpdate {
        let learning_rate = self.learning_rate * scales.learning_rate;
        RmsPropUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, learning_rate),
            keep: self.smoothing,
            take: 1.0 - self.smoothing,
            epsilon: self.epsilon,
            momentum: self.momentum.unwrap_or(0.0),
            learning_rate,
            centered: self.centered,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &RmsPropUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let v = state[0].clone().scale(u.keep) + (g.clone() * g.clone()).scale(u.take);
        state[0] = v.clone();
        let mut divisor = v;
        if N > 1 && u.centered {
            let n = state[1].clone() + (g.clone() - state[1].clone()).scale(u.take);
            state[1] = n.clone();
            let variance = divisor - n.clone() * n;
            // In this order an infinite variance, of which 0 times is a NaN, stays infinite, and a NaN stays a NaN.
            divisor = variance.clone().scale(0.0).maximum(variance);
        }
        let step = g / divisor.sqrt().offset(u.epsilon);
        if N == 3 || (N == 2 && !u.centered) {
            let buffer = state[N - 1].clone().scale(u.momentum) + step;
            state[N - 1] = buffer.clone();
            return (w - buffer.scale(u.learning_rate), state);
        }
        (w - step.scale(u.learning_rate), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("smoothing", self.smoothing);
        settings.set("epsilon", self.epsilon);
        settings.set("has_momentum", self.momentum.is_some());
        settings.set("centered", self.centered);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
