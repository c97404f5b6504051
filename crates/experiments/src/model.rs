//! From a network's name to the network.

use candle_core::{DType, Device};
use lookahead_models::{ResNet, ResNetConfig};

use crate::config::ModelSettings;
use crate::error::Result;
use crate::names::{Head, ModelName, Stem};

/// The network of `settings` for `classes` classes, initialised from `seed`.
///
/// # Errors
/// Those of the model crate.
pub fn build(settings: &ModelSettings, classes: usize, seed: u64, device: &Device) -> Result<ResNet> {
    let stem = match settings.stem {
        Stem::Cifar => lookahead_models::Stem::Cifar,
        Stem::Imagenet => lookahead_models::Stem::ImageNet,
    };
    let head = match settings.head {
        Head::Linear => lookahead_models::Head::Linear,
        Head::Fastai => lookahead_models::Head::Fastai,
    };
    let base = match settings.name {
        ModelName::ResNet20 => ResNetConfig::resnet20(classes),
        ModelName::ResNet18 => ResNetConfig::resnet18(stem, classes),
        ModelName::ResNet34 => ResNetConfig::resnet34(stem, classes),
        ModelName::ResNet50 => ResNetConfig::resnet50(stem, classes),
    };
    let config = ResNetConfig { stem, head, ..base };
    Ok(ResNet::new(&config, seed, DType::F32, device)?)
}
