//! From an optimizer's name to the optimizer.

use candle_core::Var;
use lookahead_optim::{
    AdamW, AdamWConfig, Average, Averaged, Group, Lookahead, LookaheadConfig, Momentum, Optimizer, Period, RmsProp,
    RmsPropConfig, Sgd, SgdConfig, StatePolicy, StepSize, WeightDecay,
};

use crate::config::{AdamWSettings, RmsPropSettings, RunConfig, SgdSettings};
use crate::error::Result;
use crate::names::{OptimizerName, State};

/// The optimizer of a run over `parameters`; `steps_per_epoch` places the start of Polyak averaging.
///
/// # Errors
/// Those of the optimizers' constructors.
pub fn build(run: &RunConfig, parameters: Vec<(String, Var)>, steps_per_epoch: usize) -> Result<Box<dyn Optimizer>> {
    let config = &run.config;
    let lookahead = |inner: Box<dyn Optimizer>| -> Result<Box<dyn Optimizer>> {
        let config = LookaheadConfig {
            sync_period: Period::Fixed(config.lookahead.sync_period),
            slow_step_size: StepSize::Fixed(config.lookahead.slow_step_size),
            state_policy: match run.state {
                State::Keep => StatePolicy::Keep,
                State::Reset => StatePolicy::Reset,
                State::Interpolate => StatePolicy::Interpolate,
            },
            ..LookaheadConfig::default()
        };
        Ok(Box::new(Lookahead::new(inner, config)?))
    };
    Ok(match run.optimizer {
        OptimizerName::Sgd => Box::new(sgd(parameters, &config.sgd)?),
        OptimizerName::AdamW => Box::new(adamw(parameters, &config.adamw)?),
        OptimizerName::RmsProp => Box::new(rmsprop(parameters, &config.rmsprop)?),
        OptimizerName::LookaheadSgd => lookahead(Box::new(sgd(parameters, &config.lookahead_sgd)?))?,
        OptimizerName::LookaheadAdamW => lookahead(Box::new(adamw(parameters, &config.lookahead_adamw)?))?,
        OptimizerName::LookaheadRmsProp => lookahead(Box::new(rmsprop(parameters, &config.lookahead_rmsprop)?))?,
        OptimizerName::Polyak => {
            let average = if config.averaging.decay > 0.0 {
                Average::Ema { decay: config.averaging.decay }
            } else {
                Average::Polyak { start: config.averaging.start_epoch * steps_per_epoch }
            };
            Box::new(Averaged::new(sgd(parameters, &config.polyak)?, average)?)
        }
    })
}

/// The learning rate that a run's schedule has as its peak or start.
pub(crate) fn peak_learning_rate(run: &RunConfig) -> f64 {
    let config = &run.config;
    match run.optimizer {
        OptimizerName::Sgd => config.sgd.learning_rate,
        OptimizerName::AdamW => config.adamw.learning_rate,
        OptimizerName::RmsProp => config.rmsprop.learning_rate,
        OptimizerName::LookaheadSgd => config.lookahead_sgd.learning_rate,
        OptimizerName::LookaheadAdamW => config.lookahead_adamw.learning_rate,
        OptimizerName::LookaheadRmsProp => config.lookahead_rmsprop.learning_rate,
        OptimizerName::Polyak => config.polyak.learning_rate,
    }
}

fn sgd(parameters: Vec<(String, Var)>, s: &SgdSettings) -> Result<Sgd> {
    let momentum = match (s.momentum, s.nesterov) {
        (0.0, _) => Momentum::None,
        (momentum, true) => Momentum::nesterov(momentum),
        (momentum, false) => Momentum::classical(momentum),
    };
    Ok(Sgd::new(
        parameters,
        SgdConfig {
            learning_rate: s.learning_rate,
            momentum,
            weight_decay: decay(s.weight_decay, s.decoupled),
            groups: groups(s.decay_weights_only),
            ..SgdConfig::default()
        },
    )?)
}

fn adamw(parameters: Vec<(String, Var)>, s: &AdamWSettings) -> Result<AdamW> {
    Ok(AdamW::new(
        parameters,
        AdamWConfig {
            learning_rate: s.learning_rate,
            beta1: s.beta1,
            beta2: s.beta2,
            epsilon: s.epsilon,
            weight_decay: decay(s.weight_decay, true),
            groups: groups(s.decay_weights_only),
            ..AdamWConfig::default()
        },
    )?)
}

fn rmsprop(parameters: Vec<(String, Var)>, s: &RmsPropSettings) -> Result<RmsProp> {
    Ok(RmsProp::new(
        parameters,
        RmsPropConfig {
            learning_rate: s.learning_rate,
            smoothing: s.alpha,
            epsilon: s.epsilon,
            momentum: (s.momentum > 0.0).then_some(s.momentum),
            weight_decay: decay(s.weight_decay, s.decoupled),
            groups: groups(s.decay_weights_only),
            ..RmsPropConfig::default()
        },
    )?)
}

fn decay(amount: f64, decoupled: bool) -> WeightDecay {
    match (amount, decoupled) {
        (0.0, _) => WeightDecay::None,
        (amount, true) => WeightDecay::Decoupled(amount),
        (amount, false) => WeightDecay::L2(amount),
    }
}

fn groups(decay_weights_only: bool) -> Vec<Group> {
    if decay_weights_only { vec![Group::no_decay_on_vectors()] } else { Vec::new() }
}
