//! The variants of the puzzle: what is inside, what becomes of its state, which learning rate.

use candle_core::Var;
use lookahead_optim::Optimizer;

use super::MomentsReset;
use crate::chart::Stroke;
use crate::config::{Config, RunConfig, ScheduleKind};
use crate::error::Result;
use crate::names::{Experiment, OptimizerName, Protocol, State};
use crate::optimizers;

/// A way to run AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Variant {
    /// Its folder.
    pub(super) name: &'static str,
    /// Its row.
    pub(super) title: &'static str,
    optimizer: OptimizerName,
    state: State,
    /// Whether moments are zeroed without the step counter.
    moments_only: bool,
    /// Whether the learning rate is that of Lookahead/SGD.
    high_rate: bool,
}

/// The learning rate that the original gave AdamW, and the one it gave AdamW inside Lookahead.
pub(super) const RATES: (f64, f64) = (1e-3, 0.1);

/// The baseline first, then each suspect alone, then together as the original had them.
pub(super) const VARIANTS: &[Variant] = &[
    variant("adamw", "AdamW", OptimizerName::AdamW, State::Keep, false, false),
    variant("keep", "Lookahead, keep", OptimizerName::LookaheadAdamW, State::Keep, false, false),
    variant("reset", "Lookahead, correct reset", OptimizerName::LookaheadAdamW, State::Reset, false, false),
    variant("interpolate", "Lookahead, interpolate", OptimizerName::LookaheadAdamW, State::Interpolate, false, false),
    variant(
        "moments",
        "Lookahead, moments reset without counter",
        OptimizerName::LookaheadAdamW,
        State::Keep,
        true,
        false,
    ),
    variant("adamw-0.1", "AdamW at 0.1", OptimizerName::AdamW, State::Keep, false, true),
    variant("keep-0.1", "Lookahead at 0.1, keep", OptimizerName::LookaheadAdamW, State::Keep, false, true),
    variant("reset-0.1", "Lookahead at 0.1, correct reset", OptimizerName::LookaheadAdamW, State::Reset, false, true),
    variant(
        "moments-0.1",
        "Lookahead at 0.1, moments reset without counter",
        OptimizerName::LookaheadAdamW,
        State::Keep,
        true,
        true,
    ),
];

const fn variant(
    name: &'static str,
    title: &'static str,
    optimizer: OptimizerName,
    state: State,
    moments_only: bool,
    high_rate: bool,
) -> Variant {
    Variant { name, title, optimizer, state, moments_only, high_rate }
}

/// The recipe all variants share: `quick`'s network and data, the original's AdamW, its sync period and slow step, and its
/// schedule scaled down: the learning rate is divided by 5 after 60 % and 80 % of the epochs.
pub(super) fn base(experiment: Experiment, epochs: usize) -> Config {
    let mut config = Config::for_protocol(experiment, Protocol::Quick);
    config.train.epochs = epochs;
    config.schedule.kind = ScheduleKind::Steps;
    config.schedule.cycle_momentum = false;
    config.schedule.factor = 0.2;
    config.schedule.milestones = vec![(3 * epochs).div_ceil(5), (4 * epochs).div_ceil(5)];
    config.schedule.milestones.dedup();
    for adamw in [&mut config.adamw, &mut config.lookahead_adamw] {
        adamw.learning_rate = RATES.0;
        adamw.beta2 = 0.999;
        adamw.weight_decay = 0.01; // what fastai applied, whatever the notebooks said
        adamw.decay_weights_only = false;
    }
    config
}

impl Variant {
    /// One colour for what becomes of the state, dashes for the high learning rate.
    pub(super) fn stroke(&self) -> Stroke {
        let colour = match (self.optimizer, self.state, self.moments_only) {
            (OptimizerName::AdamW, ..) => "#5f6b76",
            (_, State::Keep, false) => "#0a4a86",
            (_, State::Keep, true) => "#a02f06",
            (_, State::Reset, _) => "#2f9e76",
            (_, State::Interpolate, _) => "#7b52b9",
        };
        Stroke { colour, width: 1.8, dash: if self.high_rate { "6 3" } else { "" } }
    }

    /// The run with `seed`.
    pub(super) fn run(&self, base: &Config, seed: u64) -> RunConfig {
        let mut config = base.clone();
        if self.high_rate {
            config.adamw.learning_rate = RATES.1;
            config.lookahead_adamw.learning_rate = RATES.1;
        }
        RunConfig { config, optimizer: self.optimizer, state: self.state, seed }
    }

    /// The optimizer of the run.
    pub(super) fn build(
        &self,
        run: &RunConfig,
        parameters: Vec<(String, Var)>,
        steps: usize,
    ) -> Result<Box<dyn Optimizer>> {
        let optimizer = optimizers::build(run, parameters, steps)?;
        Ok(if self.moments_only { Box::new(MomentsReset::new(optimizer)) } else { optimizer })
    }
}
