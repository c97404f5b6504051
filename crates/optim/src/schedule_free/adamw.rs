//! Schedule-Free AdamW.

use super::{IterateWeights, SUMS, between_zero_and_one, way_to_average};
use crate::error::{below_one, not_negative};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// AdamW without a learning-rate schedule; see [`ScheduleFreeAdamWConfig`].
pub type ScheduleFreeAdamW = Fused<ScheduleFreeAdamWConfig>;

/// Hyper-parameters of [`ScheduleFreeAdamW`].
///
/// As in [`ScheduleFreeSgdConfig`](super::ScheduleFreeSgdConfig), which explains the three points and how to evaluate, with Adam's second
/// moment in place of Adam's two. At the t-th update (from 1):
///
/// ```text
/// g <- g + decay * y   (L2);                    v <- beta2 * v + (1 - beta2) * g^2
/// d = g / (sqrt(v / (1 - beta2^t)) + epsilon)   (+ decay * y, decoupled)
/// z <- z - lr * d;                              x <- (1 - c) * x + c * z;       y = (1 - beta1) * z + beta1 * x
/// ```
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 2.5e-3 | step length, constant after the warm-up | `[0, inf)` |
/// | `beta1` | 0.9 | interpolation between iterate and average, where gradients are taken; cannot be scheduled | `(0, 1)` |
/// | `beta2` | 0.999 | decay rate of the second moment | `[0, 1)` |
/// | `epsilon` | 1e-8 | added to the square root; at 0, a weight whose gradient was always 0 becomes NaN | `[0, inf)` |
/// | `weights` | equal | [`IterateWeights`]: warm-up and the weight of each iterate | |
/// | `weight_decay` | `None` | [`WeightDecay`], at `y` | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match `AdamWScheduleFree` in the authors' package `schedulefree`, whose decay is `Decoupled`.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Error, Optimizer, ScheduleFreeAdamW, ScheduleFreeAdamWConfig, with_evaluation_weights};
///
/// let w = Var::new(1f64, &Device::Cpu)?;
/// let config = ScheduleFreeAdamWConfig { learning_rate: 0.1, ..ScheduleFreeAdamWConfig::default() };
/// let mut optimizer = ScheduleFreeAdamW::new([("w", w.clone())], config)?;
/// optimizer.step(&w.affine(7.0, 0.0)?.backward()?)?;
/// // The first average is the first iterate, a step of the learning rate away.
/// let average = with_evaluation_weights(&mut optimizer, || Ok::<_, Error>(w.to_scalar::<f64>()?))?;
/// assert!((average - 0.9).abs() < 1e-9);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ScheduleFreeAdamWConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Interpolation between iterate and average, where gradients are taken.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Warm-up and the weight of each iterate.
    pub weights: IterateWeights,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for ScheduleFreeAdamWConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2.5e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weights: IterateWeights::default(),
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(ScheduleFreeAdamWConfig);

/// One Schedule-Free update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct ScheduleFreeAdamWUpdate {
    penalty: f64,
    decay: f64,
    keep: f64,
    second: f64,
    /// `1 / sqrt(1 - beta2^t)`.
    root: f64,
    epsilon: f64,
    /// As in Schedule-Free SGD.
    share: f64,
    rest: f64,
    step: f64,
    beyond: f64,
}

impl Rule for ScheduleFreeAdamWConfig {
    const NAME: &'static str = "schedule-free-adamw";
    type Update = ScheduleFreeAdamWUpdate;

    usual_fields!();

    fn validate(&self) -> Result<()> {
        between_zero_and_one("beta1", self.beta1)?;
        below_one("beta2", self.beta2)?;
        not_negative("epsilon", self.epsilon)?;
        self.weights.validate()?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["to_iterate", "second_moment"]
    }

    fn second_moment(&self) -> Option<usize> {
        Some(1)
    }

    /// There is no first moment.
    fn corrected_rates(&self) -> Option<(f64, f64)> {
        Some((1.0, self.beta2))
    }

    fn sums(&self) -> &'static [&'static str] {
        SUMS
    }

    fn evaluation(&self) -> Option<(usize, f64)> {
        Some((0, way_to_average(self.beta1)))
    }

    fn advance(&self, clock: &mut Clock) {
        clock.steps += 1;
        self.weights.count(self.learning_rate, clock.updates(self.beta2), clock);
    }

    fn update(&self, clock: &Clock, scales: Scales) -> ScheduleFreeAdamWUpdate {
        let t = clock.updates(self.beta2);
        let lr = self.weights.rate(self.learning_rate, t) * scales.learning_rate;
        let share = self.weights.share(t, clock);
        let (_, correction_2) = clock.corrections(1.0, self.beta2);
        ScheduleFreeAdamWUpdate {
            penalty: self.weight_decay.penalty(scales.weight_decay),
            decay: if let WeightDecay::Decoupled(decay) = self.weight_decay {
                decay * scales.weight_decay
            } else {
                0.0
            },
            keep: self.beta2,
            second: 1.0 - self.beta2,
            root: 1.0 / correction_2.sqrt(),
            epsilon: self.epsilon,
            share,
            rest: 1.0 - share,
            step: lr * (1.0 - self.beta1 * (1.0 - share)),
            beyond: lr * self.beta1,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &ScheduleFreeAdamWUpdate, y: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + y.clone().scale(u.penalty);
        let v = state[1].clone().scale(u.keep) + (g.clone() * g.clone()).scale(u.second);
        state[1] = v.clone();
        let step = g / v.sqrt().scale(u.root).offset(u.epsilon) + y.clone().scale(u.decay);
        let to_iterate = state[0].clone();
        state[0] = (to_iterate.clone() - step.clone().scale(u.beyond)).scale(u.rest);
        (y + to_iterate.scale(u.share) - step.scale(u.step), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("beta1", self.beta1);
        settings.set("beta2", self.beta2);
        settings.set("epsilon", self.epsilon);
        settings.set("weights", format!("{:?}", self.weights));
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
