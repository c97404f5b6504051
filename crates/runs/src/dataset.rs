//! `data.json`: what a run is trained and validated on.

use serde::{Deserialize, Serialize};

/// A data set as a run uses it, after limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DataSet {
    /// Its name, such as `cifar10` or that of the folder.
    pub name: String,
    /// Digest of both parts.
    pub sha256: String,
    /// What is trained on.
    pub train: DataPart,
    /// What is validated on.
    pub valid: DataPart,
    /// The class names, in the order of the labels.
    pub classes: Vec<String>,
}

/// One part of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DataPart {
    /// Its name, such as `cifar10/test`.
    pub name: String,
    /// Images.
    pub images: u64,
}
