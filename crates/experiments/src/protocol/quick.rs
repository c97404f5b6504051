//! `quick`: what two cores do in minutes.

use super::{nesterov, original_rows};
use crate::config::{
    AdamWSettings, Augmentation, AveragingSettings, Config, DataSettings, LookaheadSettings, Mixing, ModelSettings,
    Normalization, RmsPropSettings, ScheduleKind, ScheduleSettings, SgdSettings, TrainSettings,
};
use crate::names::{Experiment, Head, ModelName, Protocol, State, Stem};

/// ResNet-20, OneCycle, five epochs, three seeds. SGD's settings are those of a common PyTorch recipe.
pub(super) fn config(experiment: Experiment) -> Config {
    let base = Config {
        experiment,
        protocol: Protocol::Quick,
        device: "auto".to_owned(),
        optimizers: original_rows(experiment),
        states: vec![State::Keep],
        seeds: vec![1, 2, 3],
        model: ModelSettings { name: ModelName::ResNet20, stem: Stem::Cifar, head: Head::Linear },
        data: DataSettings {
            limit_train: 0,
            limit_valid: 0,
            image_size: 0,
            cache_side: 0,
            augmentation: Augmentation::PadCropFlip,
            min_scale: 0.35,
            normalize: Normalization::Dataset,
            mixing: Mixing::None,
            mixing_alpha: 0.4,
        },
        train: TrainSettings { epochs: 5, batch_size: 128, accumulate: 1, label_smoothing: 0.0 },
        schedule: ScheduleSettings {
            kind: ScheduleKind::OneCycle,
            warmup: 0.3,
            cycle_momentum: true,
            momentum_high: 0.95,
            momentum_low: 0.85,
            milestones: vec![],
            factor: 0.2,
        },
        lookahead: LookaheadSettings { sync_period: 5, slow_step_size: 0.5 },
        sgd: nesterov(0.4),
        adamw: ADAMW,
        rmsprop: RMSPROP,
        lookahead_sgd: nesterov(0.4),
        lookahead_adamw: ADAMW,
        lookahead_rmsprop: RMSPROP,
        polyak: nesterov(0.4),
        averaging: AveragingSettings { start_epoch: 0, decay: 0.998 },
    };
    match experiment {
        Experiment::Cifar10 | Experiment::Cifar100 => base,
        Experiment::Demo => Config { seeds: vec![1], train: TrainSettings { epochs: 4, ..base.train }, ..base },
        // The whole Imagenette recipe on small images.
        Experiment::Imagenette => Config {
            seeds: vec![1],
            model: ModelSettings { name: ModelName::ResNet18, stem: Stem::Imagenet, head: Head::Linear },
            data: DataSettings {
                image_size: 96,
                augmentation: Augmentation::FastaiV1,
                mixing: Mixing::MixupPerSample,
                ..base.data.clone()
            },
            train: TrainSettings { epochs: 10, batch_size: 64, ..base.train },
            sgd: SgdSettings { learning_rate: 0.05, ..base.sgd.clone() },
            lookahead_sgd: SgdSettings { learning_rate: 0.05, ..base.lookahead_sgd.clone() },
            ..base
        },
    }
}

const ADAMW: AdamWSettings = AdamWSettings {
    learning_rate: 5e-3,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weight_decay: 0.05,
    decay_weights_only: true,
};

const RMSPROP: RmsPropSettings = RmsPropSettings {
    learning_rate: 3e-3,
    alpha: 0.99,
    epsilon: 1e-8,
    momentum: 0.0,
    weight_decay: 0.05,
    decoupled: true,
    decay_weights_only: true,
};
