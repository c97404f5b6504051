//! The command line of the experiments.

mod resolve;
mod seeds;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum};
use clap_complete::Shell;
use lookahead_optim::StatePolicy;

use crate::config::{Config, Experiment, ModelName, Protocol};

pub use seeds::Seeds;

/// The flags of every experiment.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 110, styles = STYLES, allow_negative_numbers = true, args_override_self = true)]
pub struct Flags {
    /// Recipe to start from
    #[arg(long, value_enum, help_heading = "What to train", value_name = "NAME")]
    pub protocol: Option<Protocol>,
    /// Rows to compare: those of the protocol and of --config
    #[arg(long, value_delimiter = ',', action = ArgAction::Set, help_heading = "What to train", value_name = "A,B")]
    pub optimizers: Vec<String>,
    /// What happens to the inner optimizer's state at a sync: keep, reset, interpolate; one row for each
    #[arg(long, value_parser = policy(), value_delimiter = ',', action = ArgAction::Set, help_heading = "What to train", value_name = "A,B")]
    pub state: Vec<StatePolicy>,
    /// Seeds, or ranges of them such as 1-20; each row is trained once per seed, and rows are compared seed by seed
    #[arg(long, value_delimiter = ',', action = ArgAction::Set, help_heading = "What to train", value_name = "1-3,7")]
    pub seeds: Vec<Seeds>,
    /// Network
    #[arg(long, value_enum, help_heading = "What to train", value_name = "NAME")]
    pub model: Option<ModelName>,

    /// Passes over the training data; may be a fraction, such as 9.9
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub epochs: Option<f64>,
    /// Images per step; for a text, the number of places read in parallel
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Peak learning rate of the selected rows, which must have the same kind of inner optimizer
    #[arg(long, help_heading = "Hyper-parameters", value_name = "X")]
    pub lr: Option<f64>,
    /// Inner steps between syncs (the paper's k)
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub sync_period: Option<usize>,
    /// How far a sync moves the slow weights towards the fast ones, from 0 to 1 (the paper's alpha)
    #[arg(long, help_heading = "Hyper-parameters", value_name = "X")]
    pub slow_step_size: Option<f64>,
    /// Set any key; may be repeated [example: --set sgd.momentum=0.95]
    #[arg(long, action = ArgAction::Append, help_heading = "Hyper-parameters", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// TOML file with keys to set, in the format of --print-config
    #[arg(long, help_heading = "Hyper-parameters", value_name = "FILE.toml")]
    pub config: Option<PathBuf>,

    /// Folder of the data sets [default: $LOOKAHEAD_DATA, else datasets]
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Train on this folder: train/ and val/ with class folders (imagenette, imagenet), or a text or a folder of
    /// train.txt, valid.txt and test.txt (language)
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub dataset_dir: Option<PathBuf>,
    /// Folder for decoded photographs (data.cache_side) [default: .cache in the data folder]
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Use only this many training images or tokens
    #[arg(long, help_heading = "Data", value_name = "N")]
    pub limit_train: Option<usize>,
    /// Use only this many validation images or tokens
    #[arg(long, help_heading = "Data", value_name = "N")]
    pub limit_valid: Option<usize>,

    /// Device: auto, cpu, cuda:N or metal:N [default: auto]; for a GPU, build for it: `just features=cuda cifar10 ...`
    #[arg(long, help_heading = "Running", value_name = "NAME")]
    pub device: Option<String>,
    /// Host threads [default: all cores]; results do not depend on them
    #[arg(long, help_heading = "Running", value_name = "N")]
    pub threads: Option<usize>,
    /// Folder for the run folders
    #[arg(long, default_value = "runs", help_heading = "Running", value_name = "DIR")]
    pub out: PathBuf,
    /// Discard earlier results of the selected runs and start over
    #[arg(long, help_heading = "Running")]
    pub fresh: bool,
    /// Save every N steps, in addition to every minute and every epoch
    #[arg(long, help_heading = "Running", value_name = "N")]
    pub checkpoint_every: Option<usize>,
    /// Steps between two lines of metrics.jsonl
    #[arg(long, default_value_t = 10, help_heading = "Running", value_name = "N")]
    pub log_every: usize,
    /// Show all runs and their curves full screen; q saves and stops, like Ctrl-C
    #[arg(long, help_heading = "Running", conflicts_with = "quiet")]
    pub tui: bool,
    /// Print only the table and errors
    #[arg(long, help_heading = "Running")]
    pub quiet: bool,
    /// Print the resolved configuration as TOML and exit
    #[arg(long, help_heading = "Running")]
    pub print_config: bool,
    /// Print a completion script for a shell and exit
    #[arg(long, value_enum, help_heading = "Running", value_name = "SHELL")]
    pub completions: Option<Shell>,
}

