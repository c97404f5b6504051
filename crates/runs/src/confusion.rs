//! Counts of predictions by true and predicted class.

use std::collections::BTreeMap;

/// Numbers of images by true class and predicted class. Only pairs that occur are stored, so the size never grows with
/// the square of the classes.
///
/// ```
/// use lookahead_runs::Confusion;
/// let mut confusion = Confusion::new(3);
/// confusion.add(0, 0, 4);
/// confusion.add(0, 2, 1);
/// confusion.add(2, 1, 2);
/// assert_eq!((confusion.images(), confusion.hits()), (vec![5, 0, 2], vec![4, 0, 0]));
/// assert_eq!(confusion.largest(1), [[2, 1, 2]]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: BTreeMap<(usize, usize), u64>,
}

impl Confusion {
    /// No images, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: BTreeMap::new() }
    }

    /// Adds `images` images of class `truth` that were predicted as `predicted`. Ignores classes out of range.
    pub fn add(&mut self, truth: usize, predicted: usize, images: u64) {
        if truth < self.classes && predicted < self.classes && images > 0 {
            let count = self.counts.entry((truth, predicted)).or_default();
            *count = count.saturating_add(images);
        }
    }

    /// Adds all counts of `other`; ignores classes out of range.
    pub fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(&(truth, predicted), &images)| self.add(truth, predicted, images));
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of images of class `truth` that were predicted as `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts.get(&(truth, predicted)).copied().unwrap_or(0)
    }

    /// Number of images per true class.
    pub fn images(&self) -> Vec<u64> {
        let mut images = vec![0u64; self.classes];
        for (&(truth, _), &count) in &self.counts {
            images[truth] = images[truth].saturating_add(count);
        }
        images
    }

    /// Number of correctly predicted images per class.
    pub fn hits(&self) -> Vec<u64> {
        (0..self.classes).map(|class| self.count(class, class)).collect()
    }

    /// Accuracy per class in percent; 0 for a class without images.
    pub fn per_class(&self) -> Vec<f64> {
        let percent = |(hits, images): (u64, u64)| 100.0 * hits as f64 / (images as f64).max(1.0);
        self.hits().into_iter().zip(self.images()).map(percent).collect()
    }

    /// The largest confusions, at most `most`, in descending order: true class, predicted class, images.
    pub fn largest(&self, most: usize) -> Vec<[u64; 3]> {
        let wrong = self.counts.iter().filter(|((truth, predicted), _)| truth != predicted);
        let mut all: Vec<[u64; 3]> =
            wrong.map(|(&(truth, predicted), &images)| [truth as u64, predicted as u64, images]).collect();
        // Equal counts stay in the order of their classes.
        all.sort_by_key(|confusion| std::cmp::Reverse(confusion[2]));
        all.truncate(most);
        all
    }

    /// The full matrix: one row per true class, one column per predicted class.
    pub fn matrix(&self) -> Vec<Vec<u64>> {
        let row = |truth| (0..self.classes).map(|predicted| self.count(truth, predicted)).collect();
        (0..self.classes).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_and_unknown_classes_passed_over() {
        let mut confusion = Confusion::new(2);
        for (truth, predicted) in [(0, 0), (0, 1), (0, 1), (1, 1), (1, 7), (3, 0)] {
            confusion.add(truth, predicted, 1);
        }
        assert_eq!(confusion.matrix(), [[1, 2], [0, 1]]);
        assert_eq!((confusion.images(), confusion.per_class()), (vec![3, 1], vec![100.0 / 3.0, 100.0]));
        let mut twice = confusion.clone();
        twice.merge(&confusion);
        assert_eq!(twice.count(0, 1), 4);
    }

    #[test]
    fn the_largest_come_first() {
        let mut confusion = Confusion::new(3);
        for (truth, predicted, images) in [(0, 1, 2), (1, 0, 5), (2, 0, 2), (2, 2, 90)] {
            confusion.add(truth, predicted, images);
        }
        assert_eq!(confusion.largest(9), [[1, 0, 5], [0, 1, 2], [2, 0, 2]]);
        assert_eq!(confusion.largest(1).len(), 1);
    }
}
