//! `metrics.jsonl`: one line a step logged or an epoch.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One line of `metrics.jsonl`; `kind` is `step` or `epoch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// Some steps.
    Step {
        /// The step just done, from 0.
        step: usize,
        /// The epoch, from 0.
        epoch: usize,
        /// The step's learning rate.
        learning_rate: f64,
        /// Its momentum or beta1.
        momentum: Option<f64>,
        /// Mean training loss of the steps since the line before, nats an image.
        train_loss: f64,
        /// Training images a second since the run's start.
        images_per_second: f64,
        /// Seconds of training since the run's start, stops left out.
        seconds: f64,
    },
    /// An epoch.
    Epoch {
        /// Epochs done.
        epoch: usize,
        /// The last step done, from 0.
        step: usize,
        /// That step's learning rate.
        learning_rate: f64,
        /// Mean training loss of the epoch's steps, nats an image.
        train_loss: f64,
        /// Validation loss at the slow weights, nats an image.
        valid_loss: f64,
        /// Validation accuracy, percent.
        top1: f64,
        /// Share of images whose class is among the five likeliest, percent.
        top5: f64,
        /// Expected calibration error, 0 to 1.
        ece: f64,
        /// Seconds since the run's start, stops left out.
        seconds: f64,
    },
}

/// Appends lines; knows how many bytes are whole, so that a resumed run goes on from just there.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl MetricsFile {
    /// Opens `path`, keeping its first `keep` bytes: what came after the checkpoint is done again.
    pub(crate) fn open(path: &Path, keep: u64) -> Result<Self> {
        let open = || {
            let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
            let bytes = file.metadata()?.len().min(keep);
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(Error::output("write", path))?;
        Ok(Self { file, path: path.to_path_buf(), bytes })
    }

    /// The lines kept from before; one that cannot be read is left out.
    pub(crate) fn kept(&mut self) -> Result<Vec<Record>> {
        let mut text = Vec::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut text));
        read.map_err(Error::output("read", &self.path))?;
        Ok(text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Appends one line.
    pub(crate) fn append(&mut self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record).map_err(std::io::Error::from).and_then(|mut line| {
            line.push('\n');
            self.file.write_all(line.as_bytes())?;
            Ok(line.len() as u64)
        });
        self.bytes += line.map_err(Error::output("write", &self.path))?;
        Ok(())
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_checkpoint_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let record = |step| Record::Step {
            step,
            epoch: 0,
            learning_rate: 0.1,
            momentum: None,
            train_loss: 2.5,
            images_per_second: 9.0,
            seconds: 1.0,
        };
        let mut file = MetricsFile::open(&path, 0).unwrap();
        file.append(&record(1)).unwrap();
        let kept = file.bytes();
        file.append(&record(2)).unwrap();
        drop(file);
        let mut resumed = MetricsFile::open(&path, kept).unwrap();
        assert_eq!(resumed.kept().unwrap(), [record(1)]);
        resumed.append(&record(3)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(steps.len(), 2);
        assert_eq!((&steps[0]["step"], &steps[1]["step"]), (&1.into(), &3.into()));
        assert_eq!(steps[0]["kind"], "step");
    }
}
