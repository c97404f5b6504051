//! The command line of the experiments.

mod resolve;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum};
use clap_complete::Shell;
use lookahead_optim::StatePolicy;

use crate::config::{Config, Experiment, ModelName, Protocol};

/// Flags that every experiment has.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 110, styles = STYLES, allow_negative_numbers = true, args_override_self = true)]
pub struct Flags {
    /// The recipe that everything starts from
    #[arg(long, value_enum, help_heading = "What to train", value_name = "NAME")]
    pub protocol: Option<Protocol>,
    /// Rows of the table: those of the protocol, and those of --config
    #[arg(long, value_delimiter = ',', action = ArgAction::Set, help_heading = "What to train", value_name = "A,B")]
    pub optimizers: Vec<String>,
    /// What Lookahead does with the inner optimizer's state at a sync: keep, reset, interpolate; a row for each
    #[arg(long, value_parser = policy(), value_delimiter = ',', action = ArgAction::Set, help_heading = "What to train", value_name = "A,B")]
    pub state: Vec<StatePolicy>,
    /// Seeds, one run each; differences between optimizers are paired by seed
    #[arg(long, value_parser = seed(), value_delimiter = ',', action = ArgAction::Set, help_heading = "What to train", value_name = "1,2,3")]
    pub seeds: Vec<u64>,
    /// The network
    #[arg(long, value_enum, help_heading = "What to train", value_name = "NAME")]
    pub model: Option<ModelName>,

    /// Passes over the training data; the last may be a part, as in 9.9
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub epochs: Option<f64>,
    /// Images a step; of a text, places that are read side by side
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Peak learning rate of the chosen rows, which must have one kind of optimizer inside
    #[arg(long, help_heading = "Hyper-parameters", value_name = "X")]
    pub lr: Option<f64>,
    /// Inner steps between two syncs (the paper's k)
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub sync_period: Option<usize>,
    /// Share of the way the slow weights go to the fast ones (the paper's alpha)
    #[arg(long, help_heading = "Hyper-parameters", value_name = "X")]
    pub slow_step_size: Option<f64>,
    /// Any other key; may be repeated [example: --set sgd.momentum=0.95]
    #[arg(long, action = ArgAction::Append, help_heading = "Hyper-parameters", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A TOML file of such keys, as --print-config prints it
    #[arg(long, help_heading = "Hyper-parameters", value_name = "FILE.toml")]
    pub config: Option<PathBuf>,

    /// Where data sets lie [default: $LOOKAHEAD_DATA, else datasets]
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Train on this folder instead: train/ and val/ of class folders (imagenette), or train.txt, valid.txt, test.txt (language)
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub dataset_dir: Option<PathBuf>,
    /// Where decoded photographs (data.cache_side) are kept [default: .cache in the folder the data lie in]
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Use this many training images or tokens only
    #[arg(long, help_heading = "Data", value_name = "N")]
    pub limit_train: Option<usize>,
    /// Use this many validation images or tokens only
    #[arg(long, help_heading = "Data", value_name = "N")]
    pub limit_valid: Option<usize>,

    /// auto, cpu, cuda:N or metal:N [default: auto]
    #[arg(long, help_heading = "Running", value_name = "NAME")]
    pub device: Option<String>,
    /// Host threads [default: all cores]; results do not depend on it
    #[arg(long, help_heading = "Running", value_name = "N")]
    pub threads: Option<usize>,
    /// Where run folders go
    #[arg(long, default_value = "runs", help_heading = "Running", value_name = "DIR")]
    pub out: PathBuf,
    /// Throw away the chosen runs and start them over
    #[arg(long, help_heading = "Running")]
    pub fresh: bool,
    /// Save every N steps too, not only each minute and each epoch
    #[arg(long, help_heading = "Running", value_name = "N")]
    pub checkpoint_every: Option<usize>,
    /// Steps between two lines of metrics.jsonl
    #[arg(long, default_value_t = 10, help_heading = "Running", value_name = "N")]
    pub log_every: usize,
    /// Show all runs and their curves full screen; q stops as Ctrl-C does
    #[arg(long, help_heading = "Running", conflicts_with = "quiet")]
    pub tui: bool,
    /// Print nothing but the table and errors
    #[arg(long, help_heading = "Running")]
    pub quiet: bool,
    /// Print the resolved configuration as TOML and stop
    #[arg(long, help_heading = "Running")]
    pub print_config: bool,
    /// Print a completion script for a shell and stop
    #[arg(long, value_enum, help_heading = "Running", value_name = "SHELL")]
    pub completions: Option<Shell>,
}

