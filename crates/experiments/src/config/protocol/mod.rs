//! Protocols: full recipes, each one value in one file.
//!
//! | protocol | for |
//! | --- | --- |
//! | [`quick`](Protocol::Quick) | two cores: a small network, OneCycle, a few epochs |
//! | [`standard`](Protocol::Standard) | one GPU: ResNet-18, OneCycle, 30 epochs |
//! | [`paper`](Protocol::Paper) | the Lookahead paper: 200 epochs, decay by 0.2 at 60, 120 and 160, its best settings |
//! | the same on ImageNet | ResNet-50, 90 epochs, decay by 0.1 at 30 and 60 |
//! | [`paper-short`](Protocol::PaperShort) | ImageNet: its 60 epochs, decay by 0.1 at 30, 48 and 58 |
//! | [`original`](Protocol::Original) | the original student project as its notebooks declare it |
//! | [`original-effective`](Protocol::OriginalEffective) | the same project as it actually ran |
//! | [`speedrun`](Protocol::SpeedRun) | airbench94: 94 % on CIFAR-10 in 9.9 epochs; includes Lookahead |
//! | [`sprint`](Protocol::Sprint) | the same with half the width and seven epochs: for comparisons with many seeds |
//! | [`zaremba-small`](Protocol::ZarembaSmall) | language: two layers of 200 on Penn Treebank, 13 epochs |
//! | [`zaremba-medium`](Protocol::ZarembaMedium) | language: two layers of 650, dropout, 39 epochs |
//! | [`awd`](Protocol::Awd) | language: AWD-LSTM, 750 epochs: the Lookahead paper's |
//!
//! A protocol has settings for more rows than it compares by default.

mod imagenet;
mod language;
mod original;
mod original_effective;
mod paper;
mod pipelines;
mod quick;
mod speedrun;
mod standard;

use lookahead_optim::StatePolicy;

use super::experiment::Config;
use super::names::{Experiment, Protocol};
use super::row::{Row, states_of};

impl Config {
    /// The recipe of `protocol` for `experiment`, before any change. If the experiment does not have the protocol, this
    /// is `quick` under that name, which [`validate`](Self::validate) rejects.
    ///
    /// ```
    /// use lookahead_experiments::{Config, Experiment, Protocol};
    /// let paper = Config::for_protocol(Experiment::Cifar10, Protocol::Paper);
    /// let rows: Vec<&str> = paper.rows.iter().map(|row| row.name.as_str()).collect();
    /// assert_eq!((paper.train.epochs, rows), (200.0, vec!["sgd", "polyak", "adamw", "lookahead-sgd"]));
    /// ```
    pub fn for_protocol(experiment: Experiment, protocol: Protocol) -> Self {
        let config = with_all_rows(experiment, protocol);
        let compared: &[&str] = match (protocol, experiment) {
            (_, Experiment::Language) => &["sgd", "adamw", "lookahead-sgd", "lookahead-adamw", "ema"],
            (_, Experiment::Imagenet) => &["sgd", "adamw", "lookahead-sgd"],
            (Protocol::SpeedRun, _) => &["lookahead", "plain"],
            (Protocol::Sprint, _) => &["lookahead", "plain", "average"],
            (Protocol::Paper, _) => &["sgd", "polyak", "adamw", "lookahead-sgd"],
            (_, Experiment::Imagenette) => &["sgd", "adamw", "lookahead-sgd"],
            _ => &["sgd", "adamw", "rmsprop", "lookahead-sgd", "lookahead-adamw"],
        };
        let rows = compared.iter().flat_map(|name| config.rows.iter().filter(move |row| row.name == *name).cloned());
        Self { rows: rows.collect(), ..config }
    }

    /// All rows for which `protocol` has settings, whether compared by default or not.
    pub fn all_rows(experiment: Experiment, protocol: Protocol) -> Vec<Row> {
        with_all_rows(experiment, protocol).rows
    }
}

