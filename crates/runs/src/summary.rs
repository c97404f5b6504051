//! `summary.json`: of a run, and of an experiment.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::details::RunDetails;
use crate::error::Result;
use crate::folder::SUMMARY;
use crate::score::{Scores, TaskKind};
use crate::stats::Spread;

/// The format's number; a change that breaks readers raises it.
pub const SCHEMA: u32 = 1;

/// The part of the data that a run's final figures are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What settings are chosen by, such as images cut from the training images.
    Valid,
    /// What nothing was chosen by but, where `best` names an epoch and nothing is held out, that epoch. Folders that
    /// do not say are of versions that held nothing out.
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

/// What a finished run ended with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The row's name, such as `lookahead-sgd`.
    pub optimizer: String,
    /// The state policy; empty without Lookahead.
    pub state: String,
    /// The seed.
    pub seed: u64,
    /// What loss and scores of `figures` are from.
    #[serde(default)]
    pub split: Split,
    /// The final numbers.
    #[serde(flatten)]
    pub figures: Figures,
    /// Steps.
    pub steps: u64,
    /// Peak resident memory, MiB; 0 where the system does not tell.
    pub peak_rss_mb: u64,
    /// Digest of the final evaluation weights and statistics, in name order.
    pub weights_sha256: String,
    /// What only a run's own summary holds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub details: Option<RunDetails>,
}

/// The final numbers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean training loss of the last epoch, nats an image or a token.
    pub train_loss: f64,
    /// Final loss on the images of the split, at the weights meant for evaluation, nats an image or a token.
    pub valid_loss: f64,
    /// Final scores there.
    #[serde(flatten)]
    pub scores: Scores,
    /// Seconds, evaluation included, stops left out.
    pub seconds: f64,
    /// Training images or tokens a second, validation left out.
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
    /// Seeds that finished.
    pub seeds: Vec<u64>,
    /// Epochs of each run.
    pub epochs: u64,
    /// What its loss and scores are from.
    #[serde(default)]
    pub split: Split,
    /// Each of [`Figures`], by its name, over the seeds.
    #[serde(flatten)]
    pub numbers: BTreeMap<String, Spread>,
}

/// The table of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentSummary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The experiment.
    pub experiment: String,
    /// The protocol the settings started from.
    pub protocol: String,
    /// The device.
    pub device: String,
    /// The network.
    pub model: String,
    /// What its runs learn.
    #[serde(default)]
    pub task: TaskKind,
    /// One row an optimizer and state policy.
    pub rows: Vec<SummaryRow>,
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// Runs whose loss became infinite or not a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diverged: Vec<String>,
}

impl ExperimentSummary {
    /// Writes it beside the runs of `experiment`.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output).
    pub fn write(&self, experiment: &Path) -> Result<()> {
        atomic::write_json(&experiment.join(SUMMARY), self)
    }

    /// Reads the one beside the runs of `experiment`; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged), [`Error::Output`](crate::Error::Output).
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
