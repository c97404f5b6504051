//! The names users type: experiments, optimizers, state policies, protocols.

use std::fmt;

use clap::ValueEnum;
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
display_as_value!(Experiment, OptimizerName, State, Protocol, ModelName, Stem, Head);

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
}

/// An optimizer with or without Lookahead around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with decoupled weight decay.
    #[value(name = "adamw")]
    #[serde(rename = "adamw")]
    AdamW,
    /// RMSProp.
    #[value(name = "rmsprop")]
    #[serde(rename = "rmsprop")]
    RmsProp,
    /// Lookahead around SGD.
    LookaheadSgd,
    /// Lookahead around AdamW.
    #[value(name = "lookahead-adamw")]
    #[serde(rename = "lookahead-adamw")]
    LookaheadAdamW,
    /// Lookahead around RMSProp.
    #[value(name = "lookahead-rmsprop")]
    #[serde(rename = "lookahead-rmsprop")]
    LookaheadRmsProp,
    /// SGD whose weights are averaged for evaluation.
    Polyak,
}

impl OptimizerName {
    /// Whether Lookahead is around it; only then does the state policy mean something.
    pub fn is_lookahead(self) -> bool {
        matches!(self, Self::LookaheadSgd | Self::LookaheadAdamW | Self::LookaheadRmsProp)
    }

    /// The optimizer that makes the steps.
    pub fn inner(self) -> Self {
        match self {
            Self::LookaheadSgd | Self::Polyak => Self::Sgd,
            Self::LookaheadAdamW => Self::AdamW,
            Self::LookaheadRmsProp => Self::RmsProp,
            plain => plain,
        }
    }

    /// The name in the original's tables, such as `Lookahead/SGD`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sgd => "SGD",
            Self::AdamW => "AdamW",
            Self::RmsProp => "RMSProp",
            Self::LookaheadSgd => "Lookahead/SGD",
            Self::LookaheadAdamW => "Lookahead/AdamW",
            Self::LookaheadRmsProp => "Lookahead/RMSProp",
            Self::Polyak => "Polyak",
        }
    }
}

/// What becomes of the inner optimizer's state at a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It stays as it is.
    Keep,
    /// It starts anew, step counter included.
    Reset,
    /// It is interpolated as the weights are.
    Interpolate,
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
}

/// The first layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// One 3x3 convolution: images of about 32 pixels.
    Cifar,
    /// 7x7 stride 2, then 3x3 max-pooling stride 2: images of about 224 pixels.
    Imagenet,
}

/// The last layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// Average pooling and one linear layer.
    Linear,
    /// fastai v1's: average and maximum pooling, two linear layers with batch norm and dropout between.
    Fastai,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_alike_on_the_command_line_and_in_files() {
        for name in OptimizerName::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        for name in ModelName::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        for name in Protocol::value_variants() {
            assert_eq!(serde_json::to_value(name).unwrap(), serde_json::json!(name.to_string()));
        }
        assert_eq!(OptimizerName::LookaheadAdamW.to_string(), "lookahead-adamw");
    }
}
