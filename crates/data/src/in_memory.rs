//! Data sets decoded in memory.

use std::fmt::Debug;
use std::path::PathBuf;

use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, ImageSize, ImageView, Result, Sample};

/// Images of one size, decoded, in one allocation: CIFAR, the drawn shapes, or your own.
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
#[doc(alias = "TensorDataset")]
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
    /// A data set of `labels.len()` images of `size`. `pixels` are (N, H, W, 3) u8.
    ///
    /// # Errors
    /// [`Error::Pixels`] if the number of pixels does not match, [`Error::Label`] if a label is not a class.
    pub fn new(
        name: impl Into<String>,
        classes: Vec<String>,
        size: ImageSize,
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let name = name.into();
        let each = size.checked_bytes().filter(|&each| each > 0);
        if each.and_then(|each| each.checked_mul(labels.len())) != Some(pixels.len()) {
            return Err(Error::Pixels { size, images: labels.len(), found: pixels.len() });
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes.len()) {
            let label = i64::from(labels[row]);
            return Err(Error::Label { path: PathBuf::from(name), row, label, classes: classes.len() });
        }
        Ok(Self { name, classes, size, pixels, labels })
    }

    /// Like [`new`](Self::new), from grey images, (N, H, W) u8. Each value is repeated for red, green and blue, as when a grey file is
    /// read.
    ///
    /// For networks with one input channel, or targets that are not classes, see [`Examples`](crate::Examples).
    ///
    /// # Errors
    /// Those of [`new`](Self::new), for one channel.
    #[doc(alias = "MNIST")]
    pub fn grey(
        name: impl Into<String>,
        classes: Vec<String>,
        size: ImageSize,
        values: &[u8],
        labels: Vec<u32>,
    ) -> Result<Self> {
        Self::new(name, classes, size, values.iter().flat_map(|&v| [v; crate::CHANNELS]).collect(), labels)
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let vast = ImageSize::new(usize::MAX, 2);
        assert!(matches!(InMemory::new("x", vec![], vast, vec![], vec![]), Err(Error::Pixels { .. })));
        // One channel: said what it looks like, and counted over all images.
        let grey = make(vec![0; 2], vec![0, 0]).unwrap_err().to_string();
        assert!(
            grey.contains("2 images of 1x1") && grey.contains("need 6") && grey.contains("InMemory::grey"),
            "{grey}"
        );
        let set = InMemory::grey("x", vec!["a".into()], ImageSize::new(1, 2), &[7, 9], vec![0]).unwrap();
        assert_eq!(set.pixels(), [7, 7, 7, 9, 9, 9]);
        assert!(matches!(make(vec![0; 6], vec![0, 7]), Err(Error::Label { row: 1, label: 7, classes: 1, .. })));
    }
}
