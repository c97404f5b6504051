//! Builds the network of a configuration.

use candle_core::{DType, Device};
use lookahead_models::{LanguageModel, ResNet, ResNetConfig, SpeedNet, SpeedNetConfig};

use super::images::ImageData;
use super::network::Network;
use super::text::TextData;
use crate::config::{Config, ModelConfig};
use crate::error::Result;

/// The image network of `config` for the classes of `data`, initialised from `seed`. The whitening of a speed network
/// is computed from the first training images.
///
/// # Errors
/// Errors of the model crate, and of reading the images for the whitening.
pub fn model(config: &Config, data: &ImageData, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
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
        ModelConfig::Lstm(_) => Err(config.model.not_for("images").into()),
    }
}

/// The language model of `config` for the vocabulary of `data`, initialised from `seed`.
///
/// # Errors
/// Errors of the model crate.
pub fn language_model(config: &Config, data: &TextData, seed: u64, device: &Device) -> Result<LanguageModel> {
    let ModelConfig::Lstm(parts) = &config.model else { return Err(config.model.not_for("a text").into()) };
    Ok(LanguageModel::new(&parts.model(data.vocabulary.len()), seed, DType::F32, device)?)
}
