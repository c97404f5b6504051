//! Left-right mirroring.

use serde::{Deserialize, Serialize};

use super::check_probability;
use crate::rng::Purpose;
use crate::{Result, SampleRng};

/// Mirrors the image left-right with probability `p`, 0.5 by default, in \[0, 1\].
///
/// # References
/// torchvision 0.29, `transforms.v2.RandomHorizontalFlip`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "RandomHorizontalFlip")]
pub struct Flip {
    /// Probability of a flip.
    pub p: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl Flip {
    pub(super) fn validate(&self) -> Result<()> {
        check_probability("flip.p", self.p)
    }

    pub(super) fn draw(&self, rng: &mut SampleRng) -> bool {
        rng.coin(self.p)
    }
}

/// Mirrors each image in every other epoch: a random half of the images in even epochs, the other half in odd ones.
///
/// Two consecutive epochs thus show each image once in each orientation, while [`Flip`] repeats the orientation half of the time; airbench
/// needs about 10 % fewer steps with it. An image's half depends only on (seed, index).
///
/// # References
/// Keller Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024, section 3.6. arXiv:2404.00498
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlternatingFlip {}

impl AlternatingFlip {
    pub(super) fn draw(&self, rng: &SampleRng) -> bool {
        let half = SampleRng::keyed(rng.seed(), Purpose::AlternatingFlip, 0, rng.index()).bits() & 1;
        (half ^ rng.epoch()) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_images_flip_and_each_every_other_epoch() {
        let flipped = |epoch, index| AlternatingFlip {}.draw(&SampleRng::new(5, epoch, index));
        let count = (0..10_000).filter(|&i| flipped(0, i)).count();
        assert!((4_750..5_250).contains(&count), "{count}");
        for index in 0..100 {
            assert_ne!(flipped(0, index), flipped(1, index));
            assert_eq!(flipped(0, index), flipped(2, index));
        }
    }

    #[test]
    fn probabilities_out_of_range_are_refused() {
        for p in [-0.1, 1.1, f64::NAN] {
            assert!(Flip { p }.validate().is_err(), "{p}");
        }
    }
}
