//! `summary.json`: of a run, and of an experiment.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::error::Result;
use crate::folder::SUMMARY;
use crate::stats::Spread;

/// The format's number; a change that breaks readers raises it.
pub const SCHEMA: u32 = 1;

/// What a finished run ended with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The row's name, such as `lookahead-sgd`.
    pub optimizer: String,
    /// The state policy; empty without Lookahead.
    pub state: String,
    /// The seed.
    pub seed: u64,
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
    /// Mean training loss of the last epoch, nats an image.
    pub train_loss: f64,
    /// Final validation loss at the weights meant for evaluation, nats an image.
    pub valid_loss: f64,
    /// Final validation accuracy, percent.
    pub top1: f64,
    /// Final share of images whose class is among the five likeliest, percent.
    pub top5: f64,
    /// Seconds, validation included, stops left out.
    pub seconds: f64,
    /// Training images a second, validation left out.
    pub images_per_second: f64,
}

/// The longer part of a run's summary.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunDetails {
    /// Digest of the data.
    pub data_sha256: String,
    /// Best validation accuracy of any epoch, percent.
    pub best_top1: f64,
    /// The epoch it was reached at, from 1.
    pub best_epoch: u64,
    /// Seconds by part.
    pub time: TimeSplit,
    /// The class names.
    pub classes: Vec<String>,
    /// Images by true class (row) and predicted class (column), of the last validation.
    pub confusion: Vec<Vec<u64>>,
    /// Accuracy of each class, percent.
    pub per_class: Vec<f64>,
    /// Expected calibration error, 0 to 1.
    pub ece: f64,
}

/// Where the seconds went. On a GPU the parts of a step are those of handing work to it, since nothing waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSplit {
    /// Waiting for data and moving them to the device.
    pub data: f64,
    /// Forward pass and loss.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// The optimizer's update.
    pub optimizer: f64,
    /// Validation.
    pub validation: f64,
}

impl TimeSplit {
    /// Training, without validation.
    pub fn training(&self) -> f64 {
        self.data + self.forward + self.backward + self.optimizer
    }

    /// Training and validation.
    pub fn total(&self) -> f64 {
        self.training() + self.validation
    }

    /// The parts by name, in the order in which a step does them.
    pub fn parts(&self) -> [(&'static str, f64); 5] {
        [
            ("data", self.data),
            ("forward", self.forward),
            ("backward", self.backward),
            ("optimizer", self.optimizer),
            ("validation", self.validation),
        ]
    }
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
