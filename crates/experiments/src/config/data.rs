//! The data's table.

use lookahead_data::{Mixing, Pipeline, TextUnit};
use lookahead_runs::TaskKind;
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::names::Corpus;
use super::original_crop;

/// The data and its preparation. In a file: its `kind`, `images` or `text`, and the settings of this kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataConfig {
    /// Images in classes.
    Images(ImagesConfig),
    /// A text, token by token.
    Text(TextConfig),
}

/// How pixels are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// By the data set's mean and standard deviation.
    Dataset,
    /// To values between 0 and 1, as in the original.
    UnitRange,
}

/// Images and their preparation.
///
/// The pipelines determine the size of images in the network; `--set data.image_size=96` sets it in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesConfig {
    /// Number of training images used, including those that are held out; 0 means all.
    pub limit_train: usize,
    /// Number of images used of every other part; 0 means all.
    pub limit_valid: usize,
    /// Share of each class's training images that is held out, in [0, 1). `best` and tuning use these images. With 0,
    /// all images are trained on, and each epoch is validated on the test images, as in published recipes.
    pub held_out: f64,
    /// Whether a run with held-out images reads the test images, once, when it is finished. False for tuning.
    pub test: bool,
    /// Shorter side, in pixels, of the photographs in the decoded cache, slightly above the training crop; 0 decodes
    /// them every time. For folders of photographs only.
    pub cache_side: usize,
    /// The pipeline of training images, first transform first.
    #[serde(deserialize_with = "original_crop::pipeline")]
    pub train: Pipeline,
    /// The pipeline of validation images.
    #[serde(deserialize_with = "original_crop::pipeline")]
    pub valid: Pipeline,
    /// How pixels are normalised.
    pub normalize: Normalization,
    /// Mixing of training images.
    pub mixing: Mixing,
}

/// A text and how it is split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// The text, unless `--dataset-dir` gives another.
    pub corpus: Corpus,
    /// What a token is.
    pub unit: TextUnit,
    /// How often a token must occur in the training part; rarer ones become `<unk>`. At least 1.
    pub least: usize,
    /// Tokens per window, over which gradients are backpropagated; at least 1.
    pub steps: usize,
    /// Number of training tokens used, from the first on; 0 means all.
    pub limit_train: usize,
    /// Number of validation and of test tokens used; 0 means all.
    pub limit_valid: usize,
    /// Whether a run reads the test part, if the corpus has one, once, when it is finished. False for tuning.
    pub test: bool,
}

impl DataConfig {
    /// The task for such data.
    pub fn task(&self) -> TaskKind {
        match self {
            Self::Images(_) => TaskKind::Images,
            Self::Text(_) => TaskKind::Language,
        }
    }

    /// The settings of images; `None` for a text.
    pub fn images(&self) -> Option<&ImagesConfig> {
        match self {
            Self::Images(images) => Some(images),
            Self::Text(_) => None,
        }
    }

    /// The settings of images, mutable; `None` for a text.
    pub fn images_mut(&mut self) -> Option<&mut ImagesConfig> {
        match self {
            Self::Images(images) => Some(images),
            Self::Text(_) => None,
        }
    }

    /// The same data with changed settings of images; a text is unchanged.
    #[must_use]
    pub fn with_images(self, change: impl FnOnce(ImagesConfig) -> ImagesConfig) -> Self {
        match self {
            Self::Images(images) => Self::Images(change(images)),
            text @ Self::Text(_) => text,
        }
    }

    /// The error for data that should be of `kind`.
    pub(super) fn not(&self, kind: &str) -> ConfigError {
        let is = match self {
            Self::Images(_) => "images",
            Self::Text(_) => "text",
        };
        ConfigError::WrongValue {
            key: "data.kind".to_owned(),
            origin: String::new(),
            reason: format!("expected {kind}, got {is}"),
        }
    }

    /// The limits on images or tokens, of the training part and of each other part; 0 means all.
    pub fn limits(&self) -> (usize, usize) {
        match self {
            Self::Images(ImagesConfig { limit_train, limit_valid, .. })
            | Self::Text(TextConfig { limit_train, limit_valid, .. }) => (*limit_train, *limit_valid),
        }
    }

    /// Sets whether a finished run reads the test part.
    pub fn set_test(&mut self, test: bool) {
        match self {
            Self::Images(images) => images.test = test,
            Self::Text(text) => text.test = test,
        }
    }

    /// Whether epochs are validated on a held-out part, which is neither trained on nor the test part, as tuning requires.
    pub fn has_valid(&self) -> bool {
        match self {
            Self::Images(images) => images.held_out > 0.0,
            Self::Text(_) => true,
        }
    }

    /// The settings that determine which data are read, without those of their preparation. Equal values mean equal data.
    #[must_use]
    pub fn source(&self) -> Self {
        match self.clone() {
            Self::Images(images) => Self::Images(ImagesConfig {
                train: Pipeline::default(),
                valid: Pipeline::default(),
                mixing: Mixing::None,
                ..images
            }),
            Self::Text(text) => Self::Text(TextConfig { steps: 1, ..text }),
        }
    }
}
