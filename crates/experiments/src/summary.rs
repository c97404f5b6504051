//! `summary.json`: of a run, and of an experiment.

use serde::{Deserialize, Serialize};

use crate::names::{Experiment, ModelName, OptimizerName, Protocol, State};
use crate::stats::Spread;

/// The format's number; a change that breaks readers raises it.
pub const SCHEMA: u32 = 1;

/// What a finished run ended with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The optimizer.
    pub optimizer: OptimizerName,
    /// The state policy; `keep` without Lookahead.
    pub state: State,
    /// The seed.
    pub seed: u64,
    /// Mean training loss of the last epoch, nats an image.
    pub train_loss: f64,
    /// Final validation loss at the slow weights, nats an image.
    pub valid_loss: f64,
    /// Final validation accuracy, percent.
    pub top1: f64,
    /// Final share of images whose class is among the five likeliest, percent.
    pub top5: f64,
    /// Steps.
    pub steps: usize,
    /// Seconds, validation included, stops left out.
    pub seconds: f64,
    /// Training images a second, validation left out.
    pub images_per_second: f64,
    /// Peak resident memory, MiB; 0 where the system does not tell.
    pub peak_rss_mb: u64,
    /// Digest of the final evaluation weights and statistics, in name order.
    pub weights_sha256: String,
    /// What only a run's own summary holds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub details: Option<RunDetails>,
}

/// The longer part of a run's summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDetails {
    /// Digest of the data.
    pub data_sha256: String,
    /// Best validation accuracy of any epoch, percent.
    pub best_top1: f64,
    /// The epoch it was reached at, from 1.
    pub best_epoch: usize,
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
}

/// One row of the table: an optimizer over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The optimizer.
    pub optimizer: OptimizerName,
    /// The state policy; `keep` without Lookahead.
    pub state: State,
    /// Seeds that finished.
    pub seeds: Vec<u64>,
    /// Epochs of each run.
    pub epochs: usize,
    /// Training loss.
    pub train_loss: Spread,
    /// Validation loss.
    pub valid_loss: Spread,
    /// Accuracy, percent.
    pub top1: Spread,
    /// Top-5, percent.
    pub top5: Spread,
    /// Seconds a run.
    pub seconds: Spread,
    /// Training images a second.
    pub images_per_second: Spread,
}

/// The table of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentSummary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The experiment.
    pub experiment: Experiment,
    /// The protocol the settings started from.
    pub protocol: Protocol,
    /// The device.
    pub device: String,
    /// The network.
    pub model: ModelName,
    /// One row an optimizer and state policy.
    pub rows: Vec<Row>,
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// Runs whose loss became infinite or not a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diverged: Vec<String>,
}

/// The rows of `runs`, in the order in which optimizers and states first appear.
pub(crate) fn rows(runs: &[RunSummary], epochs: usize) -> Vec<Row> {
    let mut keys: Vec<(OptimizerName, State)> = Vec::new();
    for run in runs {
        if !keys.contains(&(run.optimizer, run.state)) {
            keys.push((run.optimizer, run.state));
        }
    }
    keys.into_iter()
        .filter_map(|(optimizer, state)| {
            let own: Vec<_> = runs.iter().filter(|run| (run.optimizer, run.state) == (optimizer, state)).collect();
            let spread =
                |value: fn(&RunSummary) -> f64| Spread::of(&own.iter().map(|run| value(run)).collect::<Vec<_>>());
            Some(Row {
                optimizer,
                state,
                seeds: own.iter().map(|run| run.seed).collect(),
                epochs,
                train_loss: spread(|run| run.train_loss)?,
                valid_loss: spread(|run| run.valid_loss)?,
                top1: spread(|run| run.top1)?,
                top5: spread(|run| run.top5)?,
                seconds: spread(|run| run.seconds)?,
                images_per_second: spread(|run| run.images_per_second)?,
            })
        })
        .collect()
}
