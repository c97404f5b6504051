//! A run's folder: `runs/<experiment>/<run>/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::checkpoint::Checkpoints;
use crate::config::{self, RunConfig};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::lock::{self, Lock};
use crate::metrics::MetricsFile;
use crate::summary::RunSummary;

/// A run folder that this process has locked.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    data_sha256: String,
    _lock: Lock,
}

/// What a run folder holds.
#[derive(Debug)]
pub enum RunState {
    /// The run is done.
    Done(Box<RunSummary>),
    /// The run is to be started or gone on with.
    Open(RunFolder),
}

impl RunFolder {
    /// Looks at the folder of `run` below `experiment` and locks it, unless the run is done.
    ///
    /// `fresh` throws an old run away.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::ConfigChanged`], [`Error::DataChanged`], [`Error::Damaged`], [`Error::Output`].
    pub fn open(
        experiment: &Path,
        run: &RunConfig,
        data_sha256: &str,
        environment: &Environment,
        fresh: bool,
    ) -> Result<RunState> {
        let path = experiment.join(run.name());
        let table = run.to_table();
        if !fresh {
            check_config(&path, &table)?;
            if let Some(summary) = read_done(&path, data_sha256)? {
                return Ok(RunState::Done(Box::new(summary)));
            }
        }
        fs::create_dir_all(&path).map_err(Error::output("create", &path))?;
        let lock = Lock::take(&path)?;
        if fresh {
            empty(&path)?;
        } else {
            // Another process may have begun or ended the run while this one waited for the lock's answer.
            check_config(&path, &table)?;
            if let Some(summary) = read_done(&path, data_sha256)? {
                return Ok(RunState::Done(Box::new(summary)));
            }
        }
        let text = toml::to_string(&table).map_err(|error| Error::Output {
            action: "write",
            path: path.join(CONFIG),
            source: std::io::Error::other(error),
        })?;
        atomic::write(&path.join(CONFIG), text.as_bytes())?;
        atomic::write_json(&path.join("env.json"), environment)?;
        Ok(RunState::Open(Self { path, data_sha256: data_sha256.to_owned(), _lock: lock }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Digest of the data the run is on.
    pub fn data_sha256(&self) -> &str {
        &self.data_sha256
    }

    pub(crate) fn checkpoints(&self) -> Result<Checkpoints> {
        Checkpoints::open(&self.path, &self.data_sha256)
    }

    pub(crate) fn metrics(&self, keep: u64) -> Result<MetricsFile> {
        MetricsFile::open(&self.path.join("metrics.jsonl"), keep)
    }

    /// Writes the summary, which makes the run done.
    pub(crate) fn finish(&self, summary: &RunSummary) -> Result<()> {
        atomic::write_json(&self.path.join(SUMMARY), summary)
    }
}

const CONFIG: &str = "config.toml";
const SUMMARY: &str = "summary.json";

/// A run that got nowhere (no checkpoint, no summary) may be started over with any configuration: nothing is lost.
fn check_config(path: &Path, now: &toml::Table) -> Result<()> {
    let file = path.join(CONFIG);
    let worth_keeping = path.join(SUMMARY).exists() || Checkpoints::any(path);
    if !file.exists() || !worth_keeping {
        return Ok(());
    }
    let was = config::read_table(&file)
        .map_err(|error| Error::Damaged { path: file, reason: format!("{error}; --fresh starts the run over") })?;
    match config::first_difference(&was, now) {
        None => Ok(()),
        Some((key, was, now)) => Err(Error::ConfigChanged { path: path.to_path_buf(), key, was, now }),
    }
}

fn read_done(path: &Path, data_sha256: &str) -> Result<Option<RunSummary>> {
    let Some(summary) = atomic::read_json::<RunSummary>(&path.join(SUMMARY))? else { return Ok(None) };
    match &summary.details {
        Some(details) if details.data_sha256 == data_sha256 => Ok(Some(summary)),
        Some(details) => Err(Error::DataChanged {
            path: path.to_path_buf(),
            was: details.data_sha256.clone(),
            now: data_sha256.to_owned(),
        }),
        None => Err(Error::Damaged {
            path: path.join(SUMMARY),
            reason: "it lacks the run's details; --fresh starts the run over".to_owned(),
        }),
    }
}

/// Removes what a run wrote, and nothing else: `--out` may name a folder with other things in it.
fn empty(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).map_err(Error::output("read", path))? {
        let entry = entry.map_err(Error::output("read", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let file = entry.path();
        let ours = [CONFIG, SUMMARY, "env.json", "metrics.jsonl"].contains(&name.as_str())
            || name.starts_with("events.out.tfevents.")
            || name.ends_with(".tmp");
        let removed = match name.as_str() {
            "checkpoint" => fs::remove_dir_all(&file),
            lock::NAME => Ok(()),
            _ if ours => fs::remove_file(&file),
            _ => Ok(()),
        };
        removed.map_err(Error::output("remove", &file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::names::{Experiment, Protocol};

    fn run() -> RunConfig {
        Config::for_protocol(Experiment::Demo, Protocol::Quick).runs().remove(0)
    }

    fn open(root: &Path, run: &RunConfig, data: &str, fresh: bool) -> Result<RunState> {
        RunFolder::open(root, run, data, &Environment::here("cpu", 1)?, fresh)
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let held = open(root.path(), &run(), "d", false).unwrap();
        let error = open(root.path(), &run(), "d", false).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }));
        assert_eq!(error.exit_status(), 2);
        drop(held);
        open(root.path(), &run(), "d", false).unwrap();
    }

    #[test]
    fn a_changed_configuration_is_refused_unless_fresh() {
        let root = tempfile::tempdir().unwrap();
        drop(open(root.path(), &run(), "d", false).unwrap());
        let mut changed = run();
        changed.config.train.epochs += 1;
        // Nothing was done yet, so nothing can be lost.
        drop(open(root.path(), &changed, "d", false).unwrap());
        drop(open(root.path(), &run(), "d", false).unwrap());
        let checkpoint = root.path().join(run().name()).join("checkpoint");
        fs::create_dir_all(&checkpoint).unwrap();
        fs::write(checkpoint.join("latest.json"), "{}").unwrap();
        let message = open(root.path(), &changed, "d", false).unwrap_err().to_string();
        assert!(message.contains("`train.epochs` was 4, now 5"), "{message}");
        // Another optimizer's settings are none of this run's business.
        let mut other = run();
        other.config.adamw.learning_rate = 7.0;
        open(root.path(), &other, "d", false).unwrap();
        open(root.path(), &changed, "d", true).unwrap();
    }

    #[test]
    fn fresh_removes_what_a_run_wrote_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(run().name());
        fs::create_dir_all(folder.join("checkpoint")).unwrap();
        for name in ["summary.json", "metrics.jsonl", "notes.txt", "checkpoint/latest.json"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        drop(open(root.path(), &run(), "d", true).unwrap());
        assert!(folder.join("notes.txt").exists());
        assert!(!folder.join("summary.json").exists() && !folder.join("checkpoint").exists());
    }

    #[test]
    fn a_damaged_summary_is_not_taken_for_a_run_done() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(run().name());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(SUMMARY), "{\"optimizer\": \"sgd\"").unwrap();
        assert_eq!(open(root.path(), &run(), "d", false).unwrap_err().exit_status(), 3);
    }
}
