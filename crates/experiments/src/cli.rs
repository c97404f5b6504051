//! The command line of the experiments.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use clap_complete::Shell;

use crate::config::{Config, ConfigError, Overrides, read_table};
use crate::names::{Experiment, ModelName, OptimizerName, Protocol, State};

/// Flags that every experiment has.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 110, styles = STYLES)]
pub struct Flags {
    /// The recipe that everything starts from
    #[arg(long, value_enum, help_heading = "What to train", value_name = "NAME")]
    pub protocol: Option<Protocol>,
    /// Optimizers, one row of the table each
    #[arg(long, value_enum, value_delimiter = ',', help_heading = "What to train", value_name = "A,B")]
    pub optimizers: Vec<OptimizerName>,
    /// What Lookahead does with the inner optimizer's state at a sync
    #[arg(long, value_enum, value_delimiter = ',', help_heading = "What to train", value_name = "A,B")]
    pub state: Vec<State>,
    /// Seeds, one run each; differences between optimizers are paired by seed
    #[arg(long, value_delimiter = ',', help_heading = "What to train", value_name = "1,2,3")]
    pub seeds: Vec<u64>,
    /// The network
    #[arg(long, value_enum, help_heading = "What to train", value_name = "NAME")]
    pub model: Option<ModelName>,

