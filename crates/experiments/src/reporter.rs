//! Where the loop's figures go: the one place to add a sink.

use std::fs;

use lookahead_data::Batch;

use crate::error::Result;
use crate::metrics::{MetricsFile, Record};
use crate::progress::RunProgress;
use crate::run_folder::RunFolder;
use crate::sheet;
use crate::tensorboard::EventWriter;

/// Sends each record of a run to `metrics.jsonl`, to TensorBoard and to the user.
#[derive(Debug)]
pub(crate) struct Reporter<'a> {
    metrics: MetricsFile,
    events: EventWriter,
    progress: RunProgress<'a>,
}

impl<'a> Reporter<'a> {
    /// For the run in `folder`, of which `steps` steps are done and whose metrics are whole up to `keep` bytes.
    pub(crate) fn open(folder: &RunFolder, keep: u64, steps: usize, progress: RunProgress<'a>) -> Result<Self> {
        let mut events = EventWriter::create(folder.path(), steps as u64)?;
        if steps == 0 {
            // Indented, so that TensorBoard shows it as it is.
            let config = fs::read_to_string(folder.path().join("config.toml")).unwrap_or_default();
            let indented: Vec<String> = config.lines().map(|line| format!("    {line}")).collect();
            events.text("config", 0, 0.0, &indented.join("\n"))?;
        }
        let mut metrics = folder.metrics(keep)?;
        progress.before(&mut metrics)?;
        Ok(Self { metrics, events, progress })
    }

    /// The first batch of a run, as augmented: TensorBoard shows its first images.
    pub(crate) fn first_batch(&mut self, batch: &Batch) -> Result<()> {
        match sheet::png(batch) {
            Some((width, height, png)) => self.events.image("train/batch", 0, 0.0, width, height, &png),
            None => Ok(()),
        }
    }

    /// A line of figures.
    pub(crate) fn record(&mut self, record: &Record) -> Result<()> {
        self.metrics.append(record)?;
        self.event(record)?;
        self.progress.record(record);
        Ok(())
    }

    fn event(&mut self, record: &Record) -> Result<()> {
        let (step, seconds, scalars) = match record {
            Record::Step { step, seconds, train_loss, learning_rate, momentum, images_per_second, .. } => {
                let mut scalars = vec![
                    ("train/loss", *train_loss),
                    ("train/learning_rate", *learning_rate),
                    ("train/images_per_second", *images_per_second),
                ];
                scalars.extend(momentum.map(|momentum| ("train/momentum", momentum)));
                (*step, *seconds, scalars)
            }
            Record::Epoch { step, seconds, train_loss, valid_loss, top1, top5, ece, .. } => {
                let scalars = vec![
                    ("train/epoch_loss", *train_loss),
                    ("valid/loss", *valid_loss),
                    ("valid/top1", *top1),
                    ("valid/top5", *top5),
                    ("valid/calibration_error", *ece),
                ];
                (*step, *seconds, scalars)
            }
        };
        for (tag, value) in scalars {
            self.events.scalar(tag, step as u64, seconds, value)?;
        }
        self.events.flush()
    }

    /// `done` steps of the run are done.
    pub(crate) fn steps(&self, done: usize) {
        self.progress.steps(done);
    }

    /// A word to the user.
    pub(crate) fn note(&self, text: &str) {
        self.progress.note(text);
    }

    /// Whole bytes of the metrics, for the checkpoint.
    pub(crate) fn bytes(&self) -> u64 {
        self.metrics.bytes()
    }
}
