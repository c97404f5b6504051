//! From a network's name to the network.

use candle_core::{DType, Device};
use lookahead_models::{ResNet, ResNetConfig};

use crate::config::{ModelConfig, ModelName};
use crate::error::Result;

/// The network of `config` for `classes` classes, initialised from `seed`.
///
/// # Errors
/// Those of the model crate.
pub fn model(config: &ModelConfig, classes: usize, seed: u64, device: &Device) -> Result<ResNet> {
    let base = match config.name {
        ModelName::ResNet20 => ResNetConfig::resnet20(classes),
        ModelName::ResNet18 => ResNetConfig::resnet18(config.stem, classes),
        ModelName::ResNet34 => ResNetConfig::resnet34(config.stem, classes),
        ModelName::ResNet50 => ResNetConfig::resnet50(config.stem, classes),
    };
    let config = ResNetConfig { stem: config.stem, head: config.head, ..base };
    Ok(ResNet::new(&config, seed, DType::F32, device)?)
}
