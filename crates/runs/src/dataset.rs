//! `data.json`: what a run is trained and validated on.

use serde::{Deserialize, Serialize};

use crate::score::TaskKind;

/// A data set as a run uses it, after limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DataSet {
    /// What is learned of it.
    pub task: TaskKind,
    /// Its name, such as `cifar10` or that of the folder.
    pub name: String,
    /// Digest of all parts.
    pub sha256: String,
    /// What is trained on.
    pub train: DataPart,
    /// What is validated on after each epoch: images held out of training, or the test images where none are.
    pub valid: DataPart,
    /// What a finished run is tested on, once; empty where it is not, or where `valid` are the test images.
    #[serde(skip_serializing_if = "DataPart::is_empty")]
    pub test: DataPart,
    /// Whether `valid` was held out of training.
    pub held_out: bool,
    /// The class names, in the order of the labels; none where there are no classes.
    pub classes: Vec<String>,
}

/// One part of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DataPart {
    /// Its name, such as `cifar10/test`.
    pub name: String,
    /// Images or tokens.
    #[serde(alias = "images")]
    pub count: u64,
}

impl DataPart {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
