//! Seeded random streams, the only source of randomness in this crate.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _, TryRng};

/// The purpose of a random stream; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Augment = 1,
    Order = 2,
    AlternatingFlip = 3,
    Mixing = 4,
    Shapes = 5,
    Outside = 6,
    Examples = 7,
    HeldOut = 8,
}

/// The random stream of one sample: ChaCha8 keyed by (seed, purpose, epoch, index).
///
/// The same four numbers give the same stream on every machine, regardless of the number of threads and of other samples' draws. The four
/// numbers are the cipher's 256-bit key, so no two samples share a stream. If an [`Order`](crate::Order) visits a sample more than once in
/// an epoch, each visit has its own stream.
///
/// ```
/// use lookahead_data::SampleRng;
///
/// let (mut a, mut b) = (SampleRng::new(7, 0, 3), SampleRng::new(7, 0, 3));
/// assert_eq!(a.below(1000), b.below(1000));
/// ```
///
/// It implements `rand_core`'s traits (0.10), so `rand_distr` and other crates that take such a generator can draw from it.
#[derive(Debug, Clone)]
#[doc(alias = "Generator")]
#[doc(alias = "worker_init_fn")]
pub struct SampleRng {
    stream: ChaCha8Rng,
    seed: u64,
    epoch: u64,
    index: u64,
}

impl SampleRng {
    /// The stream that augments sample `index` of the data set in `epoch`.
    pub fn new(seed: u64, epoch: usize, index: usize) -> Self {
        Self::keyed(seed, Purpose::Augment, epoch as u64, index as u64)
    }

    /// The stream of a purpose for visit number `visit`, from 0, of the same sample in the same epoch.
    pub(crate) fn of_visit(seed: u64, purpose: Purpose, epoch: u64, index: u64, visit: u32) -> Self {
        Self::from_words(seed, purpose as u64 | u64::from(visit) << 32, epoch, index)
    }

    /// A second stream of the same sample, for use outside the pipeline. It is keyed like [`new`](Self::new), but independent of it.
    pub fn outside(seed: u64, epoch: usize, index: usize) -> Self {
        Self::keyed(seed, Purpose::Outside, epoch as u64, index as u64)
    }

    pub(crate) fn keyed(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Self {
        Self::of_visit(seed, purpose, epoch, index, 0)
    }

    fn from_words(seed: u64, purpose: u64, epoch: u64, index: u64) -> Self {
        let mut key = [0; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, purpose, epoch, index]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self { stream: ChaCha8Rng::from_seed(key), seed, epoch, index }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.stream.fill_bytes(bytes);
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high); `low` if they are equal.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`: never for 0, always for 1.
    pub fn coin(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform over 0..count without bias (Lemire, Fast Random Integer Generation in an Interval, 2019); 0 if `count` is 0.
    pub fn below(&mut self, count: u32) -> u32 {
        let mut product = u64::from(self.stream.next_u32()) * u64::from(count);
        if (product as u32) < count {
            let threshold = count.wrapping_neg() % count.max(1);
            while (product as u32) < threshold {
                product = u64::from(self.stream.next_u32()) * u64::from(count);
            }
        }
        (product >> 32) as u32
    }

    /// A random permutation of 0..count (Fisher and Yates, from the end).
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..order.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            order.swap(last, other);
        }
        order
    }

    /// A draw from any distribution of `rand_distr`.
    pub(crate) fn sample<D: rand_distr::Distribution<f64>>(&mut self, distribution: &D) -> f64 {
        distribution.sample(&mut self.stream)
    }
}

impl TryRng for SampleRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.stream.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.stream.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.stream.fill_bytes(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These numbers are a promise: a change makes every seeded run of users come out different.
    #[test]
    fn streams_are_pinned() {
        let mut rng = SampleRng::new(42, 3, 17);
        assert_eq!([rng.bits(), rng.bits()], PINNED_BITS);
        assert_eq!(SampleRng::new(42, 3, 17).permutation(8), PINNED_ORDER);
    }
    const PINNED_BITS: [u64; 2] = [13_700_117_331_080_154_271, 5_831_762_160_910_921_198];
    const PINNED_ORDER: [u32; 8] = [6, 4, 7, 0, 1, 3, 5, 2];

    #[test]
    fn every_part_of_the_key_counts() {
        let first = |rng: SampleRng| rng.clone().bits();
        let all = [
            first(SampleRng::new(1, 2, 3)),
            first(SampleRng::new(2, 1, 3)),
            first(SampleRng::new(1, 3, 2)),
            first(SampleRng::keyed(1, Purpose::Order, 2, 3)),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn a_distribution_of_rand_draws_from_the_same_stream() {
        let mut rng = SampleRng::new(1, 2, 3);
        let drawn: f64 = rand_distr::Distribution::sample(&rand_distr::StandardUniform, &mut rng);
        assert_eq!(drawn, SampleRng::new(1, 2, 3).unit());
        assert_ne!(SampleRng::outside(1, 2, 3).bits(), SampleRng::new(1, 2, 3).bits());
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut rng = SampleRng::new(0, 0, 0);
        let mut counts = [0i32; 9];
        for _ in 0..90_000 {
            counts[rng.below(9) as usize] += 1;
        }
        // Standard deviation of a count is about 94; five of them.
        assert!(counts.iter().all(|&c| (c - 10_000).abs() < 470), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn coins_know_never_and_always() {
        let mut rng = SampleRng::new(0, 0, 0);
        assert!((0..1000).all(|_| !rng.coin(0.0) && rng.coin(1.0)));
    }
}