    /// Passes over the training images
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub epochs: Option<usize>,
    /// Images a step
    #[arg(long, help_heading = "Hyper-parameters", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Peak learning rate of the chosen optimizers, which must be of one family
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
    /// Train on this folder instead, with train/ and val/ of class folders (imagenette only)
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub dataset_dir: Option<PathBuf>,
    /// Use this many training images only
    #[arg(long, help_heading = "Data", value_name = "N")]
    pub limit_train: Option<usize>,
    /// Use this many validation images only
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
        };
        let after = format!(
            "Examples:\n{examples}\nThe same command again goes on with what was interrupted and skips what is done.\n\
             --print-config lists every key, with the value it would have.\n\n\
             Exit status: 0 done; 2 bad usage or configuration; 3 data missing or damaged; 4 training diverged;\n\
             130 interrupted, resumable."
        );
        let default = format!("The recipe that everything starts from [default: {}]", Protocol::Quick);
        Self::command()
            .name(name)
            .about(about)
            .after_help(after)
            .mut_arg("protocol", |arg| arg.help(default))
            .mut_arg("dataset_dir", |arg| arg.hide(experiment != Experiment::Imagenette))
    }

    /// Parses the program's arguments; prints help or the error and ends the program where clap says so (0 or 2).
    pub fn parse_for(experiment: Experiment) -> Self {
        let mut command = Self::command_of(experiment);
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }

    /// The configuration these flags ask for: the protocol, then the file, then `--set`, then the other flags.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn resolve(&self, experiment: Experiment) -> Result<Config, ConfigError> {
        let protocol = self.protocol.map_or_else(|| self.protocol_of_file(), |protocol| Ok(Some(protocol)))?;
        let base = Config::for_protocol(experiment, protocol.unwrap_or(Protocol::Quick));
        let mut overrides = Overrides::new(&base);
        if let Some(path) = &self.config {
            overrides.file(path)?;
        }
        self.set.iter().try_for_each(|assignment| overrides.set(assignment))?;
        self.put_lists(&mut overrides)?;
        self.put_numbers(&mut overrides)?;
        let mut config = overrides.finish()?;
        if config.experiment != experiment {
            return Err(ConfigError::Conflict {
                first: format!("experiment = \"{}\"", config.experiment),
                second: format!("the program `{experiment}`"),
                why: "the configuration is for another experiment".to_owned(),
            });
        }
        config.protocol = base.protocol;
        if let Some(learning_rate) = self.lr {
            put_learning_rate(&mut config, learning_rate)?;
            config.validate()?;
        }
        self.check_conflicts(&config)?;
        Ok(config)
    }

    fn protocol_of_file(&self) -> Result<Option<Protocol>, ConfigError> {
        let Some(path) = &self.config else { return Ok(None) };
        let table = read_table(path)?;
        // A wrong name is reported when the file is laid over the protocol.
        Ok(table.get("protocol").and_then(|value| value.clone().try_into().ok()))
    }

    fn put_lists(&self, overrides: &mut Overrides) -> Result<(), ConfigError> {
        fn names<T: ToString>(values: &[T]) -> Vec<String> {
            values.iter().map(T::to_string).collect()
        }
        if !self.optimizers.is_empty() {
            overrides.put("optimizers", names(&self.optimizers), "--optimizers")?;
        }
        if !self.state.is_empty() {
            overrides.put("states", names(&self.state), "--state")?;
        }
        if !self.seeds.is_empty() {
            let seeds: Vec<i64> = self.seeds.iter().map(|&seed| i64::try_from(seed).unwrap_or(-1)).collect();
            overrides.put("seeds", seeds, "--seeds")?;
        }
        if let Some(model) = self.model {
            overrides.put("model.name", model.to_string(), "--model")?;
        }
        if let Some(device) = &self.device {
            overrides.put("device", device.as_str(), "--device")?;
        }
        Ok(())
    }

    fn put_numbers(&self, overrides: &mut Overrides) -> Result<(), ConfigError> {
        for (key, value, flag) in [
            ("train.epochs", self.epochs, "--epochs"),
            ("train.batch_size", self.batch_size, "--batch-size"),
            ("lookahead.sync_period", self.sync_period, "--sync-period"),
            ("data.limit_train", self.limit_train, "--limit-train"),
            ("data.limit_valid", self.limit_valid, "--limit-valid"),
        ] {
            if let Some(value) = value {
                overrides.put(key, i64::try_from(value).unwrap_or(i64::MAX), flag)?;
            }
        }
        if let Some(value) = self.slow_step_size {
            overrides.put("lookahead.slow_step_size", value, "--slow-step-size")?;
        }
        Ok(())
    }

    fn check_conflicts(&self, config: &Config) -> Result<(), ConfigError> {
        let conflict = |first: &str, second: String, why: &str| {
            Err(ConfigError::Conflict { first: first.to_owned(), second, why: why.to_owned() })
        };
        let names = || config.optimizers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        if !config.optimizers.iter().any(|name| name.is_lookahead()) {
            for (flag, given) in [
                ("--sync-period", self.sync_period.is_some()),
                ("--slow-step-size", self.slow_step_size.is_some()),
                ("--state", !self.state.is_empty()),
            ] {
                if given {
                    return conflict(flag, format!("--optimizers {}", names()), "none of them is a Lookahead");
                }
            }
        }
        if self.dataset_dir.is_some() && config.experiment != Experiment::Imagenette {
            return conflict(
                "--dataset-dir",
                format!("the experiment {}", config.experiment),
                "folders of class folders are the business of `imagenette`",
            );
        }
        if self.dataset_dir.is_some() && self.data.is_some() {
            return conflict(
                "--dataset-dir",
                "--data".to_owned(),
                "one names the data set, the other where to look for it",
            );
        }
        if self.threads == Some(0) || self.log_every == 0 || self.checkpoint_every == Some(0) {
            return Err(ConfigError::OutOfRange {
                key: "--threads, --log-every and --checkpoint-every".to_owned(),
                rule: "1 or more",
                value: "0".to_owned(),
            });
        }
        Ok(())
    }
}

