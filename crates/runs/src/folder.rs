//! A run folder, `<experiment>/<run>/`, opened for training.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::atomic;
use crate::before::{check_config, check_data, read_done};
use crate::checkpoint::{self, Checkpoints};
use crate::dataset::DataSet;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::metrics::MetricsFile;
use crate::summary::RunSummary;

/// The resolved configuration, a TOML table.
pub(crate) const CONFIG: &str = "config.toml";
/// A [`DataSet`].
pub(crate) const DATA: &str = "data.json";
/// An [`Environment`].
pub(crate) const ENVIRONMENT: &str = "env.json";
/// Lines of [`Record`](crate::Record).
pub(crate) const METRICS: &str = "metrics.jsonl";
/// A [`RunSummary`]; its presence means that the run is done.
pub(crate) const SUMMARY: &str = "summary.json";
/// A [`Divergence`], if the run ended with one.
pub(crate) const DIVERGED: &str = "diverged.json";

/// Content of `diverged.json`: where the loss became infinite or NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The step, from 0.
    pub step: u64,
}

/// A run folder that this process has opened and locked for training.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    data: Box<DataSet>,
    environment: Box<Environment>,
    lock: Lock,
}

/// The result of [`RunFolder::open`].
#[derive(Debug)]
pub enum Opened {
    /// The run is done; its summary.
    Done(Box<RunSummary>),
    /// The run is new or unfinished: train it in this folder.
    ToDo(RunFolder),
}

