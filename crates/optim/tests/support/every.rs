//! Every optimizer of the crate, with options that give it all the state it can have.

use candle_core::Var;
use candle_nn::ParamsAdamW;
use lookahead_optim::schedule_free::IterateWeights;
use lookahead_optim::{
    Adadelta, AdadeltaConfig, Adagrad, AdagradConfig, AdamW, AdamWConfig, Adamax, AdamaxConfig, FromCandle, Lion,
    LionConfig, Momentum, Muon, MuonConfig, NAdam, NAdamConfig, Optimizer, RAdam, RAdamConfig, RmsProp, RmsPropConfig,
    ScheduleFreeAdamW, ScheduleFreeAdamWConfig, ScheduleFreeSgd, ScheduleFreeSgdConfig, Sgd, SgdConfig, WeightDecay,
};

pub(crate) type Build = fn(Vec<(String, Var)>) -> Box<dyn Optimizer>;

const WEIGHTS: IterateWeights = IterateWeights { warm_up: 4, step_power: 0.5, rate_power: 2.0 };

pub(crate) fn every_optimizer() -> Vec<(&'static str, Build)> {
    vec![
        ("sgd", |p| {
            let config = SgdConfig { learning_rate: 0.05, momentum: Momentum::classical(0.9), ..SgdConfig::default() };
            Box::new(Sgd::new(p, config).unwrap())
        }),
        ("adamw", |p| Box::new(AdamW::new(p, AdamWConfig { amsgrad: true, ..Default::default() }).unwrap())),
        ("rmsprop", |p| {
            let config = RmsPropConfig { momentum: Some(0.9), centered: true, ..Default::default() };
            Box::new(RmsProp::new(p, config).unwrap())
        }),
        ("radam", |p| Box::new(RAdam::new(p, RAdamConfig { beta2: 0.9, ..Default::default() }).unwrap())),
        ("nadam", |p| Box::new(NAdam::new(p, NAdamConfig { momentum_decay: 0.1, ..Default::default() }).unwrap())),
        ("adagrad", |p| {
            let config = AdagradConfig { learning_rate_decay: 0.1, initial_sum: 0.1, ..Default::default() };
            Box::new(Adagrad::new(p, config).unwrap())
        }),
        ("adadelta", |p| Box::new(Adadelta::new(p, AdadeltaConfig::default()).unwrap())),
        ("adamax", |p| Box::new(Adamax::new(p, AdamaxConfig::default()).unwrap())),
        ("lion", |p| {
            let config = LionConfig { weight_decay: WeightDecay::Decoupled(0.1), ..Default::default() };
            Box::new(Lion::new(p, config).unwrap())
        }),
        ("schedule-free-sgd", |p| {
            let config = ScheduleFreeSgdConfig { weights: WEIGHTS, ..Default::default() };
            Box::new(ScheduleFreeSgd::new(p, config).unwrap())
        }),
        ("schedule-free-adamw", |p| {
            let config = ScheduleFreeAdamWConfig { weights: WEIGHTS, ..Default::default() };
            Box::new(ScheduleFreeAdamW::new(p, config).unwrap())
        }),
        ("muon", |p| Box::new(Muon::new(p, MuonConfig::default()).unwrap())),
    ]
}

/// One of candle's, whose state is out of reach.
pub(crate) fn candle_s_adamw() -> (&'static str, Build) {
    ("candle's adamw", |p| Box::new(FromCandle::<candle_nn::AdamW>::new(p, ParamsAdamW::default()).unwrap()))
}
