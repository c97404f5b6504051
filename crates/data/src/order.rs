//! The samples of an epoch and their order.

use std::fmt::Debug;

use crate::rng::{Purpose, SampleRng};
use crate::{Error, OwnError, Result};

/// Your own order for [`Loader::with_order`](crate::Loader::with_order): a weighted sampler, a curriculum, a shard of the data set.
///
/// ```
/// use lookahead_data::{Loader, LoaderConfig, Order, OwnError, Pipeline, SampleRng, Shapes, ShapesConfig};
///
/// /// Draws with replacement, each sample as often as its weight says.
/// #[derive(Debug)]
/// struct Weighted(Vec<f64>);
///
/// impl Order for Weighted {
///     fn epoch(&self, len: usize, _epoch: usize, rng: &mut SampleRng) -> Result<Vec<u32>, OwnError> {
///         let sums: Vec<f64> = self.0.iter().scan(0.0, |sum, w| { *sum += w; Some(*sum) }).collect();
///         let total = *sums.last().ok_or("no weights")?;
///         let draw = |rng: &mut SampleRng| {
///             let at = rng.unit() * total;
///             sums.partition_point(|sum| *sum <= at) as u32
///         };
///         Ok((0..len).map(|_| draw(rng)).collect())
///     }
/// }
///
/// let shapes = Shapes::draw(&ShapesConfig { train: 40, valid: 1, ..ShapesConfig::default() })?;
/// let weights = (0..40).map(|i| if i < 20 { 1.0 } else { 0.0 }).collect();
/// let loader = Loader::new(shapes.train, Pipeline::cifar(), LoaderConfig { batch_size: 40, ..LoaderConfig::default() })?;
/// let batch = loader.with_order(Weighted(weights)).epoch(0, 0).next().expect("a batch")?;
/// assert!(batch.indices().iter().all(|&index| index < 20));
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[doc(alias = "Sampler")]
#[doc(alias = "WeightedRandomSampler")]
#[doc(alias = "DistributedSampler")]
#[doc(alias = "shuffle")]
pub trait Order: Send + Sync + Debug {
    /// Its name in messages; the name of the type by default.
    fn name(&self) -> String {
        std::any::type_name::<Self>().to_string()
    }

    /// Number of samples per epoch for a data set of `len`: all by default.
    fn samples(&self, len: usize) -> usize {
        len
    }

    /// The positions that epoch `epoch` visits: [`samples`](Self::samples) of them, each below `len`. Positions may repeat or be missing.
    /// A sample that is visited again is augmented anew.
    ///
    /// `rng` is the epoch's own stream, keyed by (seed, epoch). An order that draws only from it can be resumed after a stop.
    ///
    /// # Errors
    /// Any error of your code. The epoch yields it as [`Error::Own`] in place of its first batch.
    fn epoch(&self, len: usize, epoch: usize, rng: &mut SampleRng) -> std::result::Result<Vec<u32>, OwnError>;
}

/// A new random order each epoch.
#[derive(Debug)]
pub(crate) struct Shuffled;

impl Order for Shuffled {
    fn epoch(&self, len: usize, _epoch: usize, rng: &mut SampleRng) -> std::result::Result<Vec<u32>, OwnError> {
        Ok(rng.permutation(len))
    }
}

/// The order of the data set.
#[derive(Debug)]
pub(crate) struct InOrder;

impl Order for InOrder {
    fn epoch(&self, len: usize, _epoch: usize, _rng: &mut SampleRng) -> std::result::Result<Vec<u32>, OwnError> {
        Ok((0..len as u32).collect())
    }
}

/// One visit of an epoch to a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    /// The sample's position.
    pub(crate) index: u32,
    /// Number of earlier visits to it in the same epoch.
    pub(crate) earlier: u32,
}

/// The visits to `positions`, each below `len`, in order.
pub(crate) fn visits(positions: &[u32], len: usize) -> Vec<Visit> {
    let mut seen = vec![0; len];
    let visit = |&index: &u32| {
        let earlier = seen[index as usize];
        seen[index as usize] += 1;
        Visit { index, earlier }
    };
    positions.iter().map(visit).collect()
}

/// The positions of an epoch, after checking their number and range.
pub(crate) fn checked(order: &dyn Order, len: usize, epoch: usize, seed: u64) -> Result<Vec<u32>> {
    let own = |source| Error::Own { name: order.name(), source };
    let rng = &mut SampleRng::keyed(seed, Purpose::Order, epoch as u64, 0);
    let indices = order.epoch(len, epoch, rng).map_err(own)?;
    let promised = order.samples(len);
    if indices.len() != promised {
        return Err(own(format!("{} positions, but `samples` returns {promised}", indices.len()).into()));
    }
    match indices.iter().find(|&&index| index as usize >= len) {
        Some(&index) => Err(own(Box::new(Error::Index { index: index as usize, len }))),
        None => Ok(indices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_each_sample_once() {
        let shuffled = |seed, epoch| checked(&Shuffled, 1000, epoch, seed).unwrap();
        let mut order = shuffled(1, 0);
        assert_ne!(order, shuffled(1, 1));
        assert_ne!(order, shuffled(2, 0));
        order.sort_unstable();
        assert_eq!(order, checked(&InOrder, 1000, 0, 1).unwrap());
    }

    #[test]
    fn visits_are_counted_for_each_sample() {
        let counted: Vec<(u32, u32)> = visits(&[4, 2, 4, 4, 2, 0], 5).iter().map(|v| (v.index, v.earlier)).collect();
        assert_eq!(counted, [(4, 0), (2, 0), (4, 1), (4, 2), (2, 1), (0, 0)]);
    }

    #[derive(Debug)]
    struct Fixed(Vec<u32>, usize);

    impl Order for Fixed {
        fn samples(&self, _len: usize) -> usize {
            self.1
        }
        fn epoch(&self, _: usize, _: usize, _: &mut SampleRng) -> std::result::Result<Vec<u32>, OwnError> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn an_order_that_breaks_its_word_is_refused() {
        assert_eq!(checked(&Fixed(vec![2, 2, 0], 3), 3, 0, 0).unwrap(), [2, 2, 0]);
        let message = |order| checked(&order, 3, 0, 0).unwrap_err().to_string();
        assert!(message(Fixed(vec![0], 2)).contains("1 positions, but `samples` returns 2"));
        assert!(message(Fixed(vec![3], 1)).contains("index 3 is out of range"));
        // An order may hold a number for each sample; its error names it and is one line.
        let long = message(Fixed(vec![0; 100_000], 1));
        assert!(long.contains("Fixed: 100000 positions") && long.len() < 200, "{} bytes", long.len());
    }
}
