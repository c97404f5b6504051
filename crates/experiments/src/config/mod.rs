//! The configuration: one value that says everything a run's result depends on.
//!
//! A [`Config`] is made by a protocol ([`Config::for_protocol`]), changed by a TOML file, by `--set key=value` and by
//! flags, in that order ([`Overrides`]), validated once and then never looked at with suspicion again. What does not
//! change results (threads, folders, verbosity) is not in it.

mod overrides;
mod settings;
mod validate;

pub use overrides::Overrides;
pub(crate) use overrides::read_table;
pub use settings::{
    AdamWSettings, Augmentation, AveragingSettings, Config, DataSettings, LookaheadSettings, Mixing, ModelSettings,
    Normalization, RmsPropSettings, ScheduleKind, ScheduleSettings, SgdSettings, TrainSettings,
};

use crate::names::{OptimizerName, State};
use std::path::PathBuf;

/// A rule that a configuration breaks.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that no protocol has.
    #[error("unknown key `{key}`{}{}", from_where(.origin), did_you_mean(.suggestion))]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// `--set` or the file's name.
        origin: String,
        /// The nearest key there is.
        suggestion: Option<String>,
    },
    /// A value of the wrong type, or a name that is not known.
    #[error("`{key}`: {reason}{}", from_where(.origin))]
    WrongValue {
        /// The dotted key.
        key: String,
        /// `--set` or the file's name.
        origin: String,
        /// What was expected.
        reason: String,
    },
    /// A `--set` that has no `=`.
    #[error("--set {given}: expected key=value, such as sgd.learning_rate=0.1")]
    NotAnAssignment {
        /// What was given.
        given: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file that is no TOML.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's report.
        reason: String,
    },
    /// A number outside its range.
    #[error("`{key}` must be {rule}, but is {value}")]
    OutOfRange {
        /// The dotted key.
        key: String,
        /// The range in words.
        rule: &'static str,
        /// The offending value.
        value: String,
    },
    /// Two flags or keys that cannot go together.
    #[error("{first} and {second} conflict: {why}")]
    Conflict {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// Why, and what to do.
        why: String,
    },
}

fn from_where(origin: &str) -> String {
    if origin.is_empty() { String::new() } else { format!(" (from {origin})") }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; --print-config lists all keys".to_owned(),
    }
}

/// One run of a configuration: an optimizer, a state policy and a seed.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// The whole configuration.
    pub config: Config,
    /// The optimizer.
    pub optimizer: OptimizerName,
    /// The state policy; `keep` for optimizers without Lookahead.
    pub state: State,
    /// The seed of initialisation, order, augmentation and mixing.
    pub seed: u64,
}

impl RunConfig {
    /// The folder's name: `<optimizer>[-<state>]-s<seed>`; the state is named for Lookahead only.
    ///
    /// ```
    /// use lookahead_experiments::{Config, Experiment, Protocol};
    /// let config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
    /// let names: Vec<_> = config.runs().iter().take(2).map(|run| run.name()).collect();
    /// assert_eq!(names, ["sgd-s1", "sgd-s2"]);
    /// ```
    pub fn name(&self) -> String {
        match self.optimizer.is_lookahead() {
            true => format!("{}-{}-s{}", self.optimizer, self.state, self.seed),
            false => format!("{}-s{}", self.optimizer, self.seed),
        }
    }

    /// The configuration of this run alone, as a TOML table: without the settings of other optimizers, so that
    /// changing AdamW's learning rate leaves the runs of SGD as they are. It is a valid `--config` file.
    pub fn to_table(&self) -> toml::Table {
        let mut table = self.config.to_table();
        let mut own = vec![self.optimizer.to_string()];
        if self.optimizer.is_lookahead() {
            own.push("lookahead".to_owned());
        } else {
            table.remove("states");
        }
        if self.optimizer == OptimizerName::Polyak {
            own.push("averaging".to_owned());
        }
        for key in settings::OPTIMIZER_TABLES {
            if !own.iter().any(|name| name == key) {
                table.remove(*key);
            }
        }
        table.insert("optimizers".into(), vec![self.optimizer.to_string()].into());
        if self.optimizer.is_lookahead() {
            table.insert("states".into(), vec![self.state.to_string()].into());
        }
        table.insert("seeds".into(), vec![i64::try_from(self.seed).unwrap_or(i64::MAX)].into());
        table
    }
}

/// The first key in which two tables differ, with both values, in the order of `now` and then `was`.
pub(crate) fn first_difference(was: &toml::Table, now: &toml::Table) -> Option<(String, String, String)> {
    let absent = || "not set".to_owned();
    for (key, value) in now {
        match (was.get(key), value) {
            (Some(toml::Value::Table(was)), toml::Value::Table(now)) => {
                if let Some((inner, was, now)) = first_difference(was, now) {
                    return Some((format!("{key}.{inner}"), was, now));
                }
            }
            (Some(was), now) if was == now => {}
            (was, now) => return Some((key.clone(), was.map_or_else(absent, |v| v.to_string()), now.to_string())),
        }
    }
    was.iter().find(|(key, _)| !now.contains_key(*key)).map(|(key, value)| (key.clone(), value.to_string(), absent()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Experiment, Protocol};

    #[test]
    fn a_run_knows_only_its_own_optimizer() {
        let mut config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
        let before: Vec<_> = config.runs().iter().map(RunConfig::to_table).collect();
        config.adamw.learning_rate *= 2.0;
        config.seeds.push(99);
        let after: Vec<_> = config.runs().iter().map(RunConfig::to_table).collect();
        let changed = |table: &toml::Table| !after.contains(table);
        for (run, table) in Config::for_protocol(Experiment::Cifar10, Protocol::Quick).runs().iter().zip(&before) {
            assert_eq!(changed(table), run.optimizer == OptimizerName::AdamW, "{}", run.name());
        }
    }

    #[test]
    fn the_first_difference_is_named_by_its_dotted_key() {
        let config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
        let mut other = config.clone();
        other.train.epochs = 77;
        let (key, was, now) = first_difference(&config.to_table(), &other.to_table()).unwrap();
        assert_eq!((key.as_str(), now.as_str()), ("train.epochs", "77"));
        assert_eq!(was, config.train.epochs.to_string());
        assert_eq!(first_difference(&config.to_table(), &config.to_table()), None);
    }
}
