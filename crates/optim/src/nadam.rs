//! NAdam: Adam with Nesterov's momentum.

use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, momentum_is_beta1, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// Adam with Nesterov's momentum; see [`NAdamConfig`].
pub type NAdam = Fused<NAdamConfig>;

/// Hyper-parameters of [`NAdam`].
///
/// At the t-th update (from 1), with `mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)` and `M(t) = mu(1) * ... * mu(t)`:
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// m <- beta1 * m + (1 - beta1) * g;             v <- beta2 * v + (1 - beta2) * g^2
/// w <- w - lr * (mu(t+1) * m / (1 - M(t+1)) + (1 - mu(t)) * g / (1 - M(t))) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 2e-3 | step length | `[0, inf)` |
/// | `beta1` | 0.9 | decay rate of the first moment; set by a momentum schedule | `[0, 1)` |
/// | `beta2` | 0.999 | decay rate of the second moment | `[0, 1)` |
/// | `epsilon` | 1e-8 | added to the square root; at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `momentum_decay` | 4e-3 | how fast `mu` rises from `beta1` / 2 to `beta1` | `[0, inf)` |
/// | `weight_decay` | `None` | [`WeightDecay`] | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `torch.optim.NAdam` (`Decoupled` is its `decoupled_weight_decay=True`), also if `beta1` changes: `M` is
/// the product of the rates used.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{NAdam, NAdamConfig, Optimizer};
///
/// let w = Var::new(&[1f64], &Device::Cpu)?;
/// let mut nadam = NAdam::new([("w", w.clone())], NAdamConfig { learning_rate: 0.1, ..NAdamConfig::default() })?;
/// nadam.step(&w.affine(7.0, 0.0)?.sum_all()?.backward()?)?;
/// // mu(1) and mu(2) are nearly 0.45: 0.45 * 0.1 / (1 - 0.2025) + 1 times the learning rate.
/// assert!((w.to_vec1::<f64>()?[0] - (1.0 - 0.1 * 1.0564)).abs() < 1e-4);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Dozat: *Incorporating Nesterov Momentum into Adam*, 2016.
#[doc(alias = "Nadam")]
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct NAdamConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// How fast the momentum grows.
    pub momentum_decay: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for NAdamConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            momentum_decay: 4e-3,
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

impl NAdamConfig {
    /// `mu(t)`.
    fn rate(&self, t: f64) -> f64 {
        self.beta1 * (1.0 - 0.5 * 0.96f64.powf(t * self.momentum_decay))
    }
}

from_learning_rate!(NAdamConfig);

/// One NAdam update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct NAdamUpdate {
    penalty: f64,
    shrinkage: f64,
    /// `1 - beta1`, `beta2` and `1 - beta2`.
    first: f64,
    keep: f64,
    second: f64,
    /// The step before the division is `by_gradient * gradient + by_moment * first moment`; both include the learning rate.
    by_gradient: f64,
    by_moment: f64,
    /// `1 / sqrt(1 - beta2^t)`.
    root: f64,
    epsilon: f64,
}

impl Rule for NAdamConfig {
    const NAME: &'static str = "nadam";
    type Update = NAdamUpdate;

    usual_fields!();
    momentum_is_beta1!();

    fn validate(&self) -> Result<()> {
        below_one("beta1", self.beta1)?;
        below_one("beta2", self.beta2)?;
        not_negative("epsilon", self.epsilon)?;
        not_negative("momentum_decay", self.momentum_decay)?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["first_moment", "second_moment"]
    }

    fn second_moment(&self) -> Option<usize> {
        Some(1)
    }

    /// The first moment's zero start has weight `M(t)`, the product that [`advance`](Rule::advance) accumulates.
    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((1.0, self.beta2))
    }

    fn advance(&self, clock: &mut Clock) {
        clock.steps += 1;
        clock.zero_start_1 *= self.rate(clock.updates(self.beta2));
    }

    fn update(&self, clock: &Clock, scales: Scales) -> NAdamUpdate {
        let lr = self.learning_rate * scales.learning_rate;
        let (_, correction_2) = clock.corrections(1.0, self.beta2);
        let t = clock.updates(self.beta2);
        let (now, next) = (self.rate(t), self.rate(t + 1.0));
        NAdamUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            shrinkage: self.weight_decay.shrinkage(scales.weight_decay, lr),
            first: 1.0 - self.beta1,
            keep: self.beta2,
            second: 1.0 - self.beta2,
            by_gradient: lr * (1.0 - now) / (1.0 - clock.zero_start_1),
            by_moment: lr * next / (1.0 - clock.zero_start_1 * next),
            root: 1.0 / correction_2.sqrt(),
            epsilon: self.epsilon,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &NAdamUpdate, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + w.clone().scale(u.penalty);
        let w = w.scale(u.shrinkage);
        let m = state[0].clone() + (g.clone() - state[0].clone()).scale(u.first);
        let v = state[1].clone().scale(u.keep) + (g.clone() * g.clone()).scale(u.second);
        state[0] = m.clone();
        state[1] = v.clone();
        let step = g.scale(u.by_gradient) + m.scale(u.by_moment);
        (w - step / v.sqrt().scale(u.root).offset(u.epsilon), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("beta2", self.beta2);
        settings.set("epsilon", self.epsilon);
        settings.set("momentum_decay", self.momentum_decay);
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
