//! From a network's name to the network.

use candle_core::{DType, Device};
use lookahead_models::{ResNet, ResNetConfig};

use crate::config::ModelConfig;
use crate::error::Result;

/// The network of `config` for `classes` classes, initialised from `seed`.
///
/// # Errors
/// Those of the model crate.
pub fn model(config: &ModelConfig, classes: usize, seed: u64, device: &Device) -> Result<ResNet> {
    let base = ResNetConfig::by_name(&config.name.to_string(), config.stem, classes)?;
    let config = ResNetConfig { stem: config.stem, head: config.head, ..base };
    Ok(ResNet::new(&config, seed, DType::F32, device)?)
}
