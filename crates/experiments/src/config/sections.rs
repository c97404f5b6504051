//! The tables of a configuration.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::whole;

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training data, above 0. The last may be a part: 9.9 epochs of 48 steps are 476 steps, rounded up.
    #[serde(serialize_with = "whole::serialize")]
    pub epochs: f64,
    /// Images a step, over all of its parts; of a text, places that are read side by side.
    pub batch_size: usize,
    /// Parts a batch is run in, one after another; must divide `batch_size`. Saves memory; batch statistics are per part.
    pub accumulate: usize,
    /// Share of the target given to all classes alike, in [0, 1); 0 for a text.
    pub label_smoothing: f64,
}

impl TrainConfig {
    /// Epochs that are begun, each with a validation at its end.
    pub fn epochs_begun(&self) -> usize {
        self.epochs.ceil() as usize
    }

    /// Steps of the whole run where an epoch has `steps_per_epoch`.
    pub fn total_steps(&self, steps_per_epoch: usize) -> usize {
        (self.epochs * steps_per_epoch as f64).ceil() as usize
    }

    /// What is wrong with a `network` whose batch norm has to do with one image at a time; `None` where there are more.
    pub(crate) fn of_one_image(&self, network: &str) -> Option<ConfigError> {
        let Self { batch_size, accumulate, .. } = self;
        (batch_size / accumulate < 2).then(|| ConfigError::Conflict {
            first: network.to_owned(),
            second: format!("batches of one image (--batch-size {batch_size}, train.accumulate {accumulate})"),
            why: "its batch norm needs two images at a time; give a larger --batch-size or a smaller train.accumulate"
                .to_owned(),
        })
    }
}

/// How a run is judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Views of an image whose logits are averaged at the end of the run: 1, the image; 2, it and its mirror image; 6, airbench's.
    pub views: Views,
    /// Score (accuracy in percent, perplexity) whose first time is written down; 0 for none.
    #[serde(serialize_with = "whole::serialize")]
    pub target: f64,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { views: Views::One, target: 0.0 }
    }
}

/// Test-time augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Views {
    /// The image.
    One,
    /// The image and its mirror image, alike.
    Two,
    /// airbench's: half the two views, and half those of the image moved by one pixel up left and down right, edges reflected.
    Six,
}

impl From<Views> for u8 {
    fn from(views: Views) -> Self {
        match views {
            Views::One => 1,
            Views::Two => 2,
            Views::Six => 6,
        }
    }
}

impl TryFrom<u8> for Views {
    type Error = String;

    fn try_from(views: u8) -> Result<Self, String> {
        match views {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            6 => Ok(Self::Six),
            other => Err(format!("expected 1, 2 or 6 views, got {other}")),
        }
    }
}

/// Learning rate and momentum over the steps; the learning rate of a row is the peak, or where it starts.
///
/// In a file: `schedule = "constant"`, or a table of one key, `[schedule.one-cycle]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// Always the same.
    Constant,
    /// PyTorch's OneCycleLR, cosine.
    OneCycle(OneCycleConfig),
    /// fastai v1's one cycle.
    OneCycleFastaiV1(OneCycleConfig),
    /// Multiplied at milestones.
    Steps(StepsConfig),
    /// Straight up, straight down.
    Triangle(TriangleConfig),
}

/// Straight up to the peak and straight down, as factors on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriangleConfig {
    /// Where it starts, in (0, 1].
    pub first: f64,
    /// Share of the steps in which it rises, rounded down to a step, in [0, 1).
    pub warmup: f64,
    /// Where it would be after the last step, in [0, 1].
    pub last: f64,
}

/// One cycle: up to the peak and down again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCycleConfig {
    /// Share of the steps in which the learning rate rises, in (0, 1).
    pub warmup: f64,
    /// Momentum (SGD, RMSProp) or beta1 (AdamW) against the learning rate; without it each optimizer keeps its own. An
    /// optimizer without momentum has none to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<MomentumCycle>,
}

/// Momentum over one cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MomentumCycle {
    /// At both ends.
    pub high: f64,
    /// At the peak of the learning rate.
    pub low: f64,
}

/// Steps down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepsConfig {
    /// Epochs after which the learning rate is multiplied, rising.
    pub milestones: Vec<usize>,
    /// What it is multiplied by, in (0, 1].
    pub factor: f64,
}
