//! The tables of a configuration.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::whole;

/// The training loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training data, above 0. May be a fraction: 9.9 epochs of 48 steps are 475.2, rounded up to 476.
    #[serde(serialize_with = "whole::serialize")]
    pub epochs: f64,
    /// Images per step, over all of its parts; for a text, the number of places read in parallel.
    pub batch_size: usize,
    /// Number of parts in which a batch is processed, to save memory; must divide `batch_size`. Batch statistics are
    /// per part.
    pub accumulate: usize,
    /// Share of the target that is spread over all classes equally, in [0, 1); 0 for a text.
    pub label_smoothing: f64,
}

impl TrainConfig {
    /// Number of epochs that are started; each ends with a validation.
    pub fn epochs_begun(&self) -> usize {
        self.total_steps(1)
    }

    /// Steps of the whole run if an epoch has `steps_per_epoch`: their product, rounded up.
    pub fn total_steps(&self, steps_per_epoch: usize) -> usize {
        let steps = self.epochs * steps_per_epoch as f64;
        // 1.1 epochs of 100 steps are 110.00000000000001 in binary: what is only rounding starts no step.
        let is_whole = (steps - steps.round()).abs() <= 4.0 * f64::EPSILON * steps;
        if is_whole { steps.round() as usize } else { steps.ceil() as usize }
    }

    /// The error for a `network` with batch norm if it gets one image at a time; `None` if it gets more.
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

/// How a run is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Views of an image whose logits are averaged at the end of the run: 1 (the image), 2 (the image and its mirror
    /// image) or 6 (airbench's).
    pub views: Views,
    /// Target score (accuracy in percent, or perplexity); the run records when it first reaches it. 0 for none.
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
    /// The image and its mirror image, with equal weights.
    Two,
    /// airbench's: half the weight on the two views, and half on those of the image moved by one pixel up and left, and
    /// down and right, with reflected edges.
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

/// Learning rate and momentum over the steps. A row's learning rate is the peak, or the initial value.
///
/// In a file: `schedule = "constant"`, or a table of one key, `[schedule.one-cycle]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// The initial learning rate, constant.
    Constant,
    /// PyTorch's OneCycleLR with cosine annealing.
    OneCycle(OneCycleConfig),
    /// fastai v1's one cycle.
    OneCycleFastaiV1(OneCycleConfig),
    /// Multiplied at milestones.
    Steps(StepsConfig),
    /// Linearly up and linearly down.
    Triangle(TriangleConfig),
}

/// Linearly up to the peak and linearly down, as factors of the peak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriangleConfig {
    /// The initial factor, in (0, 1].
    pub first: f64,
    /// Share of the steps in which the rate rises, rounded down to a step, in [0, 1).
    pub warmup: f64,
    /// The factor after the last step, in [0, 1].
    pub last: f64,
}

/// One cycle: up to the peak and down again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCycleConfig {
    /// Share of the steps in which the learning rate rises, in (0, 1).
    pub warmup: f64,
    /// Momentum (SGD, RMSProp) or beta1 (AdamW), which moves opposite to the learning rate. Without it, each optimizer
    /// keeps its own. It has no effect on an optimizer without momentum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<MomentumCycle>,
}

/// Momentum over one cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MomentumCycle {
    /// The value at both ends.
    pub high: f64,
    /// The value at the peak of the learning rate.
    pub low: f64,
}

/// A learning rate that falls in steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepsConfig {
    /// Epochs after which the learning rate is multiplied, in rising order.
    pub milestones: Vec<usize>,
    /// The factor, in (0, 1].
    pub factor: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_an_epoch_is_rounded_up_and_rounding_is_not() {
        let steps =
            |epochs, of| TrainConfig { epochs, batch_size: 1, accumulate: 1, label_smoothing: 0.0 }.total_steps(of);
        assert_eq!((steps(9.9, 48), steps(2.5, 56), steps(0.001, 100), steps(3.0, 7)), (476, 140, 1, 21));
        assert_eq!((steps(1.1, 100), steps(2.2, 50), steps(1.1, 1_000_000)), (110, 110, 1_100_000));
        assert_eq!((steps(1.000_000_01, 100), steps(1.0 + f64::EPSILON, 1)), (101, 1));
    }
}
