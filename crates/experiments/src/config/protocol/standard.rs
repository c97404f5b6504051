//! `standard`: for one GPU.

use lookahead_models::{Head, Stem};

use super::{pipelines, quick};
use crate::config::data::ImagesConfig;
use crate::config::experiment::Config;
use crate::config::model::ModelConfig;
use crate::config::names::{Experiment, ModelName, Protocol};
use crate::config::sections::TrainConfig;

/// ResNet-18, OneCycle, 30 epochs, five seeds. Everything else is as in `quick`.
pub(super) fn config(experiment: Experiment) -> Config {
    let quick = quick::config(experiment);
    let base = Config {
        protocol: Protocol::Standard,
        seeds: vec![1, 2, 3, 4, 5],
        model: ModelConfig::of(ModelName::ResNet18),
        train: TrainConfig { epochs: 30.0, ..quick.train },
        rows: quick::rows(0.2, 2e-3),
        ..quick
    };
    match experiment {
        Experiment::Imagenette => {
            let (train, valid) = pipelines::fastai(128);
            Config {
                model: base.model.with_ends(Stem::ImageNet, Head::Linear),
                data: base.data.with_images(|images| ImagesConfig { train, valid, ..images }),
                ..base
            }
        }
        _ => base,
    }
}
