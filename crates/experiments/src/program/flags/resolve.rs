//! From the command line to the configuration.

use lookahead_optim::LookaheadConfig;

use super::{Flags, Seeds};
use crate::config::{Config, ConfigError, Experiment, Overrides, Protocol, states_of};

impl Flags {
    /// The configuration that results from these flags: the protocol, then the file, then the chosen rows, then
    /// `--set`, then the other flags.
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
        if !self.optimizers.is_empty() {
            overrides.select(&self.optimizers, &Config::all_rows(experiment, base.protocol))?;
        }
        // Before the keys that only this network has.
        if let Some(model) = self.model {
            overrides.model(model)?;
        }
        self.set.iter().try_for_each(|assignment| set(&mut overrides, assignment))?;
        self.put_names(&mut overrides)?;
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
        self.change_rows(&mut config)?;
        config.validate()?;
        self.check_conflicts(&config)?;
        Ok(config)
    }

    fn protocol_of_file(&self) -> Result<Option<Protocol>, ConfigError> {
        self.config.as_deref().map_or(Ok(None), Overrides::protocol_of)
    }

    fn put_names(&self, overrides: &mut Overrides) -> Result<(), ConfigError> {
        if !self.seeds.is_empty() {
            let seeds = Seeds::all(&self.seeds).into_iter().map(|seed| i64::try_from(seed).unwrap_or(-1));
            let seeds: Vec<i64> = seeds.collect();
            overrides.put("seeds", seeds, "--seeds")?;
        }
        if let Some(device) = &self.device {
            overrides.put("device", device.as_str(), "--device")?;
        }
        Ok(())
    }

    fn put_numbers(&self, overrides: &mut Overrides) -> Result<(), ConfigError> {
        if let Some(epochs) = self.epochs {
            overrides.put("train.epochs", epochs, "--epochs")?;
        }
        for (key, value, flag) in [
            ("train.batch_size", self.batch_size, "--batch-size"),
            ("data.limit_train", self.limit_train, "--limit-train"),
            ("data.limit_valid", self.limit_valid, "--limit-valid"),
        ] {
            if let Some(value) = value {
                overrides.put(key, i64::try_from(value).unwrap_or(i64::MAX), flag)?;
            }
        }
        Ok(())
    }

    /// Flags that apply to all rows that they can apply to.
    fn change_rows(&self, config: &mut Config) -> Result<(), ConfigError> {
        let given = [
            ("--sync-period", self.sync_period.is_some()),
            ("--slow-step-size", self.slow_step_size.is_some()),
            ("--state", !self.state.is_empty()),
        ];
        // With the same settings, an exponential average would be another one and no longer a control.
        let rows = config.rows.iter_mut().filter(|row| !row.around.is_exponential_average());
        let around: Vec<&mut LookaheadConfig> = rows.filter_map(|row| row.around.lookahead_mut()).collect();
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given && around.is_empty()) {
            let why = "none of them uses Lookahead; select a row that does, such as lookahead-sgd";
            return Err(no_row(flag, config, why));
        }
        for lookahead in around {
            if let Some(period) = self.sync_period {
                lookahead.sync_period = period.into();
            }
            if let Some(size) = self.slow_step_size {
                lookahead.slow_step_size = size.into();
            }
        }
        if !self.state.is_empty() {
            if config.rows.iter().all(|row| row.state().is_none()) {
                let why =
                    "their Lookahead never pulls the fast weights back, so nothing happens to the state at a sync";
                return Err(no_row("--state", config, why));
            }
            config.rows = states_of(std::mem::take(&mut config.rows), &self.state);
        }
        self.lr.map_or(Ok(()), |learning_rate| put_learning_rate(config, learning_rate))
    }

    fn check_conflicts(&self, config: &Config) -> Result<(), ConfigError> {
        let conflict = |first: &str, second: String, why: &str| {
            Err(ConfigError::Conflict { first: first.to_owned(), second, why: why.to_owned() })
        };
        let takes_folders = config.experiment.has_photographs() || config.experiment == Experiment::Language;
        if self.dataset_dir.is_some() && !takes_folders {
            return conflict(
                "--dataset-dir",
                format!("the experiment {}", config.experiment),
                "it has its own data; `imagenette` and `imagenet` accept folders of images, `language` accepts texts",
            );
        }
        if self.dataset_dir.is_some() && self.data.is_some() {
            return conflict(
                "--dataset-dir",
                "--data".to_owned(),
                "one names the data set, the other the folder of data sets; give only one of them",
            );
        }
        for (flag, value) in [("--log-every", Some(self.log_every)), ("--checkpoint-every", self.checkpoint_every)] {
            if value == Some(0) {
                let (key, value) = (flag.to_owned(), "0".to_owned());
                return Err(ConfigError::OutOfRange { key, rule: "1 or more".into(), value });
            }
        }
        Ok(())
    }
}

