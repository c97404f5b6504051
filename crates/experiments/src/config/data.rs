//! The data's table.

use lookahead_data::{Mixing, Pipeline, TextUnit};
use lookahead_runs::TaskKind;
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::names::Corpus;
use super::original_crop;

/// The data and what is done to them. In a file: their `kind`, `images` or `text`, and beside it the settings that this kind has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataConfig {
    /// Images in classes.
    Images(ImagesConfig),
    /// A text, token by token.
    Text(TextConfig),
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

/// Images and what is done to them.
///
/// The side that images have in the network is where the pipelines put it; `--set data.image_size=96` sets it in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesConfig {
    /// Training images used, those held out of them included; 0 means all.
    pub limit_train: usize,
    /// Images used of the part that is not trained on; 0 means all.
    pub limit_valid: usize,
    /// Share of each class's training images that is held out: what `best` and whoever tunes choose by, in [0, 1). With 0 all are
    /// trained on, and each epoch is validated on the test images, as others did it.
    pub held_out: f64,
    /// Whether a run with held-out images reads the test images, once, when it is done. What tunes says no.
    pub test: bool,
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

/// A text and how it is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// The text, unless `--dataset-dir` names another.
    pub corpus: Corpus,
    /// What a token is.
    pub unit: TextUnit,
    /// Times that a token must occur in the training part; rarer ones become `<unk>`. At least 1.
    pub least: usize,
    /// Tokens of a window, through which gradients go back; at least 1.
    pub steps: usize,
    /// Training tokens used, from the first on; 0 means all.
    pub limit_train: usize,
    /// Validation and test tokens used; 0 means all.
    pub limit_valid: usize,
    /// Whether a run reads the test part, where the corpus has one, once, when it is done. What tunes says no.
    pub test: bool,
}

impl DataConfig {
    /// What is learned of such data.
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

    /// The same, to change them.
    pub fn images_mut(&mut self) -> Option<&mut ImagesConfig> {
        match self {
            Self::Images(images) => Some(images),
            Self::Text(_) => None,
        }
    }

    /// The same with changed settings, where it is of images.
    #[must_use]
    pub fn with_images(self, change: impl FnOnce(ImagesConfig) -> ImagesConfig) -> Self {
        match self {
            Self::Images(images) => Self::Images(change(images)),
            text @ Self::Text(_) => text,
        }
    }

    /// What is wrong with data that should be of `kind`.
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

    /// Most images or tokens of training and of each other part; 0 means all.
    pub fn limits(&self) -> (usize, usize) {
        match self {
            Self::Images(ImagesConfig { limit_train, limit_valid, .. })
            | Self::Text(TextConfig { limit_train, limit_valid, .. }) => (*limit_train, *limit_valid),
        }
    }

    /// Sets whether a run that is done reads the test part.
    pub fn set_test(&mut self, test: bool) {
        match self {
            Self::Images(images) => images.test = test,
            Self::Text(text) => text.test = test,
        }
    }

    /// Whether epochs are validated on a part that is neither trained on nor the test part: what whoever tunes needs.
    pub fn has_valid(&self) -> bool {
        match self {
            Self::Images(images) => images.held_out > 0.0,
            Self::Text(_) => true,
        }
    }

    /// What the data that are read depend on: equal values, equal data. What is done to them afterwards is put aside.
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
