//! Reads a run folder: finished, running or damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::dataset::DataSet;
use crate::environment::Environment;
use crate::folder::{CONFIG, DATA, DIVERGED, ENVIRONMENT, METRICS, SUMMARY};
use crate::log::Log;
use crate::row::RowId;
use crate::score::TaskKind;
use crate::summary::RunSummary;
use crate::{atomic, settings};

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has a readable `summary.json`.
    Done,
    /// It has no readable `summary.json`: running, interrupted or damaged.
    Unfinished,
    /// Its loss became infinite or NaN.
    Diverged,
}

impl Status {
    /// `done`, `unfinished` or `diverged`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unfinished => "unfinished",
            Self::Diverged => "diverged",
        }
    }
}

/// The content of a run folder: finished, unfinished or damaged.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// The row that the run belongs to.
    pub row: RowId,
    /// The seed; 0 if it is unknown.
    pub seed: u64,
    /// The status of the run.
    pub status: Status,
    /// `summary.json`; `None` if the run is not finished.
    pub summary: Option<RunSummary>,
    /// `metrics.jsonl`: steps and epochs.
    pub log: Log,
    /// `config.toml`; empty if it cannot be read.
    pub config: Table,
    /// `config.toml` as [`flat`](crate::flat) lists it.
    pub settings: BTreeMap<String, String>,
    /// `data.json`; `None` if it cannot be read, as in folders of version 0.1.
    pub data: Option<DataSet>,
    /// `env.json`; `None` if it cannot be read.
    pub environment: Option<Environment>,
    /// What could not be read and why, one phrase per cause.
    pub left_out: Vec<String>,
}

impl Run {
    /// Reads the folder `path`. Never fails: [`Run::left_out`] lists what cannot be read.
    ///
    /// Folders of version 0.1, whose configuration names optimizers instead of rows, are read, too.
    pub fn read(path: &Path) -> Self {
        let name = path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned());
        let mut left_out = Vec::new();
        let summary: Option<RunSummary> = read_json(path, SUMMARY, &mut left_out);
        let environment = read_json(path, ENVIRONMENT, &mut left_out);
        let data = read_json(path, DATA, &mut left_out);
        let config = read_toml(path, &mut left_out);
        let mut log = Log::read(&path.join(METRICS)).unwrap_or_else(|error| {
            left_out.push(format!("{METRICS} cannot be read: {error}"));
            Log::default()
        });
        left_out.append(&mut log.left_out);
        let (from_name, seed_of_name) = parts(&name);
        let row = RowId::of_config(&config)
            .or_else(|| RowId::of_old_config(&config))
            .or_else(|| summary.as_ref().map(|summary| RowId::classic(&summary.optimizer, &summary.state)))
            .unwrap_or(from_name);
        let seed = summary.as_ref().map(|summary| summary.seed).or(seed_of_name).unwrap_or(0);
        let status = match &summary {
            Some(_) => Status::Done,
            None if path.join(DIVERGED).exists() => Status::Diverged,
            None => Status::Unfinished,
        };
        let settings = settings::flat(&config);
        Self {
            name,
            path: path.to_path_buf(),
            row,
            seed,
            status,
            summary,
            log,
            config,
            settings,
            data,
            environment,
            left_out,
        }
    }

    /// True if `path` is a run folder: it has a `metrics.jsonl` or a `config.toml`.
    pub fn is_at(path: &Path) -> bool {
        path.join(METRICS).is_file() || path.join(CONFIG).is_file()
    }

    /// The run's task; images if the folder does not contain it.
    pub fn task(&self) -> TaskKind {
        self.data.as_ref().map(|data| data.task).unwrap_or_default()
    }

    /// SHA-256 of the run's data; `None` if no file holds it.
    pub fn data_sha256(&self) -> Option<&str> {
        let of_summary = || Some(&self.summary.as_ref()?.details.as_ref()?.data_sha256);
        self.data.as_ref().map(|data| &data.sha256).or_else(of_summary).map(String::as_str)
    }

    /// Class names in label order; empty if no file holds them.
    pub fn classes(&self) -> &[String] {
        let of_summary = || Some(&self.summary.as_ref()?.details.as_ref()?.classes);
        self.data.as_ref().map(|data| &data.classes).or_else(of_summary).map_or(&[], Vec::as_slice)
    }

    /// Steps per epoch, from the first finished epoch; 0 without one.
    pub fn steps_per_epoch(&self) -> f64 {
        let whole = self.log.epochs.iter().find(|record| record.epoch > 0);
        whole.map_or(0.0, |record| record.steps_done() as f64 / record.epoch as f64)
    }
}

