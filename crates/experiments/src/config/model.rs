//! The network's table.

use lookahead_models::{Head, LanguageDropout, LanguageModelConfig, Stem};
use lookahead_runs::TaskKind;
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::names::ModelName;
use super::whole;

/// The network. In a file: its `name` and the settings of this kind of network.
///
/// ```
/// use lookahead_experiments::{ModelConfig, ModelName};
/// let net: ModelConfig = toml::from_str("name = \"resnet20\"\nstem = \"cifar\"\nhead = \"linear\"")?;
/// assert_eq!(net.name(), ModelName::ResNet20);
/// let net: ModelConfig = toml::from_str("name = \"speednet\"\nwidth = 0.5")?;
/// assert_eq!(net.name(), ModelName::SpeedNet);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum ModelConfig {
    /// [`ModelName::ResNet20`].
    ResNet20(ResNetParts),
    /// [`ModelName::ResNet18`].
    ResNet18(ResNetParts),
    /// [`ModelName::ResNet34`].
    ResNet34(ResNetParts),
    /// [`ModelName::ResNet50`].
    ResNet50(ResNetParts),
    /// [`ModelName::SpeedNet`].
    SpeedNet(SpeedNetParts),
    /// [`ModelName::Lstm`].
    Lstm(LstmParts),
}

/// The first and last layers of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetParts {
    /// First layers.
    pub stem: Stem,
    /// Last layers.
    pub head: Head,
}

/// The size of a speed network and how its whitening is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedNetParts {
    /// Factor on airbench94's widths, rounded to multiples of 16; above 0.
    pub width: f64,
    /// Number of training images, from the first on, whose patches define the whitening; at least 1.
    pub whitening_images: usize,
    /// Epochs after which the whitening's bias is frozen.
    pub whitening_bias_epochs: usize,
}

impl Default for SpeedNetParts {
    fn default() -> Self {
        Self { width: 1.0, whitening_images: 5_000, whitening_bias_epochs: 3 }
    }
}

/// The shape of a language model; the vocabulary is that of the text. [`LanguageModelConfig`] explains the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmParts {
    /// Size of a token's embedding.
    pub embedding: usize,
    /// Units per layer.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Whether the output layer shares the embedding's weights.
    pub tied: bool,
    /// The bound of all initial parameters; by default PyTorch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uniform: Option<f64>,
    /// The dropout rates.
    pub dropout: LanguageDropout,
    /// Merity et al.'s activation regularisation: a factor on the mean square of the last layer's output, after
    /// dropout; 0 or more.
    #[serde(default, serialize_with = "whole::serialize")]
    pub activation: f64,
    /// Their temporal regularisation: a factor on the mean square of its change between steps, before dropout; 0 or
    /// more.
    #[serde(default, serialize_with = "whole::serialize")]
    pub slowness: f64,
}

impl LstmParts {
    /// The parts of a model, without regularisation.
    pub fn of(model: LanguageModelConfig) -> Self {
        let LanguageModelConfig { embedding, hidden, layers, tied, uniform, dropout, .. } = model;
        Self { embedding, hidden, layers, tied, uniform, dropout, activation: 0.0, slowness: 0.0 }
    }

    /// The model for a vocabulary.
    pub fn model(&self, vocabulary: usize) -> LanguageModelConfig {
        let Self { embedding, hidden, layers, tied, uniform, dropout, .. } = *self;
        LanguageModelConfig { vocabulary, embedding, hidden, layers, tied, uniform, dropout }
    }
}

impl ModelConfig {
    /// The network of `name` with the usual parts: for small images, with a linear head.
    pub fn of(name: ModelName) -> Self {
        Self::SpeedNet(SpeedNetParts::default()).renamed(name)
    }

    /// The same network with this stem and head, if it is a ResNet; other networks are unchanged.
    #[must_use]
    pub fn with_ends(mut self, stem: Stem, head: Head) -> Self {
        match &mut self {
            Self::ResNet20(parts) | Self::ResNet18(parts) | Self::ResNet34(parts) | Self::ResNet50(parts) => {
                *parts = ResNetParts { stem, head };
            }
            Self::SpeedNet(_) | Self::Lstm(_) => {}
        }
        self
    }

