//! The files that a run writes during training: `metrics.jsonl`, and the same for TensorBoard.

use lookahead_runs::{EventWriter, Log, MetricsFile, Position, Record, RunFolder};

use crate::config::RunConfig;
use crate::error::Result;

/// Appends records to a run's files.
#[derive(Debug)]
pub(crate) struct Journal {
    metrics: MetricsFile,
    events: EventWriter,
    /// The tag of images or tokens per second.
    speed: String,
}

impl Journal {
    /// Opens the files of a run in `folder` at `position`. Records of later steps are dropped.
    ///
    /// # Errors
    /// Write errors.
    pub(crate) fn open(folder: &RunFolder, run: &RunConfig, position: &Position) -> Result<Self> {
        let mut events = EventWriter::create(folder.path(), position.step as u64)?;
        if position.step == 0 {
            // Indented, so that TensorBoard shows it verbatim.
            let config = toml::to_string(&run.to_table()).unwrap_or_default();
            let indented: Vec<String> = config.lines().map(|line| format!("    {line}")).collect();
            events.text("config", 0, 0.0, &indented.join("\n"))?;
        }
        let speed = format!("train/{}_per_second", run.config.data.task().units());
        Ok(Self { metrics: folder.metrics(position.metrics_bytes)?, events, speed })
    }

    /// The records that the run wrote before it was stopped.
    ///
    /// # Errors
    /// Read errors.
    pub(crate) fn kept(&mut self) -> Result<Log> {
        Ok(self.metrics.kept()?)
    }

    /// A warning for the user if records from before `position` are lost.
    pub(crate) fn notice(&self) -> Option<String> {
        self.metrics.notice()
    }

    /// Writes a picture of the run's first batch, after augmentation: width, height and PNG.
    ///
    /// # Errors
    /// Write errors.
    pub(crate) fn first_batch(&mut self, (width, height, png): (u32, u32, Vec<u8>)) -> Result<()> {
        Ok(self.events.image("train/batch", 0, 0.0, width, height, &png)?)
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Write errors.
    pub(crate) fn record(&mut self, record: &Record) -> Result<()> {
        self.metrics.append(record)?;
        let (step, seconds, scalars) = match record {
            Record::Step(step) => {
                let mut scalars = vec![
                    ("train/loss", step.train_loss),
                    ("train/learning_rate", step.learning_rate),
                    (self.speed.as_str(), step.per_second),
                ];
                scalars.extend(step.momentum.map(|momentum| ("train/momentum", momentum)));
                (step.step, step.seconds, scalars)
            }
            Record::Epoch(epoch) => {
                for (measure, value) in epoch.scores.all() {
                    self.events.scalar(&format!("valid/{}", measure.key()), epoch.step, epoch.seconds, value)?;
                }
                let mut scalars = vec![("train/epoch_loss", epoch.train_loss), ("valid/loss", epoch.valid_loss)];
                scalars.extend(epoch.ece.map(|ece| ("valid/calibration_error", ece)));
                (epoch.step, epoch.seconds, scalars)
            }
        };
        for (tag, value) in scalars {
            self.events.scalar(tag, step, seconds, value)?;
        }
        Ok(self.events.flush()?)
    }

    /// Writes text that the network generated after `step`.
    ///
    /// # Errors
    /// Write errors.
    pub(crate) fn sample(&mut self, step: u64, seconds: f64, text: &str) -> Result<()> {
        // Indented, so that TensorBoard keeps the line breaks.
        let indented: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
        Ok(self.events.text("valid/sample", step, seconds, &indented.join("\n"))?)
    }

    /// Waits until the metrics are on the disk.
    ///
    /// # Errors
    /// Write errors.
    pub(crate) fn sync(&self) -> Result<()> {
        Ok(self.metrics.sync()?)
    }

    /// The size of the complete lines of metrics in bytes, for the checkpoint.
    pub(crate) fn bytes(&self) -> u64 {
        self.metrics.bytes()
    }
}
