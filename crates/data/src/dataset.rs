//! What a data set is.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::report::Report;
use crate::{Image, ImageSize, ImageView, Normalize, Result};

/// An image and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// (H, W, 3) u8.
    pub image: Image,
    /// Position of its class in [`Dataset::classes`].
    pub label: u32,
}

/// A fixed, ordered collection of labelled images that many threads may read at once.
pub trait Dataset: Send + Sync + Debug {
    /// Name for people, such as `cifar10/train`.
    fn name(&self) -> &str;

    /// Number of samples.
    fn len(&self) -> usize;

    /// True where there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes, in the order of the labels.
    fn classes(&self) -> &[String];

    /// Label of sample `index`: below the number of classes.
    ///
    /// # Errors
    /// [`Error::Index`](crate::Error::Index) past the end.
    fn label(&self, index: usize) -> Result<u32>;

    /// Sample `index`, decoded.
    ///
    /// # Errors
    /// [`Error::Index`](crate::Error::Index) past the end; what reading and decoding may give, where that happens now.
    fn get(&self, index: usize) -> Result<Sample>;

    /// The pixels of sample `index` where they lie decoded in memory: the way to read them without a copy.
    fn view(&self, index: usize) -> Option<ImageView<'_>> {
        let _ = index;
        None
    }

    /// The size all images have, where they all have one.
    fn image_size(&self) -> Option<ImageSize> {
        None
    }

    /// The file of sample `index`, where it has one of its own: for messages.
    fn file(&self, index: usize) -> Option<&Path> {
        let _ = index;
        None
    }

    /// SHA-256 in hexadecimal of what the set holds: equal digests mean equal data. Each kind says what goes in.
    ///
    /// # Errors
    /// What reading files may give, where that happens now.
    fn digest(&self) -> Result<String>;

    /// The digest of the samples `indices` in that order, or of all without; `report` hears how far it is where that takes long.
    ///
    /// Where samples are read one by one, those that are not asked for need not be.
    ///
    /// # Errors
    /// As [`digest`](Self::digest), and [`Error::Stopped`](crate::Error::Stopped).
    fn digest_of(&self, indices: Option<&[usize]>, report: &mut Report<'_>) -> Result<String> {
        let _ = report;
        let whole = self.digest()?;
        let Some(indices) = indices else { return Ok(whole) };
        let mut hash = Fingerprint::new("subset");
        hash.text(&whole);
        indices.iter().for_each(|&index| hash.number(index));
        Ok(hash.finish())
    }
}

/// A sample for messages: its file, or the set and its number there.
pub(crate) fn origin(dataset: &dyn Dataset, index: usize) -> String {
    match dataset.file(index) {
        Some(path) => path.display().to_string(),
        None => format!("{} sample {index}", dataset.name()),
    }
}

/// The two parts of a data set, and how its pixels are normalised.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Name of the data set.
    pub name: String,
    /// What one trains on.
    pub train: Arc<dyn Dataset>,
    /// What one validates on.
    pub valid: Arc<dyn Dataset>,
    /// Mean and deviation of the training part.
    pub normalize: Normalize,
}
