//! The data set trait.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::report::Report;
use crate::{Error, Image, ImageSize, ImageView, Normalize, Result};

/// An image and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// (H, W, 3) u8.
    pub image: Image,
    /// Index of its class in [`Dataset::classes`].
    pub label: u32,
}

/// A fixed, ordered collection of labelled images that many threads may read at once.
pub trait Dataset: Send + Sync + Debug {
    /// Display name, such as `cifar10/train`.
    fn name(&self) -> &str;

    /// Number of samples.
    fn len(&self) -> usize;

    /// True if there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes, in the order of the labels.
    fn classes(&self) -> &[String];

    /// Label of sample `index`: below the number of classes. A data set without class names may give any label.
    ///
    /// # Errors
    /// [`Error::Index`] if `index` is out of range.
    fn label(&self, index: usize) -> Result<u32>;

    /// Sample `index`, decoded.
    ///
    /// # Errors
    /// [`Error::Index`] if `index` is out of range; errors of reading and decoding, if that happens here.
    fn get(&self, index: usize) -> Result<Sample>;

    /// The pixels of sample `index` without a copy, if they are decoded in memory.
    fn view(&self, index: usize) -> Option<ImageView<'_>> {
        let _ = index;
        None
    }

    /// The size of all images, at least 1x1, if they share one.
    fn image_size(&self) -> Option<ImageSize> {
        None
    }

    /// The file of sample `index`, if each sample is a file; used in messages.
    fn file(&self, index: usize) -> Option<&Path> {
        let _ = index;
        None
    }

    /// SHA-256, in hexadecimal, of the data set's content: equal digests mean equal data. Each type documents what its digest covers.
    ///
    /// # Errors
    /// Errors of reading files, if that happens here.
    fn digest(&self) -> Result<String>;

    /// The digest of the samples `indices` in that order, or of all samples for `None`. `report` receives the progress if this takes long.
    ///
    /// A data set that reads samples one by one may read only those requested.
    ///
    /// # Errors
    /// Those of [`digest`](Self::digest), and [`Error::Stopped`].
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

/// True for a label below the number of `classes`, and for any label if there are none.
pub(crate) fn is_class(label: u32, classes: usize) -> bool {
    classes == 0 || (label as usize) < classes
}

/// The label of sample `index`, after checking that it is a class.
pub(crate) fn checked_label(dataset: &dyn Dataset, index: usize, label: u32) -> Result<u32> {
    let classes = dataset.classes().len();
    if is_class(label, classes) {
        return Ok(label);
    }
    let path = dataset.file(index).map_or_else(|| dataset.name().into(), Path::to_path_buf);
    Err(Error::Label { path, row: index, label: label.into(), classes })
}

/// A sample in messages: its file, or the data set and the index.
pub(crate) fn origin(dataset: &dyn Dataset, index: usize) -> String {
    match dataset.file(index) {
        Some(path) => path.display().to_string(),
        None => format!("{} sample {index}", dataset.name()),
    }
}

/// The training and validation parts of a data set, and the normalisation of its pixels.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Name of the data set.
    pub name: String,
    /// The training part.
    pub train: Arc<dyn Dataset>,
    /// The validation part.
    pub valid: Arc<dyn Dataset>,
    /// Mean and standard deviation of the training part; ImageNet's for folders of images.
    pub normalize: Normalize,
}
