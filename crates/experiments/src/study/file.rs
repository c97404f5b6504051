//! A study's file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::axis::Axis;
use super::error::StudyError;
use crate::config::{Experiment, Protocol};

/// A study: the rows it compares, their settings and seeds. An unknown key is an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// The experiment: its data, and its variant of the protocol.
    pub experiment: Experiment,
    /// The recipe to start from.
    #[serde(default = "quick")]
    pub protocol: Protocol,
    /// The number of settings per row. Not needed if every row is a grid of lists.
    pub trials: Option<usize>,
    /// Seeds of the sweep: all settings with the first, then all with the next.
    #[serde(default = "one")]
    pub seeds: Vec<u64>,
    /// Seeds of the final runs; none may be one of the sweep's.
    #[serde(default)]
    pub final_seeds: Vec<u64>,
    /// Keys of the configuration with their value in every run: `train.epochs = 2`, with or without quotes.
    #[serde(default)]
    pub fixed: Table,
    /// Keys of the configuration that are varied in every row.
    #[serde(default)]
    pub axes: BTreeMap<String, Axis>,
    /// The rows to compare.
    pub rows: Vec<RowFile>,
    /// Resources of the SLURM jobs.
    #[serde(default)]
    pub slurm: SlurmFile,
}

/// A row of a study.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowFile {
    /// A row of the protocol, such as `lookahead-sgd`.
    pub row: String,
    /// Another name for it, if a study has the row twice: letters, digits, `-` and `_`. No two rows have the same.
    pub name: Option<String>,
    /// Keys of the row with their value in every run: `weight_decay = 1e-3`.
    #[serde(default)]
    pub fixed: Table,
    /// Keys of the row that are varied: `learning_rate = { low = 0.01, high = 1.0 }`.
    #[serde(default)]
    pub axes: BTreeMap<String, Axis>,
}

impl RowFile {
    /// The row's name in the study.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.row)
    }
}

/// Resources of the SLURM jobs, as options of `sbatch`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlurmFile {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--time`, of one element of the array.
    pub time: String,
    /// `--cpus-per-task`.
    pub cpus: usize,
    /// `--mem`.
    pub mem: Option<String>,
    /// `--gpus`.
    pub gpus: Option<usize>,
    /// Elements of the array, at most [`StudyFile::MOST_ELEMENTS`]. Each trains its share of the cells, one after
    /// another.
    pub elements: usize,
    /// Maximum number of elements that run at a time.
    pub parallel: usize,
    /// Seconds before the time limit at which a run saves and returns to the queue.
    pub notice: usize,
    /// Lines to run before the program, such as `module load`.
    pub setup: Vec<String>,
}

impl Default for SlurmFile {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            time: "04:00:00".to_owned(),
            cpus: 2,
            mem: None,
            gpus: None,
            elements: 16,
            parallel: 8,
            notice: 120,
            setup: Vec::new(),
        }
    }
}

fn quick() -> Protocol {
    Protocol::Quick
}

fn one() -> Vec<u64> {
    vec![1]
}

/// Keys that the tables of a study may not set, with what to do instead.
const OWN: [(&str, &str); 7] = [
    ("experiment", "set it at the top of the file"),
    ("protocol", "set it at the top of the file"),
    ("seeds", "set them at the top of the file"),
    ("rows", "define rows as [[rows]]"),
    ("device", "use the flag --device"),
    ("data.test", "a sweep never reads the test images, and final runs always read them once"),
    ("name", "set a row's name as `name` in [[rows]]"),
];

impl StudyFile {
    /// Maximum number of elements of a SLURM array: by default, a cluster allows 1001.
    pub const MOST_ELEMENTS: usize = 1000;