    /// The network's name.
    pub fn name(&self) -> ModelName {
        match self {
            Self::ResNet20(_) => ModelName::ResNet20,
            Self::ResNet18(_) => ModelName::ResNet18,
            Self::ResNet34(_) => ModelName::ResNet34,
            Self::ResNet50(_) => ModelName::ResNet50,
            Self::SpeedNet(_) => ModelName::SpeedNet,
            Self::Lstm(_) => ModelName::Lstm,
        }
    }

    /// The network named `name`, with the same settings as far as it has them.
    #[must_use]
    pub fn renamed(&self, name: ModelName) -> Self {
        let parts = self.resnet().unwrap_or(ResNetParts { stem: Stem::Cifar, head: Head::Linear });
        match name {
            ModelName::ResNet20 => Self::ResNet20(parts),
            ModelName::ResNet18 => Self::ResNet18(parts),
            ModelName::ResNet34 => Self::ResNet34(parts),
            ModelName::ResNet50 => Self::ResNet50(parts),
            ModelName::SpeedNet => match self {
                Self::SpeedNet(parts) => Self::SpeedNet(*parts),
                _ => Self::SpeedNet(SpeedNetParts::default()),
            },
            ModelName::Lstm => match self {
                Self::Lstm(parts) => Self::Lstm(parts.clone()),
                _ => Self::Lstm(LstmParts::of(LanguageModelConfig::characters(1))),
            },
        }
    }

    /// The parts of a ResNet; `None` for another network.
    pub fn resnet(&self) -> Option<ResNetParts> {
        match self {
            Self::ResNet20(parts) | Self::ResNet18(parts) | Self::ResNet34(parts) | Self::ResNet50(parts) => {
                Some(*parts)
            }
            Self::SpeedNet(_) | Self::Lstm(_) => None,
        }
    }

    /// The error for this network on data of the kind `what`.
    pub(crate) fn not_for(&self, what: &str) -> ConfigError {
        ConfigError::WrongValue {
            key: "model.name".to_owned(),
            origin: String::new(),
            reason: format!("{} is not a network for {what}", self.name()),
        }
    }

    /// The task of such a network.
    pub fn task(&self) -> TaskKind {
        match self {
            Self::Lstm(_) => TaskKind::Language,
            _ => TaskKind::Images,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_the_network_and_its_parts() {
        let read = |text: &str| toml::from_str::<ModelConfig>(text);
        let resnet = ModelConfig::of(ModelName::ResNet34);
        assert_eq!(toml::to_string(&resnet).unwrap(), "name = \"resnet34\"\nstem = \"cifar\"\nhead = \"linear\"\n");
        for model in [resnet, ModelConfig::of(ModelName::SpeedNet), ModelConfig::of(ModelName::Lstm)] {
            assert_eq!(read(&toml::to_string(&model).unwrap()).unwrap(), model);
        }
        assert_eq!(read("name = \"speednet\"").unwrap(), ModelConfig::SpeedNet(SpeedNetParts::default()));
        for wrong in ["name = \"speednet\"\nstem = \"cifar\"", "name = \"resnet20\"\nwidth = 1.0", "name = \"vgg\""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_name_keeps_the_parts_it_can_keep() {
        let original = ModelConfig::ResNet18(ResNetParts { stem: Stem::ImageNet, head: Head::Fastai });
        assert_eq!(original.renamed(ModelName::ResNet50).resnet(), original.resnet());
        let half = ModelConfig::SpeedNet(SpeedNetParts { width: 0.5, ..SpeedNetParts::default() });
        assert_eq!(half.renamed(ModelName::SpeedNet), half);
        assert_eq!(half.renamed(ModelName::ResNet20), ModelConfig::of(ModelName::ResNet20));
    }
}
