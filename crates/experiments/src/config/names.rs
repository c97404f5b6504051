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

/// A set of runs that becomes one table.
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
    /// Language modelling: Shakespeare by characters, Penn Treebank by words, or any text.
    Language,
}

/// A text that an experiment knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Corpus {
    /// A million characters of Shakespeare; it is part of the program.
    Shakespeare,
    /// Penn Treebank as Mikolov prepared it: 929,589 words of training; `just data ptb` downloads it.
    Ptb,
}

/// A full recipe: model, data, augmentation, schedule, hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Two cores, a few epochs.
    Quick,
    /// One GPU, some thirty epochs of OneCycle.
    Standard,
    /// The Lookahead paper's 200 epochs with its best settings.
    Paper,
    /// The original project's notebooks as they declare it.
    Original,
    /// The original project as it ran.
    OriginalEffective,
    /// The recipe that reaches 94 % on CIFAR-10 in 9.9 epochs.
    #[serde(rename = "speedrun")]
    #[value(name = "speedrun")]
    SpeedRun,
    /// The same at half the width, for many seeds.
    Sprint,
    /// Zaremba et al.'s small LSTM, 13 epochs.
    ZarembaSmall,
    /// Zaremba et al.'s medium LSTM, 39 epochs.
    ZarembaMedium,
    /// Merity et al.'s AWD-LSTM, as the Lookahead paper trains it.
    Awd,
}

impl Experiment {
    /// What its runs learn.
    pub fn task(self) -> TaskKind {
        match self {
            Self::Demo | Self::Cifar10 | Self::Cifar100 | Self::Imagenette => TaskKind::Images,
            Self::Language => TaskKind::Language,
        }
    }

    /// The protocols that it has.
    pub fn protocols(self) -> &'static [Protocol] {
        match self.task() {
            TaskKind::Images => &[
                Protocol::Quick,
                Protocol::Standard,
                Protocol::Paper,
                Protocol::Original,
                Protocol::OriginalEffective,
                Protocol::SpeedRun,
                Protocol::Sprint,
            ],
            TaskKind::Language => &[Protocol::Quick, Protocol::ZarembaSmall, Protocol::ZarembaMedium, Protocol::Awd],
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
