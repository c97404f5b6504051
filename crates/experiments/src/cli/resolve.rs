//! From the command line to the configuration.

use super::Flags;
use crate::config::{Config, ConfigError, Overrides, read_table};
use crate::names::{Experiment, OptimizerName, Protocol};

impl Flags {
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
        for (flag, value) in [
            ("--threads", self.threads),
            ("--log-every", Some(self.log_every)),
            ("--checkpoint-every", self.checkpoint_every),
        ] {
            if value == Some(0) {
                let (key, value) = (flag.to_owned(), "0".to_owned());
                return Err(ConfigError::OutOfRange { key, rule: "1 or more", value });
            }
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
    use clap::Parser;

    use super::*;

    fn resolve(arguments: &[&str]) -> Result<Config, ConfigError> {
        let arguments = std::iter::once("cifar10").chain(arguments.iter().copied());
        Flags::try_parse_from(arguments).unwrap().resolve(Experiment::Cifar10)
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
