//! The cells of a sweep and their states.

use std::fs;
use std::path::{Path, PathBuf};

use lookahead_runs::{Error as RunsError, Look, RunSummary, has_ended, is_in_use, look, look_except};
use rayon::prelude::*;

use crate::config::{Config, DataConfig, RunConfig};
use crate::error::{Error, Result};

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

/// The data that finished cells were trained on.
#[derive(Debug, Clone)]
pub(in crate::program) struct Trained {
    /// Which data they are, by their configuration: [`DataConfig::source`].
    source: DataConfig,
    /// SHA-256 of the data.
    pub(in crate::program) sha256: String,
    /// The folder of one of the cells.
    pub(in crate::program) folder: PathBuf,
}

impl Trained {
    /// Whether `config` is one of the same data, which should have the same digest.
    pub(in crate::program) fn is_of(&self, config: &Config) -> bool {
        self.source == config.data.source()
    }
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

    /// The summary of a cell that is [done](State::Done).
    ///
    /// # Errors
    /// A summary that cannot be read, is damaged, or is gone: such a cell did not diverge.
    pub(in crate::program) fn summary(&self, cell: usize) -> Result<RunSummary> {
        let path = self.path(cell);
        let gone = || RunsError::Damaged { path: path.clone(), reason: "its summary.json is gone".to_owned() };
        Ok(RunSummary::read(&path)?.ok_or_else(gone)?)
    }

    fn has_failed(path: &Path) -> bool {
        path.join(FAILED).exists()
    }

    /// The data of the finished cells, each once.
    ///
    /// # Errors
    /// A summary that cannot be read or is damaged.
    pub(in crate::program) fn trained(&self) -> Result<Vec<Trained>> {
        let of = |cell: usize| -> Result<Option<Trained>> {
            let folder = self.path(cell);
            if !has_ended(&folder) {
                return Ok(None);
            }
            let details = RunSummary::read(&folder)?.and_then(|summary| summary.details);
            let source = self.runs[cell].config.data.source();
            Ok(details.map(|details| Trained { source, sha256: details.data_sha256, folder }))
        };
        let all: Vec<Option<Trained>> = (0..self.runs.len()).into_par_iter().map(of).collect::<Result<_>>()?;
        let mut different: Vec<Trained> = Vec::new();
        for one in all.into_iter().flatten() {
            if !different.iter().any(|other| other.sha256 == one.sha256 && other.source == one.source) {
                different.push(one);
            }
        }
        Ok(different)
    }

    /// Checks that the finished cells of one configuration of the data were trained on the same data.
    ///
    /// # Errors
    /// [`Error::DifferentData`]; as [`trained`](Self::trained).
    pub(in crate::program) fn check_data(&self) -> Result<()> {
        let trained = self.trained()?;
        for (at, other) in trained.iter().enumerate() {
            if let Some(first) = trained[..at].iter().find(|first| first.source == other.source) {
                return Err(Error::DifferentData {
                    first: first.folder.clone(),
                    first_sha256: first.sha256.clone(),
                    other: other.folder.clone(),
                    other_sha256: other.sha256.clone(),
                });
            }
        }
        Ok(())
    }

    /// Removes the records of failures, so that these cells are retried; not while a process trains a cell: it would
    /// retry what has failed each time that another process is started.
    pub(in crate::program) fn forgive(&self) {
        let paths = || (0..self.names.len()).into_par_iter().map(|cell| self.path(cell));
        // To look for a lock is to take it for a moment, so look only if there is something to forgive.
        let is_any = paths().any(|path| Self::has_failed(&path));
        if is_any && !paths().any(|path| !has_ended(&path) && is_in_use(&path)) {
            (0..self.names.len()).into_par_iter().for_each(|cell| self.succeeded(cell));
        }
    }

    /// Records why a cell failed; false if that fails too, so that only this process knows.
    pub(in crate::program) fn failed(&self, cell: usize, why: &str) -> bool {
        let path = self.path(cell);
        fs::create_dir_all(&path).and_then(|()| fs::write(path.join(FAILED), format!("{why}\n"))).is_ok()
    }

    /// Removes the failure that an earlier process recorded.
    pub(in crate::program) fn succeeded(&self, cell: usize) {
        let _ = fs::remove_file(self.path(cell).join(FAILED));
    }
}