/// Applies one `--set`. The protocol is what the settings start from: set here, it would be a name without effect.
fn set(overrides: &mut Overrides, assignment: &str) -> Result<(), ConfigError> {
    match assignment.split_once('=') {
        Some((key, name)) if key.trim() == "protocol" => Err(ConfigError::WrongValue {
            key: "protocol".to_owned(),
            origin: "--set".to_owned(),
            reason: format!("it is where the settings start from; give `--protocol {}` instead", name.trim()),
        }),
        _ => overrides.set(assignment),
    }
}

/// The error of a flag that applies to none of the selected rows.
fn no_row(flag: &str, config: &Config, why: &str) -> ConfigError {
    let names: Vec<&str> = config.rows.iter().map(|row| row.name.as_str()).collect();
    ConfigError::Conflict {
        first: flag.to_owned(),
        second: format!("--optimizers {}", names.join(",")),
        why: why.to_owned(),
    }
}

/// `--lr` for the chosen rows. Learning rates of SGD and AdamW are not comparable: the original project gave
/// Lookahead/AdamW the rate of Lookahead/SGD and drew conclusions from it.
fn put_learning_rate(config: &mut Config, learning_rate: f64) -> Result<(), ConfigError> {
    if !(learning_rate > 0.0 && learning_rate.is_finite()) {
        let (key, rule, value) = ("--lr".to_owned(), "above 0 and finite".into(), learning_rate.to_string());
        return Err(ConfigError::OutOfRange { key, rule, value });
    }
    let mut kinds = config.rows.iter().map(|row| row.inner.title());
    let first = kinds.next().unwrap_or_default();
    if let Some(other) = kinds.find(|kind| *kind != first) {
        return Err(ConfigError::Conflict {
            first: "--lr".to_owned(),
            second: format!("{first} beside {other}"),
            why: "one learning rate cannot suit both; select rows with --optimizers, or use --set adamw.learning_rate=..."
                .to_owned(),
        });
    }
    config.rows.iter_mut().for_each(|row| row.inner.set_learning_rate(learning_rate));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn resolve(arguments: &[&str]) -> Result<Config, ConfigError> {
        let arguments = std::iter::once("cifar10").chain(arguments.iter().copied());
        Flags::try_parse_from(arguments).unwrap().resolve(Experiment::Cifar10)
    }

    #[test]
    fn flags_come_after_set_and_set_after_the_protocol() {
        let config = resolve(&["--set", "train.epochs=7", "--epochs", "3", "--set", "sgd.learning_rate=0.8"]).unwrap();
        assert_eq!((config.train.epochs, config.rows[0].inner.learning_rate()), (3.0, 0.8));
        let quick = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
        assert_eq!(config.train.batch_size, quick.train.batch_size);
    }

    #[test]
    fn the_network_is_chosen_before_its_keys() {
        let config = resolve(&["--set", "model.width=0.5", "--model", "speednet"]).unwrap();
        assert_eq!(config.to_table()["model"]["width"].as_float(), Some(0.5));
    }

    #[test]
    fn one_learning_rate_does_not_suit_two_kinds() {
        let message = resolve(&["--lr", "0.1"]).unwrap_err().to_string();
        assert!(message.starts_with("--lr and SGD beside AdamW conflict"), "{message}");
        let message = resolve(&["--lr", "0.1", "--optimizers", "sgd,adamw,lookahead-sgd"]).unwrap_err().to_string();
        assert!(message.starts_with("--lr and SGD beside AdamW conflict"), "{message}");
        let config = resolve(&["--lr", "0.1", "--optimizers", "sgd,lookahead-sgd,polyak"]).unwrap();
        assert!(config.rows.len() == 3 && config.rows.iter().all(|row| row.inner.learning_rate() == 0.1));
        assert!(resolve(&["--lr", "NaN", "--optimizers", "sgd"]).unwrap_err().to_string().contains("but is NaN"));
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        for flag in [&["--sync-period", "3"], &["--slow-step-size", "0.5"], &["--state", "reset"]] {
            let arguments: Vec<&str> = flag.iter().copied().chain(["--optimizers", "sgd"]).collect();
            assert!(resolve(&arguments).unwrap_err().to_string().contains("none of them uses Lookahead"));
        }
        let average = ["--protocol", "speedrun", "--optimizers", "average", "--state", "reset"];
        assert!(resolve(&average).unwrap_err().to_string().contains("never pulls the fast weights back"));
        assert!(resolve(&["--dataset-dir", "x"]).unwrap_err().to_string().contains("imagenette"));
        let message = resolve(&["--set", "data.image_size=64"]).unwrap_err().to_string();
        assert!(message.contains("no transform in it sets the size of images"), "{message}");
    }

    #[test]
    fn a_protocol_is_chosen_by_its_flag() {
        for assignment in ["protocol=paper", "protocol = paper"] {
            let message = resolve(&["--set", assignment]).unwrap_err().to_string();
            assert_eq!(
                message,
                "`protocol`: it is where the settings start from; give `--protocol paper` instead (from --set)"
            );
        }
        let message = resolve(&["--set", "experiment=demo"]).unwrap_err().to_string();
        assert!(message.contains("the configuration is for another experiment"), "{message}");
        let config = resolve(&["--set", "device=cuda:0", "--set", "seeds=4,5"]).unwrap();
        assert_eq!((config.device.as_str(), config.seeds.as_slice()), ("cuda:0", &[4, 5][..]));
        assert_eq!(resolve(&["--seeds", "1-3,7"]).unwrap().seeds, [1, 2, 3, 7]);
    }

    /// In the sprint's rows, the average mirrors Lookahead's slow weights; the exponential average has its own decay.
    #[test]
    fn flags_of_lookahead_leave_the_exponential_average_alone() {
        let rows = ["--protocol", "sprint", "--optimizers", "lookahead,plain,average,ema"];
        let of = |flags: &[&str]| {
            let config = resolve(&[&rows, flags].concat()).unwrap();
            let of = |name: &str| config.rows.iter().find(|row| row.name == name)?.around.lookahead().cloned();
            ["lookahead", "average", "ema"].map(|name| of(name).unwrap())
        };
        let before = of(&[]);
        for flags in [
            &["--sync-period", "10", "--slow-step-size", "0.8"][..],
            &["--set", "lookahead.sync_period=10", "--set", "lookahead.slow_step_size=0.8"],
        ] {
            let after = of(flags);
            for row in [0, 1] {
                assert_eq!(after[row].sync_period, 10.into(), "{flags:?}");
                assert_eq!(after[row].slow_step_size, 0.8.into(), "{flags:?}");
            }
            assert_eq!(after[2], before[2], "{flags:?}");
        }
        let alone = ["--protocol", "sprint", "--optimizers", "ema", "--sync-period", "10"];
        assert!(resolve(&alone).unwrap_err().to_string().contains("none of them uses Lookahead"));
    }

    #[test]
    fn each_state_is_a_row() {
        let config =
            resolve(&["--optimizers", "sgd,lookahead-sgd", "--state", "keep,reset", "--sync-period", "7"]).unwrap();
        let folders: Vec<String> = config.rows.iter().map(|row| row.folder()).collect();
        assert_eq!(folders, ["sgd", "lookahead-sgd-keep", "lookahead-sgd-reset"]);
        assert!(config.rows[1..].iter().all(|row| row.around.lookahead().unwrap().sync_period == 7.into()));
        // The original protocol has both from the start.
        let one =
            resolve(&["--protocol", "original", "--optimizers", "lookahead-sgd", "--state", "interpolate"]).unwrap();
        assert_eq!(one.rows.iter().map(|row| row.folder()).collect::<Vec<_>>(), ["lookahead-sgd-interpolate"]);
    }

    #[test]
    fn a_file_may_choose_the_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "protocol = \"paper\"\n[train]\nepochs = 3\n").unwrap();
        let config = resolve(&["--config", path.to_str().unwrap()]).unwrap();
        assert_eq!((config.protocol, config.train.epochs), (Protocol::Paper, 3.0));
        assert_eq!(config.rows[3].around.lookahead().unwrap().slow_step_size, 0.8.into());
        std::fs::write(&path, "[train]\nepoch = 3\n").unwrap();
        let message = resolve(&["--config", path.to_str().unwrap()]).unwrap_err().to_string();
        assert!(message.contains("c.toml") && message.contains("`train.epochs`"), "{message}");
    }

    /// What the crate's front page shows is understood.
    #[test]
    fn the_examples_of_the_readme_work() {
        let readme = include_str!("../../../README.md");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slow.toml");
        std::fs::write(&path, readme.split("```toml").nth(1).unwrap().split("```").next().unwrap()).unwrap();
        let config = resolve(&["--config", path.to_str().unwrap(), "--optimizers", "sgd,slow-sgd"]).unwrap();
        assert_eq!(config.rows.iter().map(|row| row.folder()).collect::<Vec<_>>(), ["sgd", "slow-sgd-keep"]);
        assert_eq!(config.rows[1].around.lookahead().unwrap().sync_period, 20.into());

        let shown: Vec<&str> = readme.split("`--set ").skip(1).map(|rest| rest.split('`').next().unwrap()).collect();
        assert!(shown.len() >= 8, "{shown:?}");
        for assignment in shown.iter().filter(|shown| shown.contains('=') && **shown != "key=value") {
            let arguments = ["imagenette", "--set", assignment.trim_matches('\'')];
            let flags = Flags::try_parse_from(arguments).unwrap();
            flags.resolve(Experiment::Imagenette).unwrap_or_else(|error| panic!("{assignment}: {error}"));
        }
    }
}
