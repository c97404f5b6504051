//! What a data set is, and the two kinds that hold others' data: in memory, and a part of another.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{Error, Image, ImageSize, ImageView, Normalize, Result};

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
    /// [`Error::Index`] past the end.
    fn label(&self, index: usize) -> Result<u32>;

    /// Sample `index`, decoded.
    ///
    /// # Errors
    /// [`Error::Index`] past the end; what reading and decoding may give, where that happens now.
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

    /// SHA-256 in hexadecimal of what the set holds: equal digests mean equal data. Each kind says what goes in.
    ///
    /// # Errors
    /// What reading files may give, where that happens now.
    fn digest(&self) -> Result<String>;
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

/// Images of one size, decoded, in one allocation: CIFAR, the drawn shapes, or any of one's own.
///
/// The digest covers size, class names, labels and pixels, not the name.
///
/// ```
/// use lookahead_data::{Dataset, ImageSize, InMemory};
///
/// let pixels = (0..2 * 12).collect(); // two images of 2 x 2
/// let set = InMemory::new("mine", vec!["a".into(), "b".into()], ImageSize::square(2), pixels, vec![0, 1])?;
/// assert_eq!(set.get(1)?.image.view().pixel(0, 0), [12, 13, 14]);
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Clone)]
pub struct InMemory {
    name: String,
    classes: Vec<String>,
    size: ImageSize,
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl Debug for InMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InMemory")
            .field("name", &self.name)
            .field("len", &self.labels.len())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl InMemory {
    /// A data set of `labels.len()` images of `size`, whose `pixels` are (N, H, W, 3) u8.
    ///
    /// # Errors
    /// [`Error::Pixels`] where the pixels are too few or too many, [`Error::Label`] where a label names no class.
    pub fn new(
        name: impl Into<String>,
        classes: Vec<String>,
        size: ImageSize,
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let name = name.into();
        if size.bytes() == 0 || size.bytes().checked_mul(labels.len()) != Some(pixels.len()) {
            return Err(Error::Pixels { size, found: pixels.len() });
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes.len()) {
            let label = i64::from(labels[row]);
            return Err(Error::Label { path: PathBuf::from(name), row, label, classes: classes.len() });
        }
        Ok(Self { name, classes, size, pixels, labels })
    }

    /// The same set under another name.
    pub fn renamed(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// All pixels, (N, H, W, 3) u8.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All labels, (N).
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn bytes_of(&self, index: usize) -> Option<&[u8]> {
        let stride = self.size.bytes();
        self.pixels.get(index.checked_mul(stride)?..index.checked_add(1)?.checked_mul(stride)?)
    }
}

impl Dataset for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.labels.get(index).copied().ok_or(Error::Index { index, len: self.len() })
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let label = self.label(index)?;
        let view = self.view(index).ok_or(Error::Index { index, len: self.len() })?;
        Ok(Sample { image: view.to_image(), label })
    }

    fn view(&self, index: usize) -> Option<ImageView<'_>> {
        ImageView::new(self.size, self.bytes_of(index)?).ok()
    }

    fn image_size(&self) -> Option<ImageSize> {
        Some(self.size)
    }

    fn digest(&self) -> Result<String> {
        let mut hash = Fingerprint::new("in-memory");
        hash.number(self.size.height);
        hash.number(self.size.width);
        hash.number(self.classes.len());
        self.classes.iter().for_each(|class| hash.text(class));
        hash.number(self.labels.len());
        self.labels.iter().for_each(|&label| hash.number(label as usize));
        hash.bytes(&self.pixels);
        Ok(hash.finish())
    }
}

/// A part of another data set: the samples of a list of indices.
///
/// The digest is that of the whole set with the list.
#[derive(Debug, Clone)]
pub struct Subset {
    whole: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The samples `indices` of `whole`, in that order.
    ///
    /// # Errors
    /// [`Error::Index`] where one is past the end.
    pub fn new(whole: Arc<dyn Dataset>, indices: Vec<usize>) -> Result<Self> {
        let len = whole.len();
        match indices.iter().find(|&&index| index >= len) {
            Some(&index) => Err(Error::Index { index, len }),
            None => Ok(Self { whole, indices }),
        }
    }