/// Row and seed in a name made by [`RowId::run`]; a name of another form is all row.
fn parts(name: &str) -> (RowId, Option<u64>) {
    let split = name.rsplit_once("-s").and_then(|(rest, seed)| Some((rest, seed.parse().ok()?)));
    let (rest, seed) = split.map_or((name, None), |(rest, seed)| (rest, Some(seed)));
    for state in ["keep", "reset", "interpolate"] {
        if let Some(row) = rest.strip_suffix(state).and_then(|rest| rest.strip_suffix('-')) {
            return (RowId::classic(row, state), seed);
        }
    }
    (RowId::classic(rest, ""), seed)
}

fn read_json<T: serde::de::DeserializeOwned>(folder: &Path, name: &str, left_out: &mut Vec<String>) -> Option<T> {
    atomic::read_json(&folder.join(name)).unwrap_or_else(|error| {
        left_out.push(match error {
            crate::Error::Damaged { reason, .. } => format!("{name} is damaged: {reason}"),
            other => format!("{name}: {other}"),
        });
        None
    })
}

fn read_toml(folder: &Path, left_out: &mut Vec<String>) -> Table {
    let text = match fs::read_to_string(folder.join(CONFIG)) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                left_out.push(format!("{CONFIG} cannot be read: {error}"));
            }
            return Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        left_out.push(format!("{CONFIG} is damaged: {}", error.message()));
        Table::new()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folder_name_says_row_state_and_seed() {
        let parts = |name| {
            let (row, seed) = parts(name);
            (row.name, row.state, seed)
        };
        assert_eq!(parts("sgd-s1"), ("sgd".into(), String::new(), Some(1)));
        assert_eq!(parts("lookahead-sgd-keep-s12"), ("lookahead-sgd".into(), "keep".into(), Some(12)));
        assert_eq!(parts("<script>"), ("<script>".into(), String::new(), None));
        assert_eq!(parts("keep-s2"), ("keep".into(), String::new(), Some(2)));
        let row = RowId::classic("lookahead-sgd", "interpolate");
        assert_eq!(super::parts(&row.run(7)), (row, Some(7)));
    }

    #[test]
    fn a_half_written_folder_is_an_unfinished_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adamw-s3");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(CONFIG), "[train\nepochs =").unwrap();
        fs::write(path.join(SUMMARY), "{\"top1\": 7").unwrap();
        let run = Run::read(&path);
        assert_eq!((run.row.name.as_str(), run.seed, run.status), ("adamw", 3, Status::Unfinished));
        assert_eq!(run.left_out.len(), 2, "{:?}", run.left_out);
        assert!(Run::is_at(&path) && !Run::is_at(folder.path()));
    }

    /// Bytes that come near to being what a file should hold.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\":,a-z0-9.\n= -]{0,200}".prop_map(String::into_bytes),
            Just(
                b"{\"kind\":\"step\",\"step\":18446744073709551615}\n{\"kind\":\"epoch\",\"epoch\":0,\"step\":0}\n"
                    .to_vec()
            ),
            Just(b"[[rows]]\nname = 1\n[rows.inner]\n".to_vec()),
            Just(b"rows = [[], 3]\noptimizers = [[]]\nstates = 4\n".to_vec()),
            Just(b"{\"optimizer\": \"\", \"details\": [], \"confusion\": [[1], []]}".to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn reading_any_bytes_never_panics(files in proptest::collection::vec(content(), 6), name in "\\PC{1,20}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name.replace(['/', '\0'], "_"));
            if fs::create_dir(&path).is_ok() {
                for (name, bytes) in [CONFIG, ENVIRONMENT, METRICS, SUMMARY, DIVERGED, DATA].iter().zip(&files) {
                    fs::write(path.join(name), bytes).unwrap();
                }
                let run = Run::read(&path);
                prop_assert!(run.steps_per_epoch() >= 0.0 && run.row.label().len() < 1000);
            }
        }
    }
}
