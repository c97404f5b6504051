//! Subsets of data sets.

use std::path::Path;
use std::sync::Arc;

use crate::report::{Report, quiet};
use crate::{Dataset, Error, ImageSize, ImageView, Result, Sample};

/// A subset of another data set, given by a list of indices.
///
/// Its digest is the whole set's [`digest_of`](Dataset::digest_of) for the list.
#[derive(Debug, Clone)]
#[doc(alias = "random_split")]
pub struct Subset {
    whole: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The samples `indices` of `whole`, in that order.
    ///
    /// # Errors
    /// [`Error::Index`] if an index is out of range.
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

    fn file(&self, index: usize) -> Option<&Path> {
        self.whole.file(*self.indices.get(index)?)
    }

    fn digest(&self) -> Result<String> {
        self.digest_of(None, &mut quiet)
    }

    fn digest_of(&self, indices: Option<&[usize]>, report: &mut Report<'_>) -> Result<String> {
        match indices {
            None => self.whole.digest_of(Some(&self.indices), report),
            Some(indices) => {
                let inner = indices.iter().map(|&index| self.index(index)).collect::<Result<Vec<usize>>>()?;
                self.whole.digest_of(Some(&inner), report)
            }
        }
    }
}

/// At most `count` samples of `dataset`, evenly spaced: sample i is sample i * len / count of the whole.
///
/// A set sorted by class thus keeps all its classes, and the subset of a set in random order is as random as its first `count` samples. A
/// set whose classes alternate may lose some. If `count` is the length or more, the set is returned unchanged.
pub fn limit(dataset: Arc<dyn Dataset>, count: usize) -> Arc<dyn Dataset> {
    let len = dataset.len();
    if count >= len {
        return dataset;
    }
    let indices = (0..count).map(|i| (i as u128 * len as u128 / count as u128) as usize).collect();
    Arc::new(Subset { whole: dataset, indices })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InMemory;

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
    fn an_index_past_the_end_is_refused() {
        assert!(matches!(Subset::new(four(), vec![1, 4]), Err(Error::Index { index: 4, len: 4 })));
    }
}
