//! The names users type: experiments, protocols, networks.

use std::fmt;

use clap::ValueEnum;
use lookahead_runs::TaskKind;
use serde::{Deserialize, Serialize};

/// Writes the name of a [`ValueEnum`] as the command line and the files spell it.
macro_rules! display_as_value {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.to_possible_value() {
                    Some(value) => f.pad(value.get_name()),
                    None => Err(fmt::Error),
                }
            }
        }
    )*};
}
display_as_value!(Experiment, Protocol, ModelName, Corpus);

/// The runs that become one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Experiment {
    /// The embedded data set `shapes`.
    Demo,
    /// CIFAR-10.
    Cifar10,
    /// CIFAR-100.
    Cifar100,
    /// Imagenette, or any folder of class folders.
    Imagenette,
    /// ImageNet: 1,000 classes of photographs.
    Imagenet,
    /// Language modelling: Shakespeare by characters, Penn Treebank by words, or any text.
    Language,
}

/// A text with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Corpus {
    /// A million characters of Shakespeare, embedded in the program.
    Shakespeare,
    /// Penn Treebank as prepared by Mikolov: 929,589 training words; `just data ptb` downloads it.
    Ptb,
}

/// A full recipe: model, data, augmentation, schedule, hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// For two cores: a few epochs.
    Quick,
    /// For one GPU: thirty epochs of OneCycle.
    Standard,
    /// The Lookahead paper's 200 epochs with its best settings; on ImageNet its 90.
    Paper,
    /// The Lookahead paper's shorter schedule for ImageNet: 60 epochs, or the first 50 of them.
    PaperShort,
    /// The original project as its notebooks declare it.
    Original,
    /// The original project as it ran.
    OriginalEffective,
    /// The recipe that reaches 94 % on CIFAR-10 in 9.9 epochs.
    #[serde(rename = "speedrun")]
    #[value(name = "speedrun")]
    SpeedRun,
    /// `speedrun` with half the width and seven epochs, for many seeds.
    Sprint,
    /// Zaremba et al.'s small LSTM, 13 epochs.
    ZarembaSmall,
    /// Zaremba et al.'s medium LSTM, 39 epochs.
    ZarembaMedium,
    /// Merity et al.'s AWD-LSTM, as the Lookahead paper trains it.
    Awd,
}

impl Experiment {
    /// The task of its runs.
    pub fn task(self) -> TaskKind {
        match self {
            Self::Demo | Self::Cifar10 | Self::Cifar100 | Self::Imagenette | Self::Imagenet => TaskKind::Images,
            Self::Language => TaskKind::Language,
        }
    }

    /// Whether its images are a folder of photographs, any of which `--dataset-dir` may name.
    pub fn has_photographs(self) -> bool {
        matches!(self, Self::Imagenette | Self::Imagenet)
    }

    /// Its protocols.
    pub fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::Demo | Self::Cifar10 | Self::Cifar100 | Self::Imagenette => &[
                Protocol::Quick,
                Protocol::Standard,
                Protocol::Paper,
                Protocol::Original,
                Protocol::OriginalEffective,
                Protocol::SpeedRun,
                Protocol::Sprint,
            ],
            Self::Imagenet => &[Protocol::Quick, Protocol::Paper, Protocol::PaperShort],
            Self::Language => &[Protocol::Quick, Protocol::ZarembaSmall, Protocol::ZarembaMedium, Protocol::Awd],
        }
    }
}

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum ModelName {
    /// He et al.'s CIFAR network of 0.27 million parameters.
    ResNet20,
    /// 18 layers, basic blocks.
    ResNet18,
    /// 34 layers, basic blocks.
    ResNet34,
    /// 50 layers, bottleneck blocks.
    ResNet50,
    /// The network of the CIFAR-10 speed records.
    SpeedNet,
    /// An LSTM language model.
    Lstm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_alike_on_the_command_line_and_in_files() {
        for name in Experiment::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        for name in ModelName::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        for name in Corpus::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        for name in Protocol::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        assert_eq!(Protocol::OriginalEffective.to_string(), "original-effective");
    }
}
