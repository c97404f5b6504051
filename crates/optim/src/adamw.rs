//! Adam and AdamW.

use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, momentum_is_beta1, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// AdamW (decoupled decay) and Adam (L2 decay or none); see [`AdamWConfig`].
pub type AdamW = Fused<AdamWConfig>;

/// Hyper-parameters of [`AdamW`].
///
/// At the t-th update (from 1), with gradient `g` and learning rate `lr`:
///
/// ```text
/// w <- w * (1 - lr * decay)                     (decoupled)      g <- g + decay * w   (L2)
/// m <- beta1 * m + (1 - beta1) * g;             v <- beta2 * v + (1 - beta2) * g^2
/// x <- max(x, v) with AMSGrad, else v
/// w <- w - lr / (1 - beta1^t) * m / (sqrt(x) / sqrt(1 - beta2^t) + epsilon)
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-3 | step length | `[0, inf)` |
/// | `beta1` | 0.9 | decay rate of the first moment; set by a momentum schedule | `[0, 1)` |
/// | `beta2` | 0.999 | decay rate of the second moment | `[0, 1)` |
/// | `epsilon` | 1e-8 | added to the square root; at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `amsgrad` | false | divide by the largest second moment so far | |
/// | `weight_decay` | `Decoupled(0.01)` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.AdamW` (`Adam` with [`WeightDecay::L2`]). Like PyTorch, AMSGrad keeps the largest
/// *uncorrected* second moment; the paper has no correction. Each parameter counts its own updates.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{AdamW, AdamWConfig};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let config = AdamWConfig { learning_rate: 0.1, ..AdamWConfig::adam() };
/// let mut adam = AdamW::new([("w", w.clone())], config)?;
/// adam.backward_step(&w.affine(7.0, 0.0)?.sum_all()?)?;
/// // The first step has the length of the learning rate, whatever the gradient.
/// assert!((w.to_vec1::<f64>()?[0] - 0.9).abs() < 1e-9);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Kingma, Ba: *Adam*, 2015, [arXiv:1412.6980](https://arxiv.org/abs/1412.6980). Loshchilov, Hutter: *Decoupled Weight Decay
/// Regularization*, 2019, [arXiv:1711.05101](https://arxiv.org/abs/1711.05101). Reddi, Kale, Kumar: *On the Convergence of Adam and Beyond*, 2018,
/// [arXiv:1904.09237](https://arxiv.org/abs/1904.09237).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct AdamWConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Divide by the largest second moment so far.
    pub amsgrad: bool,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            amsgrad: false,
            weight_decay: WeightDecay::Decoupled(0.01),
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(AdamWConfig);

impl AdamWConfig {
    /// Adam: the defaults without decay.
    pub fn adam() -> Self {
        Self { weight_decay: WeightDecay::None, ..Self::default() }
    }
}

/// One Adam update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct AdamUpdate {
    penalty: f64,
    shrinkage: f64,
    /// `1 - beta1`, `beta2` and `1 - beta2`.
    first: f64,
    keep: f64,
    second: f64,
    /// `lr / (1 - beta1^t)` and `1 / sqrt(1 - beta2^t)`.
    step: f64,
    root: f64,
    epsilon: f64,
}

impl Rule for AdamWConfig {
    const NAME: &'static str = "adamw";
    type Update = AdamUpdate;

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
        let mut slots = vec!["first_moment", "second_moment"];
        if self.amsgrad {
            slots.push("largest_second_moment");
        }
        slots
    }

    fn second_moment(&self) -> Option<usize> {
        Some(1)
    }

    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((self.beta1, self.beta2))
    }

    fn update(&self, clock: &Clock, scales: Scales) -> AdamUpdate {
        let lr = self.learning_rate * scales.learning_rate;
        let (correction_1, correction_2) = clock.corrections(self.beta1, self.beta2);
        AdamUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, lr),
            first: 1.0 - self.beta1,
            keep: self.beta2,
            second: 1.0 - self.beta2,
            step: lr / correction_1,
            root: 1.0 / correction_2.sqrt(),
            epsilon: self.epsilon,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &AdamUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        // Written as a step towards the gradient: exact if the average already equals it.
        let m = state[0].clone() + (g.clone() - state[0].clone()).scale(u.first);
        let v = state[1].clone().scale(u.keep) + (g.clone() * g).scale(u.second);
        state[0] = m.clone();
        state[1] = v.clone();
        let mut divisor = v;
        if N > 2 {
            divisor = divisor.maximum(state[2].clone());
            state[2] = divisor.clone();
        }
        (w - m.scale(u.step) / divisor.sqrt().scale(u.root).offset(u.epsilon), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("beta2", self.beta2);
        settings.set("epsilon", self.epsilon);
        settings.set("amsgrad", self.amsgrad);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
