//! The whole configuration, and that of one run.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::data::{DataConfig, ImagesConfig, TextConfig};
use super::error::ConfigError;
use super::model::ModelConfig;
use super::names::{Experiment, Protocol};
use super::row::Row;
use super::sections::{EvaluationConfig, ScheduleConfig, TrainConfig};

/// Everything the results of an experiment depend on.
///
/// `--print-config` prints it as TOML; each field is a key, each inner struct a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The experiment; each program has a fixed one.
    pub experiment: Experiment,
    /// The protocol that the settings started from.
    pub protocol: Protocol,
    /// `cpu`, `cuda:N` or `metal:N`; `auto` selects a GPU if this build and machine have one.
    pub device: String,
    /// The rows to compare.
    pub rows: Vec<Row>,
    /// Seeds; each row is trained once per seed.
    pub seeds: Vec<u64>,
    /// The network.
    pub model: ModelConfig,
    /// The data and its preparation.
    pub data: DataConfig,
    /// The training loop.
    pub train: TrainConfig,
    /// Learning rate and momentum over the steps.
    pub schedule: ScheduleConfig,
    /// How a run is evaluated.
    #[serde(default)]
    pub evaluation: EvaluationConfig,
}

impl Config {
    /// The configuration as a TOML table, every key present.
    pub fn to_table(&self) -> Table {
        // A valid configuration contains only values that TOML can hold: `validate` checks this.
        Table::try_from(self).unwrap_or_default()
    }

    /// The TOML that `--print-config` prints and `--config` reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.to_table()).unwrap_or_default()
    }

    /// The settings of its images.
    ///
    /// # Errors
    /// [`ConfigError::WrongValue`] if its data is a text.
    pub fn images(&self) -> Result<&ImagesConfig, ConfigError> {
        self.data.images().ok_or_else(|| self.data.not("images"))
    }

    /// The settings of its text.
    ///
    /// # Errors
    /// [`ConfigError::WrongValue`] if its data is images.
    pub fn text(&self) -> Result<&TextConfig, ConfigError> {
        match &self.data {
            DataConfig::Text(text) => Ok(text),
            DataConfig::Images(_) => Err(self.data.not("text")),
        }
    }

    /// All runs: for each row, one run per seed.
    pub fn runs(&self) -> Vec<RunConfig> {
        let run = |row: &Row, seed: &u64| RunConfig { config: self.clone(), row: row.clone(), seed: *seed };
        self.rows.iter().flat_map(|row| self.seeds.iter().map(move |seed| run(row, seed))).collect()
    }
}

/// One run of a configuration: a row and a seed.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// The whole configuration.
    pub config: Config,
    /// The row.
    pub row: Row,
    /// The seed of initial weights, order, augmentation and mixing.
    pub seed: u64,
}

impl RunConfig {
    /// The folder's name: `<row>[-<state>]-s<seed>`; only Lookahead has a state.
    ///
    /// ```
    /// use lookahead_experiments::{Config, Experiment, Protocol};
    /// let config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
    /// let names: Vec<_> = config.runs().iter().step_by(3).map(|run| run.name()).collect();
    /// assert_eq!(names, ["sgd-s1", "adamw-s1", "rmsprop-s1", "lookahead-sgd-keep-s1", "lookahead-adamw-keep-s1"]);
    /// ```
    pub fn name(&self) -> String {
        self.row.id().run(self.seed)
    }

    /// The configuration of this run alone: one row, one seed. It determines the run's result and is a valid `--config`
    /// file.
    pub fn to_table(&self) -> Table {
        let own = Config { rows: vec![self.row.clone()], seeds: vec![self.seed], ..self.config.clone() };
        own.to_table()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use lookahead_runs::RowId;

    use super::*;
    use crate::config::Around;

    #[test]
    fn a_run_knows_only_its_own_row() {
        let mut config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
        let before = config.runs();
        config.rows[1].inner.set_learning_rate(0.5);
        config.seeds.push(99);
        let after: Vec<Table> = config.runs().iter().map(RunConfig::to_table).collect();
        for run in before {
            assert_eq!(!after.contains(&run.to_table()), run.row.name == "adamw", "{}", run.name());
        }
    }

    /// What a report reads of a run's `config.toml` is what the row is.
    #[test]
    fn a_run_folder_says_the_row_it_is_of() {
        for experiment in Experiment::value_variants() {
            for protocol in Protocol::value_variants() {
                for run in Config::for_protocol(*experiment, *protocol).runs() {
                    let id = RowId::of_config(&run.to_table()).unwrap();
                    assert_eq!(id, run.row.id());
                    assert_eq!(
                        (&id.name, &id.title, id.inner.as_str()),
                        (&run.row.name, &run.row.title, run.row.inner.kind())
                    );
                    assert_eq!(id.is_plain(), run.row.around == Around::Nothing);
                    assert_eq!(id.state, run.row.state().map(|state| state.to_string()).unwrap_or_default());
                    assert!(!id.label().is_empty());
                }
            }
        }
    }
}