/// A seed: TOML's integers end below 2^63.
pub(super) fn seed() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(..=i64::MAX as u64)
}

/// The rows that the protocols of `experiment` have, in the order in which they are met.
fn rows_of(experiment: Experiment) -> String {
    let mut names: Vec<String> = Vec::new();
    for protocol in experiment.protocols() {
        for row in Config::all_rows(experiment, *protocol) {
            if !names.contains(&row.name) {
                names.push(row.name);
            }
        }
    }
    format!("Rows of the table: those that the protocol has of {}; and those of --config", names.join(", "))
}

/// The protocols of `experiment` by their names.
fn of_experiment(experiment: Experiment) -> impl TypedValueParser<Value = Protocol> {
    let names = experiment.protocols().iter().filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(names).try_map(|name| Protocol::from_str(&name, false))
}

/// The state policies by their names.
fn policy() -> impl TypedValueParser<Value = StatePolicy> {
    PossibleValuesParser::new(["keep", "reset", "interpolate"]).map(|name| match name.as_str() {
        "reset" => StatePolicy::Reset,
        "interpolate" => StatePolicy::Interpolate,
        _ => StatePolicy::Keep,
    })
}

const STYLES: Styles =
    Styles::styled().header(AnsiColor::Green.on_default().bold()).literal(AnsiColor::Cyan.on_default());

impl Flags {
    /// The clap command of `experiment`, with its own description and examples.
    pub fn command_of(experiment: Experiment) -> clap::Command {
        let (name, about, examples) = match experiment {
            Experiment::Demo => (
                "demo",
                "Trains every optimizer on the embedded data set `shapes`: no download, minutes on two cores",
                "  just demo\n  just demo --optimizers sgd,lookahead-sgd --seeds 1,2,3 --epochs 2\n",
            ),
            Experiment::Cifar10 => (
                "cifar10",
                "Trains classifiers on CIFAR-10 and prints the table of the optimizers",
                "  just cifar10 --epochs 2 --limit-train 10000 --limit-valid 2000 --seeds 1\n  \
                 just cifar10 --protocol paper --optimizers sgd,lookahead-sgd --device cuda:0\n  \
                 just cifar10 --optimizers lookahead-adamw --state keep,reset,interpolate\n",
            ),
            Experiment::Cifar100 => (
                "cifar100",
                "Trains classifiers on CIFAR-100 and prints the table of the optimizers",
                "  just cifar100 --protocol standard --seeds 1,2,3\n  \
                 just cifar100 --optimizers lookahead-sgd --state keep,reset --lr 0.2\n",
            ),
            Experiment::Imagenette => (
                "imagenette",
                "Trains classifiers on Imagenette, or on any folder of class folders, with mixup and heavy augmentation",
                "  just imagenette --protocol standard\n  \
                 just imagenette --dataset-dir photos --model resnet34 --set data.image_size=160\n",
            ),
            Experiment::Language => (
                "language",
                "Trains LSTM language models: Shakespeare, which needs no download, Penn Treebank, or any text",
                "  just language\n  just language --protocol zaremba-small --seeds 1,2,3\n  \
                 just language --dataset-dir novel.txt --set data.unit=words --set data.least=2\n",
            ),
        };
        let after = format!(
            "Examples:\n{examples}\nThe same command again goes on with what was interrupted and skips what is done.\n\
             --print-config lists every key, with the value it would have.\n\n\
             Exit status: 0 done; 2 bad usage or configuration; 3 data missing or damaged; 4 training diverged;\n\
             5 the disk is full; 130 interrupted, resumable."
        );
        let default = format!("The recipe that everything starts from [default: {}]", Protocol::Quick);
        Self::command()
            .name(name)
            .about(about)
            .after_help(after)
            .mut_arg("protocol", |arg| arg.help(default))
            .mut_arg("protocol", |arg| arg.value_parser(of_experiment(experiment)))
            .mut_arg("optimizers", |arg| arg.help(rows_of(experiment)))
            .mut_arg("dataset_dir", |arg| {
                arg.hide(!matches!(experiment, Experiment::Imagenette | Experiment::Language))
            })
    }

    /// Parses the program's arguments; prints help or the error and ends the program where clap says so (0 or 2).
    pub fn parse_for(experiment: Experiment) -> Self {
        let mut command = Self::command_of(experiment);
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed() {
        for experiment in Experiment::value_variants() {
            Flags::command_of(*experiment).debug_assert();
        }
    }
}
