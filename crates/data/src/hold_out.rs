//! Holding out a part of the training images, to select settings by.

use std::sync::Arc;

use crate::dataset::checked_label;
use crate::rng::Purpose;
use crate::{Dataset, Error, Result, SampleRng, Subset};

/// Splits off a share of each class. Returns the rest, to train on, and the share, to select settings by.
///
/// The split depends only on the data set. Of each class, the first round(`share` * its images) of a fixed permutation are held out: at
/// least one and not all, if the class has two images or more. No seed changes the split, and both parts keep the order of the whole.
///
/// # Errors
/// [`Error::Setting`] for a share outside (0, 1); [`Error::HeldOut`] if no class has two images, or if the labels have no classes;
/// [`Error::Label`] for a label that is not a class; errors of reading labels.
///
/// ```
/// use lookahead_data::{Shapes, ShapesConfig, hold_out};
///
/// let shapes = Shapes::draw(&ShapesConfig { train: 100, ..ShapesConfig::default() })?;
/// let (train, valid) = hold_out(shapes.train, 0.1)?;
/// assert_eq!((train.len(), valid.len()), (89, 11)); // rounded class by class
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[doc(alias = "train_test_split")]
#[doc(alias = "StratifiedShuffleSplit")]
pub fn hold_out(dataset: Arc<dyn Dataset>, share: f64) -> Result<(Arc<dyn Dataset>, Arc<dyn Dataset>)> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::setting("held_out", share, "above 0 and below 1"));
    }
    let refused = |problem| Error::HeldOut { name: dataset.name().to_string(), problem };
    let mut classes: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes().len().max(1)];
    for index in 0..dataset.len() {
        let label = checked_label(dataset.as_ref(), index, dataset.label(index)?)?;
        match classes.get_mut(label as usize) {
            Some(class) => class.push(index),
            None => return Err(refused("its labels have no class names to split by; name them, or hold nothing out")),
        }
    }
    let mut is_held_out = vec![false; dataset.len()];
    for (class, indices) in classes.iter().enumerate() {
        let most = indices.len().saturating_sub(1);
        let count = ((share * indices.len() as f64).round() as usize).max(1).min(most);
        let order = SampleRng::keyed(0, Purpose::HeldOut, 0, class as u64).permutation(indices.len());
        order.iter().take(count).for_each(|&position| is_held_out[indices[position as usize]] = true);
    }
    let part = |held_out: bool| (0..dataset.len()).filter(|&index| is_held_out[index] == held_out).collect::<Vec<_>>();
    let (train, valid) = (part(false), part(true));
    if valid.is_empty() || train.is_empty() {
        return Err(refused("no class has two images; add images, or hold nothing out"));
    }
    Ok((Arc::new(Subset::new(Arc::clone(&dataset), train)?), Arc::new(Subset::new(dataset, valid)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageSize, InMemory};

    /// So many images of each class, class by class; pixel and index are the same number.
    fn set(counts: &[usize]) -> Arc<dyn Dataset> {
        let labels: Vec<u32> = counts.iter().zip(0..).flat_map(|(&count, class)| vec![class; count]).collect();
        let pixels = (0..labels.len()).flat_map(|index| [index as u8; 3]).collect();
        let classes = (0..counts.len()).map(|class| class.to_string()).collect();
        Arc::new(InMemory::new("set", classes, ImageSize::square(1), pixels, labels).unwrap())
    }

    fn indices(part: &dyn Dataset) -> Vec<u8> {
        (0..part.len()).map(|index| part.view(index).unwrap().pixels()[0]).collect()
    }

    /// 0.2 of 10, 5, 2 and 1 images: 2, 1, 1 and none.
    #[test]
    fn each_class_gives_its_share_and_keeps_an_image() {
        let (train, valid) = hold_out(set(&[10, 5, 2, 1]), 0.2).unwrap();
        let count = |part: &dyn Dataset, class| (0..part.len()).filter(|&i| part.label(i).unwrap() == class).count();
        assert_eq!([0, 1, 2, 3].map(|class| count(&*valid, class)), [2, 1, 1, 0]);
        assert_eq!([0, 1, 2, 3].map(|class| count(&*train, class)), [8, 4, 1, 1]);
        let mut all = [indices(&*train), indices(&*valid)].concat();
        assert!(indices(&*train).is_sorted() && indices(&*valid).is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..18).collect::<Vec<u8>>(), "each image once");
    }

    /// A promise: other indices would make every run with held-out images another run.
    #[test]
    fn the_images_are_always_the_same() {
        let (_, valid) = hold_out(set(&[20, 20]), 0.1).unwrap();
        assert_eq!(indices(&*valid), PINNED);
    }
    const PINNED: [u8; 4] = [8, 12, 33, 36];

    #[test]
    fn a_share_that_leaves_nothing_is_refused() {
        for share in [0.0, 1.0, f64::NAN, -0.1] {
            assert!(matches!(hold_out(set(&[4]), share), Err(Error::Setting { .. })), "{share}");
        }
    }

    #[test]
    fn a_set_that_cannot_be_split_is_refused_whatever_the_share() {
        for counts in [&[1, 1][..], &[]] {
            let error = hold_out(set(counts), 0.5).unwrap_err();
            assert!(matches!(error, Error::HeldOut { .. }), "{error}");
            assert!(
                error.to_string().starts_with("set: no images can be held out: no class has two images"),
                "{error}"
            );
        }
        let named = |classes: &[&str]| Labelled { classes: classes.iter().map(ToString::to_string).collect() };
        let error = hold_out(Arc::new(named(&[])), 0.5).unwrap_err();
        assert!(matches!(error, Error::HeldOut { .. }) && error.to_string().contains("no class names"), "{error}");
        let error = hold_out(Arc::new(named(&["a", "b"])), 0.5).unwrap_err();
        assert!(matches!(error, Error::Label { row: 2, label: 2, classes: 2, .. }), "{error}");
    }

    /// Four images with the labels 0 to 3, whatever the classes.
    #[derive(Debug)]
    struct Labelled {
        classes: Vec<String>,
    }

    impl Dataset for Labelled {
        fn name(&self) -> &str {
            "labelled"
        }
        fn len(&self) -> usize {
            4
        }
        fn classes(&self) -> &[String] {
            &self.classes
        }
        fn label(&self, index: usize) -> Result<u32> {
            Ok(index as u32)
        }
        fn get(&self, index: usize) -> Result<crate::Sample> {
            Ok(crate::Sample { image: crate::Image::black(ImageSize::square(1)), label: index as u32 })
        }
        fn digest(&self) -> Result<String> {
            Ok(String::new())
        }
    }
}
