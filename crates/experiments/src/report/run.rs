//! Reads one run folder, finished, running or damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::log::Log;

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has a readable `summary.json`.
    Done,
    /// It has none: running, interrupted or damaged.
    Unfinished,
    /// Its loss became infinite or not a number.
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

/// The final numbers of a finished run, in the units of `summary.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Training loss of the last epoch, nats an image.
    pub train_loss: f64,
    /// Validation loss, nats an image.
    pub valid_loss: f64,
    /// Accuracy, percent.
    pub top1: f64,
    /// Top-5, percent.
    pub top5: f64,
    /// Seconds of the run.
    pub seconds: f64,
    /// Training images a second.
    pub images_per_second: f64,
}

/// A run folder as it was found.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// The optimizer's name, such as `lookahead-sgd`; the folder's name where nothing says.
    pub optimizer: String,
    /// `keep`, `reset` or `interpolate` for Lookahead, else empty.
    pub state: String,
    /// The seed.
    pub seed: u64,
    /// How far it got.
    pub status: Status,
    /// Final numbers of a finished run.
    pub figures: Option<Figures>,
    /// `summary.json` as it is; `Null` for an unfinished run.
    pub summary: Value,
    /// Steps and epochs.
    pub log: Log,
    /// `config.toml`, flat: dotted key and value as TOML spells it. The table of the run's own optimizer is called
    /// `optimizer`; the keys that only name the run are not in it.
    pub config: BTreeMap<String, String>,
    /// `env.json`, flat; the command as the justfile takes it.
    pub environment: BTreeMap<String, String>,
    /// What of it could not be read, one sentence each.
    pub left_out: Vec<String>,
}

impl Run {
    /// Reads the folder; never fails, what cannot be read is told in [`Run::left_out`].
    pub fn read(path: &Path) -> Self {
        let name = path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned());
        let mut left_out = Vec::new();
        let summary = read_json(path, "summary.json", &mut left_out);
        let environment = read_json(path, "env.json", &mut left_out);
        let table = read_toml(path, &mut left_out);
        let mut log = Log::read(&path.join("metrics.jsonl")).unwrap_or_else(|error| {
            left_out.push(format!("metrics.jsonl cannot be read: {error}"));
            Log::default()
        });
        left_out.append(&mut log.left_out);

        let from_name = NameParts::of(&name);
        let text = |key: &str| summary[key].as_str().map(str::to_owned);
        let optimizer = text("optimizer").unwrap_or(from_name.optimizer);
        let state =
            text("state").or(from_name.state).filter(|_| optimizer.starts_with("lookahead")).unwrap_or_default();
        let seed = summary["seed"].as_u64().or(from_name.seed).unwrap_or(0);
        let figures = figures(&summary);
        if figures.is_none() && !summary.is_null() {
            left_out.push("summary.json lacks some of the final numbers".to_owned());
        }
        let mut config = BTreeMap::new();
        flatten_toml("", &table, &mut config);
        Self {
            config: own_settings(config, &optimizer),
            environment: with_recipe(flatten_json(&environment)),
            status: if figures.is_some() { Status::Done } else { Status::Unfinished },
            name,
            path: path.to_path_buf(),
            optimizer,
            state,
            seed,
            figures,
            summary,
            log,
            left_out,
        }
    }

    /// Whether a folder looks like a run's.
    pub fn is_at(path: &Path) -> bool {
        path.join("metrics.jsonl").is_file() || path.join("config.toml").is_file()
    }

    /// A value of `summary.json`; `Null` where it has none.
    pub fn detail(&self, key: &str) -> &Value {
        &self.summary[key]
    }

    /// Seconds by part of the work, in the order in which a step does them; empty where the run does not say.
    pub fn time_split(&self) -> Vec<(&'static str, f64)> {
        ["data", "forward", "backward", "optimizer", "validation"]
            .into_iter()
            .filter_map(|part| Some((part, self.detail("time")[part].as_f64()?)))
            .collect()
    }

    /// Steps an epoch, from the first finished one; 0 where none is.
    pub fn steps_per_epoch(&self) -> f64 {
        self.log.epochs.iter().find(|point| point.epoch > 0).map_or(0.0, |point| point.step as f64 / point.epoch as f64)
    }
}

struct NameParts {
    optimizer: String,
    state: Option<String>,
    seed: Option<u64>,
}