impl RunFolder {
    /// Opens the folder `<experiment>/<name>` and locks it, unless the run in it is done.
    /// [`discard`](crate::discard) starts it over.
    ///
    /// The folder is created if it is missing; `config`, `environment` and `data` are written to it. `config` holds
    /// every setting that the result depends on. If a run is resumed, its earlier sessions stay in
    /// [`Environment::earlier`].
    ///
    /// # Errors
    /// [`Error::Locked`] if another process trains in the folder. [`Error::ConfigChanged`], [`Error::OtherVersion`] or
    /// [`Error::DataChanged`] if the folder holds a different run, [`Error::Damaged`] if its configuration or summary
    /// cannot be parsed. [`Error::Output`] if a file cannot be read, written or removed.
    pub fn open(
        experiment: &Path,
        name: &str,
        config: &Table,
        data: &DataSet,
        environment: &Environment,
    ) -> Result<Opened> {
        let path = experiment.join(name);
        if let Some(summary) = check(&path, config, data)? {
            return Ok(Opened::Done(Box::new(summary)));
        }
        fs::create_dir_all(&path).map_err(Error::output("create", &path))?;
        let lock = Lock::take(&path)?;
        // Another process may have started or finished the run before this one got the lock.
        if let Some(summary) = check(&path, config, data)? {
            return Ok(Opened::Done(Box::new(summary)));
        }
        remove_if_there(&path.join(DIVERGED))?;
        let environment = session(&path, environment);
        let text = toml::to_string(config).map_err(std::io::Error::other);
        let text = text.map_err(Error::output("write", &path.join(CONFIG)))?;
        atomic::write(&path.join(CONFIG), text.as_bytes())?;
        atomic::write_json(&path.join(ENVIRONMENT), &environment)?;
        atomic::write_json(&path.join(DATA), data)?;
        Ok(Opened::ToDo(Self { path, data: Box::new(data.clone()), environment: Box::new(environment), lock }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A warning for the user if the file system has no locks, so that nothing keeps a second process out.
    pub fn notice(&self) -> Option<String> {
        self.lock.notice(&self.path)
    }

    /// A note for the user if this session resumes a run with another commit, processor or kernels: the result may not
    /// be that of an uninterrupted run.
    pub fn change(&self) -> Option<String> {
        let change = self.environment.change()?;
        Some(format!("{} is resumed in another way than it was trained: {change}", self.path.display()))
    }

    /// The data set of the run.
    pub fn data(&self) -> &DataSet {
        &self.data
    }

    /// The run's checkpoints. Creates the folder `checkpoint` if it is missing.
    ///
    /// # Errors
    /// [`Error::Output`] if the folder cannot be created.
    pub fn checkpoints(&self) -> Result<Checkpoints> {
        Checkpoints::open(&self.path, &self.data.sha256)
    }

    /// Opens `metrics.jsonl` for appending, truncated to its first `keep` bytes.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be opened or truncated.
    pub fn metrics(&self, keep: u64) -> Result<MetricsFile> {
        MetricsFile::open(&self.path.join(METRICS), keep)
    }

    /// Writes `diverged.json`: the loss of step `step`, from 0, is infinite or NaN. Opening the folder again removes
    /// the file.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn diverged(&self, step: u64) -> Result<()> {
        atomic::write_json(&self.path.join(DIVERGED), &Divergence { step })
    }

    /// Writes `summary.json`, which marks the run as done. Before it, adds the present load to `env.json`.
    ///
    /// # Errors
    /// [`Error::Output`] if a file cannot be written.
    pub fn finish(&self, summary: &RunSummary) -> Result<()> {
        atomic::write_json(&self.path.join(ENVIRONMENT), &self.environment.finished())?;
        atomic::write_json(&self.path.join(SUMMARY), summary)
    }
}

/// Compares the run in the folder `path` with this one; the summary if it is done.
fn check(path: &Path, config: &Table, data: &DataSet) -> Result<Option<RunSummary>> {
    check_config(path, config)?;
    check_data(path, data)?;
    read_done(path, &data.sha256)
}

/// `environment` as that of the next session of the run in `path`. Without a checkpoint, the run starts over and
/// earlier sessions are of no account.
fn session(path: &Path, environment: &Environment) -> Environment {
    if !checkpoint::any(path) {
        return environment.clone();
    }
    // Of a session whose file is missing or damaged, nothing is known.
    environment.resuming(Environment::read(path).unwrap_or_default().unwrap_or_default())
}

pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::output("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "sgd-s1";

    fn config(epochs: u32) -> Table {
        let text = format!(
            "seeds = [1]\nrows = [{{ name = \"sgd\", inner = {{ sgd = {{ learning_rate = 0.1 }} }} }}]\n[train]\nepochs = {epochs}"
        );
        text.parse().unwrap()
    }

    fn open(root: &Path, config: &Table) -> Result<Opened> {
        RunFolder::open(root, NAME, config, &DataSet::default(), &Environment::default())
    }

    fn discard(root: &Path) -> Result<()> {
        crate::discard(&[root.join(NAME)])
    }

    fn with_checkpoint(root: &Path, config_text: &str) {
        let folder = root.join(NAME);
        fs::create_dir_all(folder.join("checkpoint")).unwrap();
        fs::write(folder.join("checkpoint/latest.json"), "{}").unwrap();
        fs::write(folder.join(CONFIG), config_text).unwrap();
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let held = open(root.path(), &config(4)).unwrap();
        assert!(matches!(open(root.path(), &config(4)), Err(Error::Locked { .. })));
        drop(held);
        open(root.path(), &config(4)).unwrap();
    }

    #[test]
    fn a_changed_configuration_is_refused_until_the_run_is_discarded() {
        let root = tempfile::tempdir().unwrap();
        // Nothing has been trained yet, so nothing can be lost.
        drop(open(root.path(), &config(4)).unwrap());
        drop(open(root.path(), &config(5)).unwrap());
        with_checkpoint(root.path(), &config(4).to_string());
        let message = open(root.path(), &config(5)).unwrap_err().to_string();
        assert!(message.contains("`train.epochs` was 4, now 5"), "{message}");
        let faster = config(4).to_string().replace("0.1", "0.2");
        let message = open(root.path(), &faster.parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("`rows.inner.sgd.learning_rate` was 0.1, now 0.2"), "{message}");
        discard(root.path()).unwrap();
        open(root.path(), &config(5)).unwrap();
    }

    #[test]
    fn other_data_are_refused_until_the_run_is_discarded() {
        let root = tempfile::tempdir().unwrap();
        drop(open(root.path(), &config(4)).unwrap());
        with_checkpoint(root.path(), &config(4).to_string());
        let other = DataSet { sha256: "other".to_owned(), ..DataSet::default() };
        let open = || RunFolder::open(root.path(), NAME, &config(4), &other, &Environment::default());
        assert!(matches!(open(), Err(Error::DataChanged { .. })));
        discard(root.path()).unwrap();
        open().unwrap();
    }

    #[test]
    fn a_run_of_another_version_is_named_with_its_version() {
        let root = tempfile::tempdir().unwrap();
        with_checkpoint(root.path(), "optimizers = [\"sgd\"]\nseeds = [1]\n[sgd]\nlearning_rate = 0.1\n");
        fs::write(root.path().join(NAME).join(ENVIRONMENT), "{\"version\": \"0.1.0\"}").unwrap();
        let message = open(root.path(), &config(4)).unwrap_err().to_string();
        assert!(message.contains("was written by version 0.1.0"), "{message}");
        discard(root.path()).unwrap();
        open(root.path(), &config(4)).unwrap();
    }

    #[test]
    fn results_without_their_configuration_are_refused() {
        let root = tempfile::tempdir().unwrap();
        with_checkpoint(root.path(), &config(4).to_string());
        fs::remove_file(root.path().join(NAME).join(CONFIG)).unwrap();
        let message = open(root.path(), &config(4)).unwrap_err().to_string();
        assert!(message.contains("config.toml is damaged: it is missing"), "{message}");
        discard(root.path()).unwrap();
        open(root.path(), &config(4)).unwrap();
    }

    #[test]
    fn a_damaged_summary_is_not_taken_for_a_run_done() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(NAME);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(SUMMARY), "{\"optimizer\": \"sgd\"").unwrap();
        assert!(matches!(open(root.path(), &config(4)), Err(Error::Damaged { .. })));
    }

