//! The cells of a sweep and their states.

use std::fs;
use std::path::{Path, PathBuf};

use lookahead_runs::{Look, RunSummary, has_ended, look, look_except};
use rayon::prelude::*;

use crate::config::RunConfig;
use crate::error::Result;

/// The file in a cell's folder with the reason why it failed, until it is retried.
const FAILED: &str = "failed.txt";

/// Runs in one folder.
#[derive(Debug)]
pub(in crate::program) struct Cells {
    /// The folder that contains theirs.
    pub(in crate::program) folder: PathBuf,
    /// The runs, in their order.
    pub(in crate::program) runs: Vec<RunConfig>,
    /// The names of their folders.
    names: Vec<String>,
}

/// The state of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::program) enum State {
    ToDo,
    Done,
    Diverged,
    /// It failed since the command was last started.
    Failed,
}

impl Cells {
    pub(in crate::program) fn new(folder: PathBuf, runs: Vec<RunConfig>) -> Self {
        let names = runs.par_iter().map(RunConfig::name).collect();
        Self { folder, runs, names }
    }

    /// The name of cell `cell`.
    pub(in crate::program) fn name(&self, cell: usize) -> &str {
        &self.names[cell]
    }

    /// The folder of cell `cell`.
    pub(in crate::program) fn path(&self, cell: usize) -> PathBuf {
        self.folder.join(&self.names[cell])
    }

    /// Number of cells that have ended, from a quick look at their folders.
    pub(in crate::program) fn ended(&self) -> usize {
        let ended = |cell: &usize| {
            let path = self.path(*cell);
            has_ended(&path) || Self::has_failed(&path)
        };
        (0..self.names.len()).into_par_iter().filter(ended).count()
    }

    /// The state of cell `cell`. A cell that has ended may have run on any device.
    ///
    /// # Errors
    /// A folder that holds a run of another configuration.
    pub(in crate::program) fn state(&self, cell: usize) -> Result<State> {
        self.state_on(cell, has_ended(&self.path(cell)))
    }

    fn state_on(&self, cell: usize, any_device: bool) -> Result<State> {
        let (path, config) = (self.path(cell), self.runs[cell].to_table());
        let found = if any_device { look_except(&path, &config, "device") } else { look(&path, &config) };
        Ok(match found? {
            Look::Done => State::Done,
            Look::Diverged => State::Diverged,
            Look::ToDo if Self::has_failed(&path) => State::Failed,
            Look::ToDo => State::ToDo,
        })
    }

    /// The states of all cells.
    ///
    /// # Errors
    /// As [`state`](Self::state), for the first cell.
    pub(in crate::program) fn states(&self) -> Result<Vec<State>> {
        (0..self.runs.len()).into_par_iter().map(|cell| self.state(cell)).collect()
    }

    /// The states of all cells, whichever device they run on: to list them, nobody needs that device.
    ///
    /// # Errors
    /// As [`state`](Self::state), for the first cell.
    pub(in crate::program) fn listed(&self) -> Result<Vec<State>> {
        (0..self.runs.len()).into_par_iter().map(|cell| self.state_on(cell, true)).collect()
    }

    /// The summary of a finished cell.
    pub(in crate::program) fn summary(&self, cell: usize) -> Option<RunSummary> {
        RunSummary::read(&self.path(cell)).unwrap_or_default()
    }

    fn has_failed(path: &Path) -> bool {
        path.join(FAILED).exists()
    }

    /// Removes the records of failures, so that these cells are retried.
    pub(in crate::program) fn forgive(&self) {
        (0..self.names.len()).into_par_iter().for_each(|cell| self.succeeded(cell));
    }

    /// Records why a cell failed. If that fails too, the reason is only in this process's output.
    pub(in crate::program) fn failed(&self, cell: usize, why: &str) {
        let _ = fs::create_dir_all(self.path(cell));
        let _ = fs::write(self.path(cell).join(FAILED), format!("{why}\n"));
    }

    /// Removes the failure that an earlier process recorded.
    pub(in crate::program) fn succeeded(&self, cell: usize) {
        let _ = fs::remove_file(self.path(cell).join(FAILED));
    }
}
