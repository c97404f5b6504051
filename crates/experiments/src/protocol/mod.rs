//! Protocols: full recipes, each one value in one file.
//!
//! | protocol | for |
//! | --- | --- |
//! | [`quick`](Protocol::Quick) | two cores: a small network, OneCycle, a few epochs |
//! | [`standard`](Protocol::Standard) | one GPU: ResNet-18, OneCycle, 30 epochs |
//! | [`paper`](Protocol::Paper) | the Lookahead paper: 200 epochs, decay by 0.2 at 60, 120 and 160, its best settings |
//! | [`original`](Protocol::Original) | the original student project as it declares itself |
//! | [`original-effective`](Protocol::OriginalEffective) | the same project as it really ran |

mod original;
mod original_effective;
mod paper;
mod quick;
mod standard;

use crate::config::{Config, SgdSettings};
use crate::names::{Experiment, OptimizerName, Protocol};

impl Config {
    /// The recipe of `protocol` for `experiment`, before any change.
    ///
    /// ```
    /// use lookahead_experiments::{Config, Experiment, Protocol};
    /// let paper = Config::for_protocol(Experiment::Cifar10, Protocol::Paper);
    /// assert_eq!((paper.train.epochs, paper.lookahead.slow_step_size), (200, 0.8));
    /// ```
    pub fn for_protocol(experiment: Experiment, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Quick => quick::config(experiment),
            Protocol::Standard => standard::config(experiment),
            Protocol::Paper => paper::config(experiment),
            Protocol::Original => original::config(experiment),
            Protocol::OriginalEffective => original_effective::config(experiment),
        }
    }
}

/// The rows of the original's tables.
fn original_rows(experiment: Experiment) -> Vec<OptimizerName> {
    use OptimizerName::{AdamW, LookaheadAdamW, LookaheadSgd, RmsProp, Sgd};
    match experiment {
        Experiment::Imagenette => vec![Sgd, AdamW, LookaheadSgd],
        _ => vec![Sgd, AdamW, RmsProp, LookaheadSgd, LookaheadAdamW],
    }
}

/// SGD with momentum .9 and Nesterov's step, decay 5e-4 on weights alone: the usual CIFAR recipe.
fn nesterov(learning_rate: f64) -> SgdSettings {
    SgdSettings {
        learning_rate,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        decoupled: false,
        decay_weights_only: true,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_protocol_is_valid_for_every_experiment() {
        for experiment in Experiment::value_variants() {
            for protocol in Protocol::value_variants() {
                let config = Config::for_protocol(*experiment, *protocol);
                config.validate().unwrap();
                assert_eq!((config.experiment, config.protocol), (*experiment, *protocol));
                assert_eq!(config.to_table().len(), 19, "a key was skipped by serde");
            }
        }
    }

    /// The two protocols of the original differ just where the notebooks' code overrode what they declare.
    #[test]
    fn declared_and_effective_differ_in_what_was_overridden() {
        let declared = Config::for_protocol(Experiment::Cifar10, Protocol::Original);
        let effective = Config::for_protocol(Experiment::Cifar10, Protocol::OriginalEffective);
        assert_eq!(declared.adamw.weight_decay, 0.3);
        assert_eq!(effective.adamw.weight_decay, 0.01);
        assert!(effective.sgd.decoupled && !effective.sgd.decay_weights_only);
        assert_eq!(declared.lookahead_adamw.learning_rate, 0.1);
        assert_ne!(declared.model.stem, effective.model.stem);
        assert_ne!(declared.data.augmentation, effective.data.augmentation);
        assert_eq!(declared.sgd.learning_rate, effective.sgd.learning_rate);
    }
}
