//! `original`: akashpalrecha/Lookahead, 2019, as its notebooks and slides declare it.

use super::original_rows;
use crate::config::{
    AdamWSettings, Augmentation, Config, DataSettings, LookaheadSettings, Mixing, ModelSettings, Normalization,
    RmsPropSettings, ScheduleKind, ScheduleSettings, SgdSettings, TrainSettings,
};
use crate::names::{Experiment, Head, ModelName, Protocol, State, Stem};

/// The hyper-parameters written in the notebooks, with the network and the augmentation that the slides name: the
/// paper's, 4 pixels of zero padding, random crop, random flip. Lookahead's SGD has no momentum, and its AdamW has a
/// learning rate a hundred times that of AdamW alone, as the notebooks have it.
///
/// CIFAR-10 divides the learning rate by 5 after the epochs 61, 121 and 161 (the callback named 60, 120 and 160 but acts
/// at their end); CIFAR-100 and Imagenette use one cycle. One run a cell; its data set of state resets is `--state reset`.
pub(super) fn config(experiment: Experiment) -> Config {
    let quick = super::quick::config(experiment);
    let one_cycle = experiment != Experiment::Cifar10 && experiment != Experiment::Demo;
    let imagenette = experiment == Experiment::Imagenette;
    let adamw = |learning_rate, weight_decay| AdamWSettings {
        learning_rate,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay,
        decay_weights_only: false,
    };
    let sgd = |learning_rate, momentum, weight_decay| SgdSettings {
        learning_rate,
        momentum,
        nesterov: false,
        weight_decay,
        decoupled: false,
        decay_weights_only: false,
    };
    let rmsprop = RmsPropSettings {
        learning_rate: 0.01,
        alpha: 0.99,
        epsilon: 1e-8,
        momentum: 0.0,
        weight_decay: 1e-3,
        decoupled: false,
        decay_weights_only: false,
    };
    Config {
        experiment,
        protocol: Protocol::Original,
        device: "auto".to_owned(),
        optimizers: original_rows(experiment),
        states: vec![State::Keep, State::Reset],
        seeds: vec![1],
        model: ModelSettings {
            name: if imagenette { ModelName::ResNet50 } else { ModelName::ResNet18 },
            stem: if imagenette { Stem::Imagenet } else { Stem::Cifar },
            head: Head::Linear,
        },
        data: DataSettings {
            image_size: if imagenette { 224 } else { 0 },
            augmentation: if imagenette { Augmentation::FastaiV1 } else { Augmentation::PadCropFlip },
            normalize: Normalization::UnitRange,
            mixing: if imagenette { Mixing::MixupPerSample } else { Mixing::None },
            mixing_alpha: 0.4,
            ..quick.data
        },
        train: TrainSettings {
            epochs: match experiment {
                Experiment::Imagenette => 40,
                Experiment::Cifar100 => 100,
                _ => 200,
            },
            batch_size: 128,
            accumulate: 1,
            label_smoothing: 0.0,
        },
        schedule: ScheduleSettings {
            kind: if one_cycle { ScheduleKind::OneCycleFastaiV1 } else { ScheduleKind::Steps },
            cycle_momentum: false,
            milestones: vec![61, 121, 161],
            factor: 0.2,
            ..quick.schedule
        },
        lookahead: LookaheadSettings { sync_period: 5, slow_step_size: 0.5 },
        sgd: sgd(0.05, 0.9, 1e-3),
        adamw: if imagenette { adamw(0.01, 0.03) } else { adamw(1e-3, 0.3) },
        rmsprop: rmsprop.clone(),
        lookahead_sgd: sgd(0.1, 0.0, 0.0),
        lookahead_adamw: adamw(0.1, 0.3),
        lookahead_rmsprop: rmsprop,
        polyak: sgd(0.05, 0.9, 1e-3),
        averaging: quick.averaging,
    }
}
