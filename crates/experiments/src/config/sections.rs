//! The tables of a configuration.

use lookahead_data::{Mixing, Pipeline};
use lookahead_models::{Head, Stem};
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::names::ModelName;
use super::original_crop;

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Depth and width.
    pub name: ModelName,
    /// First layers.
    pub stem: Stem,
    /// Last layers.
    pub head: Head,
}

/// How bytes become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// The data set's mean and standard deviation.
    Dataset,
    /// Between 0 and 1, as the original did.
    UnitRange,
}

/// The data and what is done to them.
///
/// The side that images have in the network is where the pipelines put it; `--set data.image_size=96` sets it in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Training images used; 0 means all.
    pub limit_train: usize,
    /// Validation images used; 0 means all.
    pub limit_valid: usize,
    /// Shorter side, pixels, at which photographs are kept decoded in a file beside them, a little over what training crops
    /// to; 0 decodes them anew each time. Folders of photographs only.
    pub cache_side: usize,
    /// What is done to training images, first to last.
    #[serde(deserialize_with = "original_crop::pipeline")]
    pub train: Pipeline,
    /// What is done to validation images.
    #[serde(deserialize_with = "original_crop::pipeline")]
    pub valid: Pipeline,
    /// Bytes to numbers.
    pub normalize: Normalization,
    /// Mixing of training images.
    pub mixing: Mixing,
}

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step, over all of its parts.
    pub batch_size: usize,
    /// Parts a batch is run in, one after another; must divide `batch_size`. Saves memory; batch statistics are per part.
    pub accumulate: usize,
    /// Share of the target given to all classes alike, in [0, 1).
    pub label_smoothing: f64,
}

impl TrainConfig {
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
