//! `standard`: what one GPU does in an hour or two.

use super::nesterov;
use crate::config::{AdamWSettings, Config, DataSettings, ModelSettings, TrainSettings};
use crate::names::{Experiment, Head, ModelName, Protocol, Stem};

/// ResNet-18, OneCycle, 30 epochs, five seeds. Everything else as `quick`.
pub(super) fn config(experiment: Experiment) -> Config {
    let quick = super::quick::config(experiment);
    let adamw = AdamWSettings { learning_rate: 2e-3, ..quick.adamw.clone() };
    let base = Config {
        protocol: Protocol::Standard,
        seeds: vec![1, 2, 3, 4, 5],
        model: ModelSettings { name: ModelName::ResNet18, stem: Stem::Cifar, head: Head::Linear },
        train: TrainSettings { epochs: 30, ..quick.train.clone() },
        sgd: nesterov(0.2),
        lookahead_sgd: nesterov(0.2),
        polyak: nesterov(0.2),
        adamw: adamw.clone(),
        lookahead_adamw: adamw,
        ..quick
    };
    match experiment {
        Experiment::Imagenette => Config {
            model: ModelSettings { name: ModelName::ResNet18, stem: Stem::Imagenet, head: Head::Linear },
            data: DataSettings { image_size: 128, ..base.data.clone() },
            ..base
        },
        _ => base,
    }
}