    /// Reads and checks a file. [`Study`](super::Study) checks what needs the configuration.
    ///
    /// # Errors
    /// [`StudyError::File`], [`StudyError::Axis`], [`StudyError::Key`].
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let wrong = |reason: String| StudyError::File { path: path.to_path_buf(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let file: Self = toml::from_str(&text)
            .map_err(|error: toml::de::Error| wrong(error.to_string().trim_end().replace('\n', "; ")))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), StudyError> {
        let wrong = |key: &str, reason: &str| Err(StudyError::Key { key: key.to_owned(), reason: reason.to_owned() });
        for (list, key) in [(&self.seeds, "seeds"), (&self.final_seeds, "final_seeds")] {
            if list.iter().enumerate().any(|(at, seed)| list[..at].contains(seed)) {
                return wrong(key, "a seed is listed twice");
            }
        }
        if self.seeds.is_empty() {
            return wrong("seeds", "the list is empty; a sweep needs at least one seed");
        }
        if let Some(seed) = self.final_seeds.iter().find(|seed| self.seeds.contains(seed)) {
            return wrong(
                "final_seeds",
                &format!("{seed} is also in `seeds`; final runs need seeds that tuning has not used"),
            );
        }
        if self.rows.is_empty() {
            return wrong("rows", "there are no rows; add at least one [[rows]]");
        }
        if self.trials == Some(0) {
            return wrong("trials", "must be 1 or more, but is 0");
        }
        let SlurmFile { elements, parallel, cpus, .. } = self.slurm;
        if !(1..=Self::MOST_ELEMENTS).contains(&elements) || parallel == 0 || cpus == 0 {
            return wrong("slurm", "elements must be 1 to 1000, parallel and cpus 1 or more");
        }
        let all_axes = || self.rows.iter().map(|row| &row.axes).chain([&self.axes]);
        let all_fixed = || self.rows.iter().map(|row| &row.fixed).chain([&self.fixed]);
        for (key, why) in OWN {
            let has = |table: &Table| dotted(table).iter().any(|(found, _)| is_below(found, key));
            if all_axes().any(|axes| axes.keys().any(|found| is_below(found, key))) || all_fixed().any(has) {
                return wrong(key, why);
            }
        }
        for (key, axis) in all_axes().flatten() {
            axis.check(key)?;
        }
        for (at, row) in self.rows.iter().enumerate() {
            if row.name().is_empty() {
                return wrong("rows.name", "the name is empty; leave it out, or give one");
            }
            if self.rows[..at].iter().any(|other| other.name() == row.name()) {
                let reason = format!("two rows are called `{}`; give one of them another `name`", row.name());
                return wrong("rows", &reason);
            }
            self.check_twice(row)?;
        }
        Ok(())
    }

    /// Checks that no key is set twice for `row`. What is fixed for all rows may be fixed otherwise for one.
    fn check_twice(&self, row: &RowFile) -> Result<(), StudyError> {
        let keys = |fixed: &Table| dotted(fixed).into_iter().map(|(key, _)| key);
        // The keys of the configuration by which a key of this row may be set, its own first.
        let spellings = |key: &String| [format!("{}.{key}", row.row), format!("lookahead.{key}")];
        let own = |key: &String| spellings(key)[0].clone();
        let fixed: Vec<String> = keys(&row.fixed).flat_map(|key| spellings(&key)).chain(keys(&self.fixed)).collect();
        let mut axes = row.axes.keys().map(own).chain(self.axes.keys().cloned());
        if let Some(key) = axes.find(|key| fixed.contains(key)) {
            let reason = "is both fixed and an axis; remove one of them".to_owned();
            return Err(StudyError::Key { key, reason });
        }
        let axes: Vec<String> = row.axes.keys().flat_map(spellings).collect();
        if let Some(key) = self.axes.keys().find(|key| axes.contains(key)) {
            let reason = format!("is in [axes], and the row `{}` has the same axis; remove one of them", row.name());
            return Err(StudyError::Key { key: key.clone(), reason });
        }
        Ok(())
    }
}

/// Whether `found` is `key` or one of its keys.
fn is_below(found: &str, key: &str) -> bool {
    found.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `fixed` as dotted keys: a table inside is part of the key, so `train.epochs = 2` works without quotes.
pub(super) fn dotted(fixed: &Table) -> Vec<(String, Value)> {
    fn below(key: &str, value: &Value, all: &mut Vec<(String, Value)>) {
        match value {
            Value::Table(table) => {
                table.iter().for_each(|(inner, value)| below(&format!("{key}.{inner}"), value, all));
            }
            other => all.push((key.to_owned(), other.clone())),
        }
    }
    let mut all = Vec::new();
    fixed.iter().for_each(|(key, value)| below(key, value, &mut all));
    all
}
