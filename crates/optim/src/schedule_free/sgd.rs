//! Schedule-Free SGD.

use super::{IterateWeights, SUMS, between_zero_and_one, way_to_average};
use crate::group::Group;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings, from_learning_rate, usual_fields};
use crate::{Gradients, Result, WeightDecay};

/// SGD without a learning-rate schedule; see [`ScheduleFreeSgdConfig`].
pub type ScheduleFreeSgd = Fused<ScheduleFreeSgdConfig>;

/// Hyper-parameters of [`ScheduleFreeSgd`].
///
/// There are three points: the iterate `z`, the average `x` of the iterates, and `y` between them, where gradients are taken. With `c` the
/// new iterate's share in the average ([`IterateWeights`]), `lr` the warmed-up learning rate and `beta` the momentum:
///
/// ```text
/// y = (1 - beta) * z + beta * x;                g <- g + decay * y
/// z <- z - lr * g;                              x <- (1 - c) * x + c * z
/// ```
///
/// The variables hold `y`. **Evaluate and save the model at `x`**, which [`with_evaluation_weights`](crate::with_evaluation_weights) swaps
/// in. BatchNorm's running statistics belong to `y`; re-estimate them at `x` before evaluating. The state is one tensor, `to_iterate`,
/// which is `z - y`; a reset puts `z` and `x` at the present weights. Inside [`Lookahead`](crate::Lookahead) all three points are pulled
/// back together, and evaluation uses the slow `y`.
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1 | step length, constant after the warm-up | `[0, inf)` |
/// | `momentum` | 0.9 | interpolation between iterate and average, where gradients are taken; cannot be scheduled | `(0, 1)` |
/// | `weights` | equal | [`IterateWeights`]: warm-up and the weight of each iterate | |
/// | `weight_decay` | `None` | [`WeightDecay`] at `y`; both kinds are the same here | |
/// | `groups`, `gradients` | none | as in [`SgdConfig`](crate::SgdConfig) | |
///
/// Arithmetic and defaults match the authors' package `schedulefree`; PyTorch has no Schedule-Free.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Error, Optimizer, ScheduleFreeSgd, ScheduleFreeSgdConfig, with_evaluation_weights};
///
/// let w = Var::new(4f64, &Device::Cpu)?;
/// let config = ScheduleFreeSgdConfig { momentum: 0.5, ..ScheduleFreeSgdConfig::default() };
/// let mut optimizer = ScheduleFreeSgd::new([("w", w.clone())], config)?;
/// for _ in 0..2 {
///     optimizer.step(&w.backward()?)?; // z: 3, 2; x: 3, 2.5
/// }
/// let average = with_evaluation_weights(&mut optimizer, || Ok::<_, Error>(w.to_scalar::<f64>()?))?;
/// assert_eq!((average, w.to_scalar::<f64>()?), (2.5, 2.25));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky: *The Road Less Scheduled*, 2024,
/// [arXiv:2405.15682](https://arxiv.org/abs/2405.15682).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ScheduleFreeSgdConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Interpolation between iterate and average, where gradients are taken.
    pub momentum: f64,
    /// Warm-up and the weight of each iterate.
    pub weights: IterateWeights,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Parameter groups with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for ScheduleFreeSgdConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1.0,
            momentum: 0.9,
            weights: IterateWeights::default(),
            weight_decay: WeightDecay::None,
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(ScheduleFreeSgdConfig);

/// One Schedule-Free update of one parameter; public because it is an associated type of [`Rule`].
#[derive(Debug, Clone, Copy)]
pub struct ScheduleFreeSgdUpdate {
    decay: f64,
    /// The iterate's share in the average, and the share of the others.
    share: f64,
    rest: f64,
    /// `lr * (1 - beta * (1 - share))`: the step of the weights. `lr * beta`: how far the iterate moves beyond it before mixing.
    step: f64,
    beyond: f64,
}

impl Rule for ScheduleFreeSgdConfig {
    const NAME: &'static str = "schedule-free-sgd";
    type Update = ScheduleFreeSgdUpdate;

    usual_fields!();

    fn validate(&self) -> Result<()> {
        between_zero_and_one("momentum", self.momentum)?;
        self.weights.validate()?;
        self.weight_decay.validate()?;
        self.validate_shared()
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["to_iterate"]
    }

    fn sums(&self) -> &'static [&'static str] {
        SUMS
    }

    fn evaluation(&self) -> Option<(usize, f64)> {
        Some((0, way_to_average(self.momentum)))
    }

    fn advance(&self, clock: &mut Clock) {
        clock.steps += 1;
        self.weights.count(self.learning_rate, clock.steps as f64, clock);
    }

    fn update(&self, clock: &Clock, scales: Scales) -> ScheduleFreeSgdUpdate {
        let t = clock.steps as f64;
        let lr = self.weights.rate(self.learning_rate, t) * scales.learning_rate;
        let share = self.weights.share(t, clock);
        ScheduleFreeSgdUpdate {
            decay: match self.weight_decay {
                WeightDecay::None => 0.0,
                WeightDecay::L2(decay) | WeightDecay::Decoupled(decay) => decay * scales.weight_decay,
            },
            share,
            rest: 1.0 - share,
            step: lr * (1.0 - self.momentum * (1.0 - share)),
            beyond: lr * self.momentum,
        }
    }

    #[inline(always)]
    fn element<X: Number, const N: usize>(u: &ScheduleFreeSgdUpdate, y: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        let g = g + y.clone().scale(u.decay);
        let to_iterate = state[0].clone();
        state[0] = (to_iterate.clone() - g.clone().scale(u.beyond)).scale(u.rest);
        (y + to_iterate.scale(u.share) - g.scale(u.step), state)
    }

    fn settings(&self, settings: &mut Settings) {
        settings.set("momentum", self.momentum);
        settings.set("weights", format!("{:?}", self.weights));
        settings.set("weight_decay", format!("{:?}", self.weight_decay));
    }
}
