//! How far a run is.

use serde::{Deserialize, Serialize};

use crate::details::{Reached, TimeSplit};

/// Where a run stands, and the sums it carries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs done.
    pub epoch: usize,
    /// Steps done in the epoch under way.
    pub step_in_epoch: usize,
    /// Steps done in all.
    pub step: usize,
    /// Sum of the epoch's training losses.
    pub epoch_loss: f64,
    /// Sum of the training losses since the last line of `metrics.jsonl`.
    pub logged_loss: f64,
    /// How many they are.
    pub logged_steps: usize,
    /// Mean training loss of the last whole epoch.
    pub train_loss: f64,
    /// Best validation score so far; means nothing while `best_epoch` is 0.
    #[serde(alias = "best_top1")]
    pub best_score: f64,
    /// The epoch it was reached at, from 1; 0 before the first validation.
    pub best_epoch: usize,
    /// Whole bytes of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// When the run's target was first reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Reached>,
    /// Seconds so far.
    pub time: TimeSplit,
    /// Peak resident memory so far, MiB.
    pub peak_rss_mb: u64,
}
