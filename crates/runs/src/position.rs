//! The position in a run, as checkpoints hold it.

use serde::{Deserialize, Serialize};

use crate::details::{Reached, TimeSplit};

/// The position in a run, with its running sums.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs done.
    pub epoch: usize,
    /// Steps done in the current epoch.
    pub step_in_epoch: usize,
    /// Steps done in total.
    pub step: usize,
    /// Sum of the training losses of the current epoch.
    pub epoch_loss: f64,
    /// Sum of the training losses since the last line of `metrics.jsonl`.
    pub logged_loss: f64,
    /// Number of losses in `logged_loss`.
    pub logged_steps: usize,
    /// Mean training loss of the last complete epoch.
    pub train_loss: f64,
    /// Best validation score so far; meaningless while `best_epoch` is 0.
    #[serde(alias = "best_top1")]
    pub best_score: f64,
    /// Epoch of the best score, from 1; 0 before the first validation.
    pub best_epoch: usize,
    /// Length of `metrics.jsonl` in bytes at this position.
    pub metrics_bytes: u64,
    /// When the target was first reached; `None` if it was not, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Reached>,
    /// Seconds so far, per part of the work.
    pub time: TimeSplit,
    /// Peak resident memory so far, in MiB.
    pub peak_rss_mb: u64,
}