    #[test]
    fn opening_a_diverged_run_takes_the_divergence_back() {
        let root = tempfile::tempdir().unwrap();
        let Opened::ToDo(folder) = open(root.path(), &config(4)).unwrap() else { panic!("done before") };
        folder.diverged(7).unwrap();
        drop(folder);
        assert!(root.path().join(NAME).join(DIVERGED).exists());
        drop(open(root.path(), &config(4)).unwrap());
        assert!(!root.path().join(NAME).join(DIVERGED).exists());
    }

    #[test]
    fn a_resumed_run_keeps_its_earlier_sessions() {
        let root = tempfile::tempdir().unwrap();
        let opened = |commit: &str| {
            let environment = Environment { commit: commit.to_owned(), ..Environment::default() };
            match RunFolder::open(root.path(), NAME, &config(4), &DataSet::default(), &environment).unwrap() {
                Opened::ToDo(folder) => folder,
                Opened::Done(_) => panic!("done before"),
            }
        };
        let commits = || -> Vec<String> {
            let environment = Environment::read(&root.path().join(NAME)).unwrap().unwrap();
            environment.sessions().map(Environment::revision).collect()
        };
        // Without a checkpoint, the second session starts over.
        drop(opened("a"));
        assert_eq!((opened("b").change(), commits()), (None, vec!["b".to_owned()]));
        with_checkpoint(root.path(), &config(4).to_string());
        assert_eq!((opened("b").change(), commits()), (None, vec!["b".to_owned(), "b".to_owned()]));
        let folder = opened("c");
        assert!(
            folder.change().unwrap().ends_with("than it was trained: commit was b, now c"),
            "{:?}",
            folder.change()
        );
        assert_eq!(commits(), ["b", "b", "c"]);
    }
}
