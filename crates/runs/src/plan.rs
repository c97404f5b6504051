//! `plan.json`: the runs that an experiment is to make.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::error::Result;

/// What the last command wanted to train, so that a report can name the runs that were not begun.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Names of run folders.
    pub runs: Vec<String>,
}

const PLAN: &str = "plan.json";

impl Plan {
    /// Writes it beside the runs of `experiment`.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output).
    pub fn write(&self, experiment: &Path) -> Result<()> {
        atomic::write_json(&experiment.join(PLAN), self)
    }

    /// Reads the one beside the runs of `experiment`; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged), [`Error::Output`](crate::Error::Output).
    pub fn read(experiment: &Path) -> Result<Option<Self>> {
        atomic::read_json(&experiment.join(PLAN))
    }
}
