//! `plan.json`: the runs that an experiment is meant to have.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::error::Result;

/// The runs of the last command, so that a report can list those that have not started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the run folders.
    pub runs: Vec<String>,
}

const PLAN: &str = "plan.json";

impl Plan {
    /// Writes `plan.json` in the folder `experiment`.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output) if the file cannot be written.
    pub fn write(&self, experiment: &Path) -> Result<()> {
        atomic::write_json(&experiment.join(PLAN), self)
    }

    /// Reads `plan.json` in the folder `experiment`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if the file is not a plan, [`Error::Output`](crate::Error::Output) if
    /// it cannot be read.
    pub fn read(experiment: &Path) -> Result<Option<Self>> {
        atomic::read_json(&experiment.join(PLAN))
    }
}
