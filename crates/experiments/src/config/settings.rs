//! The tables and keys of a configuration.

use serde::{Deserialize, Serialize};

use super::RunConfig;
use crate::names::{Experiment, Head, ModelName, OptimizerName, Protocol, State, Stem};

/// Everything the results of an experiment depend on.
///
/// `--print-config` prints it as TOML; each field is a key, each inner struct a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The experiment; fixed by the program.
    pub experiment: Experiment,
    /// The protocol that the settings started from.
    pub protocol: Protocol,
    /// `cpu`, `cuda:N` or `metal:N`; `auto` takes the first that this build and machine have.
    pub device: String,
    /// The optimizers, one row of the table each.
    pub optimizers: Vec<OptimizerName>,
    /// State policies of the Lookahead optimizers.
    pub states: Vec<State>,
    /// Seeds, one run each.
    pub seeds: Vec<u64>,
    /// The network.
    pub model: ModelSettings,
    /// The data and what is done to them.
    pub data: DataSettings,
    /// The loop.
    pub train: TrainSettings,
    /// Learning rate and momentum over the steps.
    pub schedule: ScheduleSettings,
    /// Lookahead, whatever is inside.
    pub lookahead: LookaheadSettings,
    /// SGD.
    pub sgd: SgdSettings,
    /// AdamW.
    pub adamw: AdamWSettings,
    /// RMSProp.
    pub rmsprop: RmsPropSettings,
    /// The SGD inside Lookahead.
    #[serde(rename = "lookahead-sgd")]
    pub lookahead_sgd: SgdSettings,
    /// The AdamW inside Lookahead.
    #[serde(rename = "lookahead-adamw")]
    pub lookahead_adamw: AdamWSettings,
    /// The RMSProp inside Lookahead.
    #[serde(rename = "lookahead-rmsprop")]
    pub lookahead_rmsprop: RmsPropSettings,
    /// The SGD whose weights `polyak` averages.
    pub polyak: SgdSettings,
    /// Averaging of `polyak`'s weights.
    pub averaging: AveragingSettings,
}

/// The keys of [`Config`] that belong to some optimizers only.
pub(crate) const OPTIMIZER_TABLES: &[&str] = &[
    "lookahead",
    "sgd",
    "adamw",
    "rmsprop",
    "lookahead-sgd",
    "lookahead-adamw",
    "lookahead-rmsprop",
    "polyak",
    "averaging",
];

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Depth and width.
    pub name: ModelName,
    /// First layers.
    pub stem: Stem,
    /// Last layers.
    pub head: Head,
}

/// What is done to training images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// Nothing.
    None,
    /// Zero-pad 4, random crop, random flip.
    PadCropFlip,
    /// The original project's crop, which moves by one pixel at most; no flip.
    OriginalCrop,
    /// The same with a random flip.
    OriginalCropFlip,
    /// Random area and aspect ratio, resized; random flip.
    RandomResizedCrop,
    /// fastai v1's `get_transforms()`: crop, flip, warp, rotation, zoom, brightness, contrast.
    FastaiV1,
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

/// How images are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mixing {
    /// Not at all.
    None,
    /// Mixup with one weight a batch (Zhang et al.).
    Mixup,
    /// Mixup with one weight an image, never below one half (fastai).
    MixupPerSample,
    /// A rectangle of another image.
    Cutmix,
}

/// The data and what is done to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// Training images used; 0 means all.
    pub limit_train: usize,
    /// Validation images used; 0 means all.
    pub limit_valid: usize,
    /// Side of the square the network sees, pixels; 0 keeps the data set's size.
    pub image_size: usize,
    /// Shorter side, pixels, at which photographs are kept decoded in a file beside them, a little over what training crops
    /// to; 0 decodes them anew each time. Folders of photographs only.
    pub cache_side: usize,
    /// Change of training images.
    pub augmentation: Augmentation,
    /// Smallest share of the area that `random-resized-crop` keeps, in (0, 1].
    pub min_scale: f64,
    /// Bytes to numbers.
    pub normalize: Normalization,
    /// Mixing of images.
    pub mixing: Mixing,
    /// Parameter of the Beta distribution that mixing weights come from, > 0.
    pub mixing_alpha: f64,
}

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step, over all of its parts.
    pub batch_size: usize,
    /// Parts a batch is run in, one after another; must divide `batch_size`. Saves memory; batch statistics are per part.
    pub accumulate: usize,
    /// Share of the target given to all classes alike, in [0, 1).
    pub label_smoothing: f64,
}

/// A family of schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Always the same.
    Constant,
    /// PyTorch's OneCycleLR, cosine.
    OneCycle,
    /// fastai v1's one cycle.
    OneCycleFastaiV1,
    /// Multiplied by `factor` at each milestone.
    Steps,
}

/// Learning rate and momentum over the steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// The family.
    pub kind: ScheduleKind,
    /// Share of the steps in which OneCycle rises, in (0, 1).
    pub warmup: f64,
    /// Whether OneCycle moves momentum (SGD, RMSProp) or beta1 (AdamW), against the learning rate.
    pub cycle_momentum: bool,
    /// Momentum at OneCycle's ends.
    pub momentum_high: f64,
    /// Momentum at OneCycle's peak.
    pub momentum_low: f64,
    /// Epochs after which `steps` multiplies.
    pub milestones: Vec<usize>,
    /// What it multiplies by.
    pub factor: f64,
}

/// Lookahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookaheadSettings {
    /// Inner steps between syncs, at least 1.
    pub sync_period: usize,
    /// Share of the way the slow weights go towards the fast ones, in [0, 1].
    pub slow_step_size: f64,
}

/// SGD. With a OneCycle schedule the learning rate is its peak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgdSettings {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Momentum in [0, 1), where the schedule does not move it.
    pub momentum: f64,
    /// Nesterov's form.
    pub nesterov: bool,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay multiplies weights (true) or is added to gradients (false).
    pub decoupled: bool,
    /// Decay spares biases and batch norms.
    pub decay_weights_only: bool,
}

/// AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWSettings {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment, where the schedule does not move it.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
    /// Decay spares biases and batch norms.
    pub decay_weights_only: bool,
}

/// RMSProp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RmsPropSettings {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay of the second moment.
    pub alpha: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Momentum; 0 is none, and then the schedule moves none.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay multiplies weights (true) or is added to gradients (false).
    pub decoupled: bool,
    /// Decay spares biases and batch norms.
    pub decay_weights_only: bool,
}

/// Averaging of weights for evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragingSettings {
    /// Epochs before the averaging starts.
    pub start_epoch: usize,
    /// Share of the average kept at each step, in [0, 1); 0 is the plain mean of all steps since the start.
    pub decay: f64,
}

impl Config {
    /// The configuration as a TOML table, every key present.
    pub fn to_table(&self) -> toml::Table {
        // Serialisation of plain data to an in-memory table has no failure a caller could meet.
        toml::Table::try_from(self).unwrap_or_default()
    }

    /// The runs, optimizer by optimizer, state by state, seed by seed.
    pub fn runs(&self) -> Vec<RunConfig> {
        let mut runs = Vec::new();
        for &optimizer in &self.optimizers {
            let states = if optimizer.is_lookahead() { self.states.as_slice() } else { &[State::Keep] };
            for &state in states {
                for &seed in &self.seeds {
                    runs.push(RunConfig { config: self.clone(), optimizer, state, seed });
                }
            }
        }
        runs
    }
}