fn with_all_rows(experiment: Experiment, protocol: Protocol) -> Config {
    let config = match protocol {
        _ if experiment == Experiment::Language => Config { protocol, ..language::config(protocol) },
        _ if experiment == Experiment::Imagenet => Config { protocol, ..imagenet::config(protocol) },
        Protocol::PaperShort | Protocol::ZarembaSmall | Protocol::ZarembaMedium | Protocol::Awd => {
            Config { protocol, ..quick::config(experiment) }
        }
        Protocol::Quick => quick::config(experiment),
        Protocol::Standard => standard::config(experiment),
        Protocol::Paper => paper::config(experiment),
        Protocol::Original => original::config(experiment),
        Protocol::OriginalEffective => original_effective::config(experiment),
        Protocol::SpeedRun => speedrun::config(experiment),
        Protocol::Sprint => speedrun::sprint(experiment),
    };
    let policies: &[StatePolicy] = match protocol {
        Protocol::Original | Protocol::OriginalEffective => &[StatePolicy::Keep, StatePolicy::Reset],
        _ => &[StatePolicy::Keep],
    };
    let rows = states_of(config.rows, policies);
    // A reset of an optimizer without state would be its row with `keep`, trained twice.
    let resets_nothing = |row: &Row| row.state() == Some(StatePolicy::Reset) && !row.inner.has_state();
    Config { rows: rows.into_iter().filter(|row| !resets_nothing(row)).collect(), ..config }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use lookahead_data::ImageSize;
    use lookahead_optim::WeightDecay;

    use super::*;
    use crate::config::Inner;

    #[test]
    fn every_protocol_is_valid_for_every_experiment() {
        for experiment in Experiment::value_variants() {
            for protocol in Protocol::value_variants() {
                let config = Config::for_protocol(*experiment, *protocol);
                if !experiment.protocols().contains(protocol) {
                    let message = config.validate().unwrap_err().to_string();
                    assert!(message.contains(&format!("{protocol}")) && message.contains("quick"), "{message}");
                    continue;
                }
                config.validate().unwrap();
                assert_eq!((config.experiment, config.protocol), (*experiment, *protocol));
                assert_eq!(config.to_table().len(), 10, "a key was skipped by serde");
                let mut names: Vec<String> =
                    Config::all_rows(*experiment, *protocol).into_iter().map(|row| row.name).collect();
                names.dedup(); // the states of a row stand together
                let (alone, inside) =
                    (["sgd", "adamw", "rmsprop"], ["lookahead-sgd", "lookahead-adamw", "lookahead-rmsprop"]);
                let usual = [&alone[..], &inside[..], &["polyak", "ema"][..]].concat();
                match protocol {
                    _ if *experiment == Experiment::Language => {
                        assert_eq!(names, [&alone[..2], &inside[..2], &["ema", "ema-sgd"]].concat());
                    }
                    Protocol::Paper | Protocol::PaperShort if *experiment == Experiment::Imagenet => {
                        assert_eq!(names, ["sgd", "lookahead-sgd"]);
                    }
                    Protocol::SpeedRun | Protocol::Sprint => {
                        assert_eq!(names, ["lookahead", "plain", "average", "ema", "adamw", "lookahead-adamw"]);
                    }
                    _ => assert_eq!(names, usual),
                }
                // Photographs come in many sizes and must all leave a pipeline in one.
                if experiment.has_photographs() {
                    let images = config.data.images().unwrap();
                    let sides = [&images.train, &images.valid].map(|pipeline| pipeline.fixed_size());
                    assert!(sides[0].is_some() && sides[0] == sides[1], "{protocol}: {sides:?}");
                }
            }
        }
        let images = |protocol| Config::for_protocol(Experiment::Imagenette, protocol).data.images().cloned().unwrap();
        let size = |protocol| images(protocol).train.fixed_size();
        let sides = [Protocol::Quick, Protocol::Standard, Protocol::Paper, Protocol::Original].map(size);
        assert_eq!(sides, [96, 128, 128, 224].map(|side| Some(ImageSize::square(side))));
    }

    /// The original has both states of every Lookahead with a state to reset, of those that it does not compare by default
    /// too.
    #[test]
    fn the_original_keeps_and_resets() {
        let folders = |experiment, protocol| -> Vec<String> {
            Config::all_rows(experiment, protocol).iter().map(Row::folder).collect()
        };
        let demo = folders(Experiment::Demo, Protocol::Original);
        assert!(demo.contains(&"lookahead-rmsprop-reset".to_owned()), "{demo:?}");
        assert_eq!(demo.len(), 10);
        // Without momentum, a reset would train the row with `keep` again; one cycle gave SGD a momentum.
        let has_reset = |folders: Vec<String>| folders.contains(&"lookahead-sgd-reset".to_owned());
        assert!(!has_reset(demo) && !has_reset(folders(Experiment::Cifar10, Protocol::OriginalEffective)));
        assert!(has_reset(folders(Experiment::Cifar100, Protocol::OriginalEffective)));
    }

    /// The two protocols of the original differ only in what the notebooks' code overrode.
    #[test]
    fn declared_and_effective_differ_in_what_was_overridden() {
        let declared = Config::for_protocol(Experiment::Cifar10, Protocol::Original);
        let effective = Config::for_protocol(Experiment::Cifar10, Protocol::OriginalEffective);
        let row = |config: &Config, name: &str| config.rows.iter().find(|row| row.name == name).unwrap().inner.clone();
        let sgd = |config: &Config| match row(config, "sgd") {
            Inner::Sgd(sgd) => (sgd.weight_decay, sgd.learning_rate),
            other => panic!("{other:?}"),
        };
        let adamw = |config: &Config, name: &str| match row(config, name) {
            Inner::AdamW(adamw) => (adamw.weight_decay, adamw.learning_rate),
            other => panic!("{other:?}"),
        };
        assert_eq!(adamw(&declared, "adamw"), (WeightDecay::Decoupled(0.3), 1e-3));
        assert_eq!(adamw(&effective, "adamw"), (WeightDecay::Decoupled(0.01), 1e-3));
        assert_eq!(sgd(&declared), (WeightDecay::L2(1e-3), 0.05));
        assert_eq!(sgd(&effective), (WeightDecay::Decoupled(0.01), 0.05));
        assert_eq!(adamw(&declared, "lookahead-adamw").1, 0.1);
        assert_ne!(declared.model.resnet().unwrap().stem, effective.model.resnet().unwrap().stem);
        assert_ne!(declared.data.images().unwrap().train, effective.data.images().unwrap().train);
    }
}
