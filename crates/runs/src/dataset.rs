//! `data.json`: the data of a run.

use serde::{Deserialize, Serialize};

use crate::score::TaskKind;

/// A data set as a run uses it, with limits applied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DataSet {
    /// The run's task.
    pub task: TaskKind,
    /// Its name, such as `cifar10` or that of the folder.
    pub name: String,
    /// SHA-256 of all parts.
    pub sha256: String,
    /// Training data.
    pub train: DataPart,
    /// Data for the validation after each epoch: held out of training, or the test data if nothing is held out.
    pub valid: DataPart,
    /// Test data, read once by a finished run; empty if the run reads none or `valid` is the test data.
    #[serde(skip_serializing_if = "DataPart::is_empty")]
    pub test: DataPart,
    /// Whether `valid` was held out of training.
    pub held_out: bool,
    /// Class names in label order; empty for a task without classes.
    pub classes: Vec<String>,
}

/// One part of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DataPart {
    /// Its name, such as `cifar10/test`.
    pub name: String,
    /// Number of images or tokens.
    #[serde(alias = "images")]
    pub count: u64,
}

impl DataPart {
    /// True if the part has no images or tokens.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