impl NameParts {
    /// `<optimizer>[-<state>]-s<seed>`; a name of another form is all optimizer.
    fn of(name: &str) -> Self {
        let split = name.rsplit_once("-s").and_then(|(rest, seed)| Some((rest, seed.parse().ok()?)));
        let (rest, seed) = split.map_or((name, None), |(rest, seed)| (rest, Some(seed)));
        for state in ["keep", "reset", "interpolate"] {
            if let Some(optimizer) = rest.strip_suffix(state).and_then(|rest| rest.strip_suffix('-')) {
                return Self { optimizer: optimizer.to_owned(), state: Some(state.to_owned()), seed };
            }
        }
        Self { optimizer: rest.to_owned(), state: None, seed }
    }
}

fn figures(summary: &Value) -> Option<Figures> {
    let number = |key: &str| summary[key].as_f64();
    Some(Figures {
        train_loss: number("train_loss")?,
        valid_loss: number("valid_loss")?,
        top1: number("top1")?,
        top5: number("top5")?,
        seconds: number("seconds")?,
        images_per_second: number("images_per_second")?,
    })
}

fn read_json(folder: &Path, name: &str, left_out: &mut Vec<String>) -> Value {
    match fs::read(folder.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            left_out.push(format!("{name} is damaged: {error}"));
            Value::Null
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
        Err(error) => {
            left_out.push(format!("{name} cannot be read: {error}"));
            Value::Null
        }
    }
}

fn read_toml(folder: &Path, left_out: &mut Vec<String>) -> toml::Table {
    let text = match fs::read_to_string(folder.join("config.toml")) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                left_out.push(format!("config.toml cannot be read: {error}"));
            }
            return toml::Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        left_out.push(format!("config.toml is damaged: {}", error.message()));
        toml::Table::new()
    })
}

fn flatten_toml(prefix: &str, table: &toml::Table, flat: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten_toml(&key, inner, flat),
            toml::Value::String(text) => drop(flat.insert(key, text.clone())),
            other => drop(flat.insert(key, other.to_string())),
        }
    }
}

/// Without the keys that only name the run, and with the optimizer's table under one name for all runs, so that SGD's
/// learning rate stands beside AdamW's.
fn own_settings(config: BTreeMap<String, String>, optimizer: &str) -> BTreeMap<String, String> {
    config
        .into_iter()
        .filter(|(key, _)| !["optimizers", "optimizer", "states", "state", "seeds", "seed"].contains(&key.as_str()))
        .map(|(key, value)| match key.strip_prefix(optimizer).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) => (format!("optimizer.{rest}"), value),
            None => (key, value),
        })
        .collect()
}

fn flatten_json(value: &Value) -> BTreeMap<String, String> {
    let Value::Object(map) = value else { return BTreeMap::new() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    map.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Every program has a recipe of its name: `cifar10 --epochs 5` is told as `just cifar10 --epochs 5`.
fn with_recipe(mut environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if let Some(command) = environment.get_mut("command") {
        command.insert_str(0, "just ");
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_says_optimizer_state_and_seed() {
        let parts = |name| {
            let NameParts { optimizer, state, seed } = NameParts::of(name);
            (optimizer, state, seed)
        };
        assert_eq!(parts("sgd-s1"), ("sgd".into(), None, Some(1)));
        assert_eq!(parts("lookahead-sgd-keep-s12"), ("lookahead-sgd".into(), Some("keep".into()), Some(12)));
        assert_eq!(parts("<script>"), ("<script>".into(), None, None));
        assert_eq!(parts("keep-s2"), ("keep".into(), None, Some(2)));
    }

    #[test]
    fn settings_of_different_optimizers_stand_side_by_side() {
        let table = |text: &str, optimizer: &str| {
            let mut flat = BTreeMap::new();
            flatten_toml("", &text.parse().unwrap(), &mut flat);
            own_settings(flat, optimizer)
        };
        let sgd = table("seeds = [1]\n[sgd]\nlearning_rate = 0.1\n[train]\nepochs = 5", "sgd");
        assert_eq!(sgd["optimizer.learning_rate"], "0.1");
        assert_eq!(sgd["train.epochs"], "5");
        assert_eq!(sgd.len(), 2);
        let around = table("[lookahead]\nsync_period = 5\n[lookahead-sgd]\nmomentum = 0.9", "lookahead-sgd");
        assert_eq!(around.keys().collect::<Vec<_>>(), ["lookahead.sync_period", "optimizer.momentum"]);
    }

    #[test]
    fn a_half_written_folder_is_an_unfinished_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adamw-s3");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("config.toml"), "[train\nepochs =").unwrap();
        fs::write(path.join("summary.json"), "{\"top1\": 7").unwrap();
        let run = Run::read(&path);
        assert_eq!((run.optimizer.as_str(), run.seed, run.status), ("adamw", 3, Status::Unfinished));
        assert_eq!(run.left_out.len(), 2, "{:?}", run.left_out);
        assert!(Run::is_at(&path) && !Run::is_at(folder.path()));
    }
}