/// Help for `--optimizers`: the rows of all protocols of `experiment`, in the order of the protocols.
fn rows_of(experiment: Experiment) -> String {
    let mut names: Vec<String> = Vec::new();
    for protocol in experiment.protocols() {
        for row in Config::all_rows(experiment, *protocol) {
            if !names.contains(&row.name) {
                names.push(row.name);
            }
        }
    }
    format!("Rows to compare: those of --config, and those of {} that the protocol has", names.join(", "))
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
    /// The clap command of `experiment`, with its description and examples.
    pub fn command_of(experiment: Experiment) -> clap::Command {
        let (name, about, examples) = match experiment {
            Experiment::Demo => (
                "demo",
                "Compares five optimizers on the embedded data set `shapes`: no download, a minute or two on two cores",
                "  just demo\n  just demo --optimizers sgd,lookahead-sgd --seeds 1-3 --epochs 2\n",
            ),
            Experiment::Cifar10 => (
                "cifar10",
                "Trains classifiers on CIFAR-10 and prints a table that compares the optimizers",
                "  just cifar10 --epochs 2 --limit-train 10000 --limit-valid 2000 --seeds 1\n  \
                 just features=cuda cifar10 --protocol paper --optimizers sgd,lookahead-sgd --device cuda:0\n  \
                 just cifar10 --optimizers lookahead-adamw --state keep,reset,interpolate\n",
            ),
            Experiment::Cifar100 => (
                "cifar100",
                "Trains classifiers on CIFAR-100 and prints a table that compares the optimizers",
                "  just cifar100 --protocol standard --seeds 1-3\n  \
                 just cifar100 --optimizers lookahead-sgd --state keep,reset --lr 0.2\n",
            ),
            Experiment::Imagenette => (
                "imagenette",
                "Trains classifiers on Imagenette, or on any folder of class folders, with mixup and heavy augmentation",
                "  just imagenette --protocol standard\n  \
                 just imagenette --dataset-dir photos --model resnet34 --set data.image_size=160\n",
            ),
            Experiment::Imagenet => (
                "imagenet",
                "Trains classifiers on ImageNet, by default a small part of it; --protocol paper trains ResNet-50 for 90 epochs",
                "  just imagenet --data /data\n  \
                 just features=cuda imagenet --protocol paper --device cuda:0\n  \
                 just features=cuda imagenet --protocol paper-short --epochs 50 --device cuda:0\n",
            ),
            Experiment::Language => (
                "language",
                "Trains LSTM language models on Shakespeare (no download), Penn Treebank, or any text",
                "  just language\n  just language --protocol zaremba-small --seeds 1-3\n  \
                 just language --dataset-dir novel.txt --set data.unit=words --set data.least=2\n",
            ),
        };
        let after = format!(
            "Examples:\n{examples}\nRe-running a command resumes interrupted runs and skips finished ones.\n\
             --print-config lists every key with its value.\n\n\
             Exit status: 0 finished; 2 bad usage or configuration; 3 data missing or damaged; 4 training diverged;\n\
             5 the disk is full; 130 interrupted, resumable."
        );
        let default = format!("Recipe to start from [default: {}]", Protocol::Quick);
        Self::command()
            .name(name)
            .about(about)
            .after_help(after)
            .mut_arg("protocol", |arg| arg.help(default))
            .mut_arg("protocol", |arg| arg.value_parser(of_experiment(experiment)))
            .mut_arg("optimizers", |arg| arg.help(rows_of(experiment)))
            .mut_arg("dataset_dir", |arg| arg.hide(!experiment.has_photographs() && experiment != Experiment::Language))
    }

    /// Parses the program's arguments. Ends the program after printing help (status 0) or a usage error (status 2).
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
