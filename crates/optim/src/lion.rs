//! Lion: the sign of a momentum.

use crate::error::below_one;
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, momentum_is_beta1, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// Sign descent with two momenta; see [`LionConfig`].
pub type Lion = Fused<LionConfig>;

/// Hyper-parameters of [`Lion`].
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// w <- w - lr * sign(beta1 * m + (1 - beta1) * g)
/// m <- beta2 * m + (1 - beta2) * g
/// ```
///
/// Every element moves by the learning rate, or not at all. The authors use a learning rate 3 to 10 times smaller than AdamW's, and a decay
/// larger by the same factor. The state is half of AdamW's.
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-4 | step length | `[0, inf)` |
/// | `beta1` | 0.9 | weight of the momentum in a step; set by a momentum schedule | `[0, 1)` |
/// | `beta2` | 0.99 | decay rate of the momentum | `[0, 1)` |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match the paper's algorithm and the package `lion-pytorch`; PyTorch has no Lion. The sign of a NaN counts as 0:
/// detect NaN with [`Gradients::check_finite`].
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lion, LionConfig, Optimizer};
///
/// let w = Var::new(&[1f32, -1.0, 0.0], &Device::Cpu)?;
/// let mut lion = Lion::new([("w", w.clone())], LionConfig { learning_rate: 0.25, ..LionConfig::default() })?;
/// lion.step(&w.sqr()?.sum_all()?.backward()?)?;
/// assert_eq!(w.to_vec1::<f32>()?, [0.75, -0.75, 0.0]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Chen et al.: *Symbolic Discovery of Optimization Algorithms*, 2023, [arXiv:2302.06675](https://arxiv.org/abs/2302.06675).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LionConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Weight of the momentum in a step.
    pub beta1: f64,
    /// Decay rate of the momentum.
    pub beta2: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for LionConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(LionConfig);

/// One Lion update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct LionUpdate {
    penalty: f64,
    shrinkage: f64,
    /// Weights of momentum and gradient in the step.
    by_momentum: f64,
    by_gradient: f64,
    keep: f64,
    take: f64,
    learning_rate: f64,
}

impl Rule for LionConfig {
    const NAME: &'static str = "lion";
    type Update = LionUpdate;

    usual_fields!();
    momentum_is_beta1!();

    fn validate(&self) -> Result<()> {
        below_one("beta1", self.beta1)?;
        below_one("beta2", self.beta2)?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["momentum"]
    }

    fn update(&self, _clock: &Clock, scales: Scales) -> LionUpdate {
        let learning_rate = self.learning_rate * scales.learning_rate;
        LionUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, learning_rate),
            by_momentum: self.beta1,
            by_gradient: 1.0 - self.beta1,
            keep: self.beta2,
            take: 1.0 - self.beta2,
            learning_rate,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &LionUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let direction = state[0].clone().scale(u.by_momentum) + g.clone().scale(u.by_gradient);
        state[0] = state[0].clone().scale(u.keep) + g.scale(u.take);
        (w - direction.signum().scale(u.learning_rate), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("beta2", self.beta2);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
