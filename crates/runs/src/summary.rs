//! `summary.json` of a run and of an experiment.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::details::RunDetails;
use crate::error::Result;
use crate::folder::SUMMARY;
use crate::score::{Scores, TaskKind};
use crate::stats::Spread;

/// Version of the format of an experiment's summary, raised by changes that break readers.
pub const SCHEMA: u32 = 1;

/// The part of the data that a run's final figures are measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Held-out data, which settings are chosen on, such as a part of the training images.
    Valid,
    /// Test data, which nothing is chosen on. One exception: if nothing is held out, the best epoch is chosen on them.
    /// Files without this entry are of older versions, which held nothing out.
    #[default]
    Test,
}

impl Split {
    /// `valid` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// The summary of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The row's name, such as `lookahead-sgd`.
    pub optimizer: String,
    /// The state policy; empty without Lookahead.
    pub state: String,
    /// The seed.
    pub seed: u64,
    /// The part that the loss and the scores of `figures` are measured on.
    #[serde(default)]
    pub split: Split,
    /// The final figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Number of training steps.
    pub steps: u64,
    /// Peak resident memory in MiB; 0 if the system does not report it.
    pub peak_rss_mb: u64,
    /// SHA-256 of the final evaluation weights and running statistics, in name order.
    pub weights_sha256: String,
    /// Details, which only a run's own summary holds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub details: Option<RunDetails>,
}

impl RunSummary {
    /// Reads `summary.json` in the run folder `run`; `None` if the run is not finished.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if the file is not such a summary,
    /// [`Error::Output`](crate::Error::Output) if it cannot be read.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        atomic::read_json(&run.join(SUMMARY))
    }
}

/// The final figures of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean training loss of the last epoch, in nats per image or token.
    pub train_loss: f64,
    /// Final loss on the split, at the evaluation weights, in nats per image or token.
    pub valid_loss: f64,
    /// Final scores on the split, at the evaluation weights.
    #[serde(flatten)]
    pub scores: Scores,
    /// Duration in seconds, with evaluation, without interruptions.
    pub seconds: f64,
    /// Training images or tokens per second, without validation.
    #[serde(alias = "images_per_second")]
    pub per_second: f64,
}

/// One row of an experiment's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// The row's name.
    pub optimizer: String,
    /// The state policy; empty without Lookahead.
    pub state: String,
    /// Seeds of the finished runs.
    pub seeds: Vec<u64>,
    /// Epochs of each run.
    pub epochs: u64,
    /// The part that the loss and the scores are measured on.
    #[serde(default)]
    pub split: Split,
    /// Mean and standard deviation over the seeds of each field of [`Figures`], by name.
    #[serde(flatten)]
    pub numbers: BTreeMap<String, Spread>,
}

/// The table of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentSummary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the experiment.
    pub experiment: String,
    /// The protocol that the settings started from.
    pub protocol: String,
    /// The device.
    pub device: String,
    /// The network.
    pub model: String,
    /// The task of the runs.
    #[serde(default)]
    pub task: TaskKind,
    /// One row per optimizer and state policy.
    pub rows: Vec<SummaryRow>,
    /// The finished runs.
    pub runs: Vec<RunSummary>,
    /// Names of the runs whose loss became infinite or NaN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diverged: Vec<String>,
}

impl ExperimentSummary {
    /// Writes `summary.json` in the folder `experiment`.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output) if the file cannot be written.
    pub fn write(&self, experiment: &Path) -> Result<()> {
        atomic::write_json(&experiment.join(SUMMARY), self)
    }

    /// Reads `summary.json` in the folder `experiment`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if the file is not such a summary,
    /// [`Error::Output`](crate::Error::Output) if it cannot be read.
    pub fn read(experiment: &Path) -> Result<Option<Self>> {
        atomic::read_json(&experiment.join(SUMMARY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Measure;

    /// What version 0.1 wrote: other names for speed and best score.
    #[test]
    fn older_summaries_are_read() {
        let older = r#"{"optimizer": "sgd", "state": "", "seed": 1, "train_loss": 0.5, "valid_loss": 0.6, "top1": 80.5, "top5": 99.0,
            "seconds": 10.0, "images_per_second": 900.0, "steps": 40, "peak_rss_mb": 300, "weights_sha256": "ab",
            "data_sha256": "cd", "best_top1": 81.0, "best_epoch": 3, "time": {"data": 1, "forward": 1, "backward": 1, "optimizer": 1,
            "validation": 1}, "classes": ["a", "b"], "per_class": [80, 81], "ece": 0.1}"#;
        let summary: RunSummary = serde_json::from_str(older).unwrap();
        assert_eq!((summary.figures.scores.get(Measure::Top1), summary.figures.per_second), (80.5, 900.0));
        let details = summary.details.as_ref().unwrap();
        assert_eq!((details.best_score, details.ece), (81.0, Some(0.1)));
        let written = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<RunSummary>(&written).unwrap(), summary);
    }
}
