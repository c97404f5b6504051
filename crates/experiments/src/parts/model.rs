//! From a network's table to the network.

use candle_core::{DType, Device};
use lookahead_models::{ResNet, ResNetConfig, SpeedNet, SpeedNetConfig};

use super::data::Data;
use super::network::Network;
use crate::config::{Config, ModelConfig};
use crate::error::Result;

/// The network of `config` for the classes of `data`, initialised from `seed`. The whitening of a speed network is made from the first
/// training images.
///
/// # Errors
/// Those of the model crate; those of reading the images that the whitening is made from.
pub fn model(config: &Config, data: &Data, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
    let classes = data.train.classes().len();
    match &config.model {
        ModelConfig::SpeedNet(parts) => {
            let base = SpeedNetConfig { classes, ..SpeedNetConfig::default() };
            let net = SpeedNet::new(&base.scaled(parts.width)?, seed, DType::F32, device)?;
            net.whiten(&data.first_images(config, parts.whitening_images, device)?)?;
            Ok(Box::new(net))
        }
        ModelConfig::ResNet20(parts)
        | ModelConfig::ResNet18(parts)
        | ModelConfig::ResNet34(parts)
        | ModelConfig::ResNet50(parts) => {
            let base = ResNetConfig::by_name(&config.model.name().to_string(), parts.stem, classes)?;
            let resnet = ResNetConfig { stem: parts.stem, head: parts.head, ..base };
            Ok(Box::new(ResNet::new(&resnet, seed, DType::F32, device)?))
        }
    }
}
