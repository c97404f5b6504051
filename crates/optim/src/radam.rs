//! RAdam, and Ranger: Lookahead around it.

use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::parameter::Variables;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, momentum_is_beta1, usual_fields};
use crate::{Gradients, Lookahead, LookaheadConfig, Result, WeightDecay};

/// Adam with a built-in warm-up; see [`RAdamConfig`].
pub type RAdam = Fused<RAdamConfig>;

/// Hyper-parameters of [`RAdam`].
///
/// Adam's second moment is a poor divisor while it averages few gradients. RAdam computes how many it is worth, `rho`. Until that exceeds
/// 5, steps use the momentum alone; after that they are Adam's, shortened by `r`. At the t-th update (from 1):
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// m <- beta1 * m + (1 - beta1) * g;             v <- beta2 * v + (1 - beta2) * g^2
/// rho_inf = 2 / (1 - beta2) - 1;                rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
/// r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
/// w <- w - lr / (1 - beta1^t) * m                                                    where rho <= 5
///      w - lr / (1 - beta1^t) * m * r * sqrt(1 - beta2^t) / (sqrt(v) + epsilon)      else
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-3 | step length | `[0, inf)` |
/// | `beta1` | 0.9 | decay rate of the first moment; set by a momentum schedule | `[0, 1)` |
/// | `beta2` | 0.999 | decay rate of the second moment | `[0, 1)` |
/// | `epsilon` | 1e-8 | added to the square root; at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.RAdam` (`Decoupled` is its `decoupled_weight_decay=True`). After Lookahead interpolates the
/// state, t is the number of updates that the moments are worth ([`Clock::updates`]).
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Optimizer, RAdam, RAdamConfig};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let config = RAdamConfig { learning_rate: 0.1, ..RAdamConfig::default() };
/// let mut radam = RAdam::new([("w", w.clone())], config)?;
/// radam.step(&w.affine(3.0, 0.0)?.sum_all()?.backward()?)?;
/// // The first steps follow the gradient: 1 - 0.1 * 3.
/// assert!((w.to_vec1::<f64>()?[0] - 0.7).abs() < 1e-12);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Liu, Jiang, He, Chen, Liu, Gao, Han: *On the Variance of the Adaptive Learning Rate and Beyond*, 2020,
/// [arXiv:1908.03265](https://arxiv.org/abs/1908.03265).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RAdamConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for RAdamConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(RAdamConfig);

/// One RAdam update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct RAdamUpdate {
    penalty: f64,
    shrinkage: f64,
    /// `1 - beta1`, `beta2` and `1 - beta2`.
    first: f64,
    keep: f64,
    second: f64,
    step: f64,
    epsilon: f64,
    rectified: bool,
}

impl Rule for RAdamConfig {
    const NAME: &'static str = "radam";
    type Update = RAdamUpdate;

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
        vec!["first_moment", "second_moment"]
    }

    fn second_moment(&self) -> Option<usize> {
        Some(1)
    }

    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((self.beta1, self.beta2))
    }

    fn update(&self, clock: &Clock, scales: Scales) -> RAdamUpdate {
        let lr = self.learning_rate * scales.learning_rate;
        let (correction_1, correction_2) = clock.corrections(self.beta1, self.beta2);
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let length = longest - 2.0 * clock.updates(self.beta2) * (1.0 - correction_2) / correction_2;
        let rectified = length > 5.0;
        let rectification = if rectified {
            let share = |length: f64| (length - 4.0) * (length - 2.0) / length;
            (share(length) / share(longest) * correction_2).sqrt()
        } else {
            1.0
        };
        RAdamUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, lr),
            first: 1.0 - self.beta1,
            keep: self.beta2,
            second: 1.0 - self.beta2,
            step: lr / correction_1 * rectification,
            epsilon: self.epsilon,
            rectified,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &RAdamUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let m = state[0].clone() + (g.clone() - state[0].clone()).scale(u.first);
        let v = state[1].clone().scale(u.keep) + (g.clone() * g).scale(u.second);
        state[0] = m.clone();
        state[1] = v.clone();
        let step = m.scale(u.step);
        (w - if u.rectified { step / v.sqrt().offset(u.epsilon) } else { step }, state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("beta2", self.beta2);
        settings.set("epsilon", self.epsilon);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}

/// Lookahead around RAdam; see [`RangerConfig`].
pub type Ranger = Lookahead<RAdam>;

/// Hyper-parameters of [`Ranger`]; [`build`](Self::build) makes the optimizer.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `inner` | `beta1` 0.95, `epsilon` 1e-5, otherwise RAdam's | [`RAdamConfig`] |
/// | `lookahead` | period 6, slow step size 0.5 | [`LookaheadConfig`] |
///
/// The defaults are those of the author's package; its later options (gradient centralisation, adaptive clipping, a flat-then-cosine
/// schedule inside the optimizer) are not included. In a file, fields omitted from a given table take RAdam's or Lookahead's own defaults.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Optimizer, RangerConfig};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let mut ranger = RangerConfig::default().build([("w", w.clone())])?;
/// ranger.step(&w.sqr()?.sum_all()?.backward()?)?;
/// assert_eq!(ranger.steps_since_sync(), Some(1));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Wright: *Ranger*, 2019, <https://github.com/lessw2020/Ranger-Deep-Learning-Optimizer>.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RangerConfig {
    /// The inner optimizer.
    pub inner: RAdamConfig,
    /// The settings of Lookahead.
    pub lookahead: LookaheadConfig,
}

impl Default for RangerConfig {
    fn default() -> Self {
        Self {
            inner: RAdamConfig { beta1: 0.95, epsilon: 1e-5, ..RAdamConfig::default() },
            lookahead: LookaheadConfig {
                sync_period: 6.into(),
                slow_step_size: 0.5.into(),
                ..LookaheadConfig::default()
            },
        }
    }
}

impl RangerConfig {
    /// Builds the optimizer of `variables` ([accepted forms](Variables)).
    ///
    /// # Errors
    /// As [`RAdam::new`](Fused::new) and [`Lookahead::new`].
    pub fn build(self, variables: impl Into<Variables>) -> Result<Ranger> {
        Lookahead::new(RAdam::new(variables, self.inner)?, self.lookahead)
    }
}
