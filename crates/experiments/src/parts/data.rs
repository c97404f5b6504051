//! The data of an experiment: images or a text.

use lookahead_runs::DataSet;

use super::images::ImageData;
use super::text::TextData;

/// The data that a run is trained and evaluated on.
#[derive(Debug, Clone)]
pub enum Data {
    /// Images in classes.
    Images(ImageData),
    /// A text.
    Text(TextData),
}

impl Data {
    /// Its name, digest and counts.
    pub fn about(&self) -> &DataSet {
        match self {
            Self::Images(images) => &images.about,
            Self::Text(text) => &text.about,
        }
    }
}

impl From<ImageData> for Data {
    fn from(images: ImageData) -> Self {
        Self::Images(images)
    }
}

impl From<TextData> for Data {
    fn from(text: TextData) -> Self {
        Self::Text(text)
    }
}