    fn index(&self, index: usize) -> Result<usize> {
        self.indices.get(index).copied().ok_or(Error::Index { index, len: self.indices.len() })
    }
}

impl Dataset for Subset {
    fn name(&self) -> &str {
        self.whole.name()
    }

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn classes(&self) -> &[String] {
        self.whole.classes()
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.whole.label(self.index(index)?)
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.whole.get(self.index(index)?)
    }

    fn view(&self, index: usize) -> Option<ImageView<'_>> {
        self.whole.view(*self.indices.get(index)?)
    }

    fn image_size(&self) -> Option<ImageSize> {
        self.whole.image_size()
    }

    fn digest(&self) -> Result<String> {
        let mut hash = Fingerprint::new("subset");
        hash.text(&self.whole.digest()?);
        self.indices.iter().for_each(|&index| hash.number(index));
        Ok(hash.finish())
    }
}

/// At most `count` samples of `dataset`, evenly spaced: sample i is number i * len / count of the whole.
///
/// A set sorted by class thus keeps all its classes, and one in random order gives as random a part as its first `count` samples.
/// Where `count` is the length or more, the set comes back unchanged.
pub fn limit(dataset: Arc<dyn Dataset>, count: usize) -> Arc<dyn Dataset> {
    let len = dataset.len();
    if count >= len {
        return dataset;
    }
    let indices = (0..count).map(|i| (i as u128 * len as u128 / count as u128) as usize).collect();
    Arc::new(Subset { whole: dataset, indices })
}

/// SHA-256 over values whose borders are kept apart.
#[derive(Debug)]
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new(kind: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.text(kind);
        hash
    }

    pub(crate) fn number(&mut self, value: usize) {
        self.0.update((value as u64).to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.number(value.len());
        self.0.update(value);
    }

    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> Arc<dyn Dataset> {
        let classes = vec!["a".to_string(), "b".to_string()];
        let set = InMemory::new("four", classes, ImageSize::new(1, 1), (0..12).collect(), vec![0, 0, 1, 1]);
        Arc::new(set.unwrap())
    }

    #[test]
    fn limit_spreads_over_the_classes() {
        let half = limit(four(), 2);
        assert_eq!((half.label(0).unwrap(), half.label(1).unwrap()), (0, 1));
        assert_eq!(half.get(1).unwrap().image.pixels(), [6, 7, 8]);
        assert_eq!(half.view(1).unwrap().pixels(), [6, 7, 8]);
        assert!(matches!(half.get(2), Err(Error::Index { index: 2, len: 2 })));
        assert_eq!(limit(four(), 4).digest().unwrap(), four().digest().unwrap());
        assert_ne!(half.digest().unwrap(), four().digest().unwrap());
        assert!(limit(four(), 0).is_empty());
    }

    #[test]
    fn a_digest_changes_with_one_pixel_and_not_with_the_name() {
        let make = |name: &str, last| {
            InMemory::new(name, vec!["a".into()], ImageSize::new(1, 1), vec![1, 2, last], vec![0]).unwrap().digest()
        };
        assert_eq!(make("x", 3).unwrap(), make("y", 3).unwrap());
        assert_ne!(make("x", 3).unwrap(), make("x", 4).unwrap());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let make = |pixels, labels| InMemory::new("x", vec!["a".into()], ImageSize::new(1, 1), pixels, labels);
        assert!(matches!(make(vec![0; 4], vec![0]), Err(Error::Pixels { found: 4, .. })));
        assert!(matches!(make(vec![0; 6], vec![0, 7]), Err(Error::Label { row: 1, label: 7, classes: 1, .. })));
        assert!(matches!(Subset::new(four(), vec![1, 4]), Err(Error::Index { index: 4, len: 4 })));
    }
}
