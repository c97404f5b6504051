//! `paper`: Zhang, Lucas, Hinton, Ba: Lookahead Optimizer, 2019 (arXiv:1907.08610), the CIFAR experiments.

use crate::config::{
    AdamWSettings, Augmentation, AveragingSettings, Config, DataSettings, LookaheadSettings, ScheduleKind,
    ScheduleSettings, SgdSettings, TrainSettings,
};
use crate::names::{Experiment, OptimizerName, Protocol};

/// ResNet-18 with the 3x3 stem, batch 128, 200 epochs, learning rate times 0.2 after 60, 120 and 160, three seeds.
///
/// The settings are the best of the paper's grids as its reproductions quote them (appendix C.1). The paper has no
/// RMSProp; that row keeps the settings of `standard`. For Imagenette, which the paper does not have either, data and
/// network are those of `standard`.
pub(super) fn config(experiment: Experiment) -> Config {
    let standard = super::standard::config(experiment);
    let sgd = |learning_rate| SgdSettings {
        learning_rate,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 1e-3,
        decoupled: false,
        decay_weights_only: false,
    };
    let adamw = AdamWSettings {
        learning_rate: 3e-4,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 1.0,
        decay_weights_only: false,
    };
    let data = match experiment {
        Experiment::Imagenette => DataSettings { augmentation: Augmentation::RandomResizedCrop, ..standard.data },
        _ => standard.data,
    };
    Config {
        protocol: Protocol::Paper,
        optimizers: vec![OptimizerName::Sgd, OptimizerName::Polyak, OptimizerName::AdamW, OptimizerName::LookaheadSgd],
        seeds: vec![1, 2, 3],
        data,
        train: TrainSettings { epochs: 200, batch_size: 128, ..standard.train },
        schedule: ScheduleSettings {
            kind: ScheduleKind::Steps,
            cycle_momentum: false,
            milestones: vec![60, 120, 160],
            factor: 0.2,
            ..standard.schedule
        },
        lookahead: LookaheadSettings { sync_period: 5, slow_step_size: 0.8 },
        sgd: sgd(0.05),
        lookahead_sgd: sgd(0.1),
        polyak: SgdSettings { momentum: 0.0, ..sgd(0.3) },
        averaging: AveragingSettings { start_epoch: 0, decay: 0.0 },
        adamw: adamw.clone(),
        lookahead_adamw: adamw,
        ..standard
    }
}