/// `--lr` for the chosen optimizers. SGD's and AdamW's rates are of different worlds: the original project gave
/// Lookahead/AdamW the rate of Lookahead/SGD and drew conclusions from it.
fn put_learning_rate(config: &mut Config, learning_rate: f64) -> Result<(), ConfigError> {
    let of_sgd = |name: &OptimizerName| name.inner() == OptimizerName::Sgd;
    if config.optimizers.iter().any(of_sgd) && !config.optimizers.iter().all(of_sgd) {
        return Err(ConfigError::Conflict {
            first: "--lr".to_owned(),
            second: "SGD beside AdamW or RMSProp".to_owned(),
            why: "one learning rate cannot suit both; choose --optimizers, or use --set adamw.learning_rate=..."
                .to_owned(),
        });
    }
    for name in config.optimizers.clone() {
        *(match name {
            OptimizerName::Sgd => &mut config.sgd.learning_rate,
            OptimizerName::AdamW => &mut config.adamw.learning_rate,
            OptimizerName::RmsProp => &mut config.rmsprop.learning_rate,
            OptimizerName::LookaheadSgd => &mut config.lookahead_sgd.learning_rate,
            OptimizerName::LookaheadAdamW => &mut config.lookahead_adamw.learning_rate,
            OptimizerName::LookaheadRmsProp => &mut config.lookahead_rmsprop.learning_rate,
            OptimizerName::Polyak => &mut config.polyak.learning_rate,
        }) = learning_rate;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(arguments: &[&str]) -> Result<Config, ConfigError> {
        let arguments = std::iter::once("cifar10").chain(arguments.iter().copied());
        Flags::try_parse_from(arguments).unwrap().resolve(Experiment::Cifar10)
    }

    #[test]
    fn the_command_is_well_formed() {
        for experiment in [Experiment::Demo, Experiment::Cifar10, Experiment::Cifar100, Experiment::Imagenette] {
            Flags::command_of(experiment).debug_assert();
        }
    }

    #[test]
    fn flags_come_after_set_and_set_after_the_protocol() {
        let config = resolve(&["--set", "train.epochs=7", "--epochs", "3", "--set", "sgd.momentum=0.8"]).unwrap();
        assert_eq!((config.train.epochs, config.sgd.momentum), (3, 0.8));
        assert_eq!(
            config.train.batch_size,
            Config::for_protocol(Experiment::Cifar10, Protocol::Quick).train.batch_size
        );
    }

    #[test]
    fn one_learning_rate_does_not_suit_two_families() {
        let message = resolve(&["--lr", "0.1"]).unwrap_err().to_string();
        assert!(message.starts_with("--lr and SGD beside AdamW or RMSProp conflict"), "{message}");
        let config = resolve(&["--lr", "0.1", "--optimizers", "sgd,lookahead-sgd"]).unwrap();
        assert_eq!((config.sgd.learning_rate, config.lookahead_sgd.learning_rate), (0.1, 0.1));
        assert!(resolve(&["--lr", "NaN", "--optimizers", "sgd"]).unwrap_err().to_string().contains("but is NaN"));
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        for flag in [&["--sync-period", "3"], &["--slow-step-size", "0.5"], &["--state", "reset"]] {
            let arguments: Vec<&str> = flag.iter().copied().chain(["--optimizers", "sgd"]).collect();
            assert!(resolve(&arguments).unwrap_err().to_string().contains("none of them is a Lookahead"));
        }
        assert!(resolve(&["--dataset-dir", "x"]).unwrap_err().to_string().contains("imagenette"));
    }

    #[test]
    fn a_file_may_choose_the_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "protocol = \"paper\"\n[train]\nepochs = 3\n").unwrap();
        let config = resolve(&["--config", path.to_str().unwrap()]).unwrap();
        assert_eq!((config.protocol, config.train.epochs), (Protocol::Paper, 3));
        assert_eq!(config.lookahead.slow_step_size, 0.8);
        std::fs::write(&path, "[train]\nepoch = 3\n").unwrap();
        let message = resolve(&["--config", path.to_str().unwrap()]).unwrap_err().to_string();
        assert!(message.contains("c.toml") && message.contains("`train.epochs`"), "{message}");
    }
}
