//! `metrics.jsonl`: one line per logged step and per epoch.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::log::Log;
use crate::score::Scores;

/// One line of `metrics.jsonl`; its `kind` is `step` or `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// The steps since the previous step line.
    Step(StepRecord),
    /// A finished epoch.
    Epoch(EpochRecord),
}

/// A logged step. Missing numbers and `null` are read as NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The last step done, from 0.
    pub step: u64,
    /// The current epoch, from 0.
    #[serde(default)]
    pub epoch: u64,
    /// Learning rate of the step.
    #[serde(default = "nan", deserialize_with = "number")]
    pub learning_rate: f64,
    /// Momentum of the step, or Adam's beta1; `None` for an optimizer without momentum.
    #[serde(default)]
    pub momentum: Option<f64>,
    /// Mean training loss of the steps since the previous step line, in nats per image or token.
    #[serde(default = "nan", deserialize_with = "number")]
    pub train_loss: f64,
    /// Training images or tokens per second since the run's start.
    #[serde(default = "nan", deserialize_with = "number", alias = "images_per_second")]
    pub per_second: f64,
    /// Seconds of training since the run's start, without interruptions.
    #[serde(default = "nan", deserialize_with = "number")]
    pub seconds: f64,
}

/// A finished epoch. Missing numbers and `null` are read as NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// The last step done, from 0.
    pub step: u64,
    /// Learning rate of the last step.
    #[serde(default = "nan", deserialize_with = "number")]
    pub learning_rate: f64,
    /// Mean training loss over the epoch's steps, in nats per image or token.
    #[serde(default = "nan", deserialize_with = "number")]
    pub train_loss: f64,
    /// Validation loss at the evaluation weights, in nats per image or token.
    #[serde(default = "nan", deserialize_with = "number")]
    pub valid_loss: f64,
    /// Validation scores at the evaluation weights.
    #[serde(flatten)]
    pub scores: Scores,
    /// Expected calibration error, 0 to 1, for a task with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    /// Seconds since the run's start, with validation, without interruptions.
    #[serde(default = "nan", deserialize_with = "number")]
    pub seconds: f64,
}

impl StepRecord {
    /// Steps done: one more than `step`.
    pub fn steps_done(&self) -> u64 {
        self.step.saturating_add(1)
    }
}

impl EpochRecord {
    /// Steps done: one more than `step`.
    pub fn steps_done(&self) -> u64 {
        self.step.saturating_add(1)
    }
}

fn nan() -> f64 {
    f64::NAN
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Appends lines and counts their bytes, so that a resumed run can continue at exactly that point.
#[derive(Debug)]
pub struct MetricsFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// Bytes that the file lacked when it was opened.
    missing: u64,
}

impl MetricsFile {
    /// Opens `path`, created if it is missing, and truncates it to its first `keep` bytes: the run repeats what came
    /// after the checkpoint. A shorter file is truncated to its complete lines, and [`notice`](Self::notice) says so.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be opened or truncated.
    pub fn open(path: &Path, keep: u64) -> Result<Self> {
        let open = || {
            let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
            let mut bytes = keep;
            if file.metadata()?.len() < keep {
                let mut there = Vec::new();
                file.read_to_end(&mut there)?;
                bytes = there.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last as u64 + 1);
            }
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(Error::output("write", path))?;
        Ok(Self { file, path: path.to_path_buf(), bytes, missing: keep - bytes })
    }

    /// A warning for the user if the file was shorter than when the checkpoint was written, as after a power failure.
    pub fn notice(&self) -> Option<String> {
        let Self { path, missing, .. } = self;
        (*missing > 0).then(|| {
            format!("{} lacks its last {missing} bytes before the checkpoint: these lines are lost", path.display())
        })
    }

    /// The lines in the file.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be read.
    pub fn kept(&mut self) -> Result<Log> {
        let mut bytes = Vec::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut bytes));
        read.map_err(Error::output("read", &self.path))?;
        Ok(Log::parse(&bytes))
    }

    /// Appends one line.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record).map_err(std::io::Error::from).and_then(|mut line| {
            line.push('\n');
            self.file.write_all(line.as_bytes())?;
            Ok(line.len() as u64)
        });
        self.bytes += line.map_err(Error::output("write", &self.path))?;
        Ok(())
    }

    /// Waits until the lines are on the disk.
    ///
    /// # Errors
    /// [`Error::Output`] if they cannot be written.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::output("write", &self.path))
    }

    /// Length of the file in bytes: the kept lines and those appended since.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0,
            learning_rate: 0.1,
            momentum: None,
            train_loss: 2.5,
            per_second: 9.0,
            seconds: 1.0,
        }
    }

    #[test]
    fn what_came_after_the_checkpoint_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, 0).unwrap();
        file.append(&Record::Step(record(1))).unwrap();
        let kept = file.bytes();
        file.append(&Record::Step(record(2))).unwrap();
        drop(file);
        let mut resumed = MetricsFile::open(&path, kept).unwrap();
        assert_eq!(resumed.kept().unwrap().steps, [record(1)]);
        resumed.append(&Record::Step(record(3))).unwrap();
        let log = Log::read(&path).unwrap();
        assert_eq!(log.steps, [record(1), record(3)]);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("{\"kind\":\"step\",\"step\":1,"));
    }

    /// As after a power failure: the checkpoint counts two lines, of which one and a half are there.
    #[test]
    fn a_file_cut_short_goes_on_after_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, 0).unwrap();
        file.append(&Record::Step(record(1))).unwrap();
        let whole = file.bytes();
        file.append(&Record::Step(record(2))).unwrap();
        let kept = file.bytes();
        assert_eq!(file.notice(), None);
        File::options().write(true).open(&path).unwrap().set_len(whole + 20).unwrap();
        let mut resumed = MetricsFile::open(&path, kept).unwrap();
        let notice = resumed.notice().unwrap();
        assert!(notice.contains(&format!("lacks its last {} bytes", kept - whole)), "{notice}");
        resumed.append(&Record::Step(record(3))).unwrap();
        let log = Log::read(&path).unwrap();
        assert_eq!((log.steps, log.left_out), (vec![record(1), record(3)], vec![]));
    }
}
