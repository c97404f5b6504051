//! Mixup and CutMix: batches with soft targets.

use rand_distr::Beta;
use serde::{Deserialize, Serialize};

use crate::rng::SampleRng;
use crate::{CHANNELS, Error, ImageSize, Result};

/// How the images of a batch are mixed with one another. Partners are a random permutation of the batch.
///
/// Targets become w * own class + (1 - w) * partner's class, where w is the `weight` of [`Mix`].
///
/// ```
/// use lookahead_data::{LoaderConfig, Mixing};
///
/// let config = LoaderConfig { mixing: Mixing::MixupPerSample { alpha: 0.4 }, ..LoaderConfig::default() };
/// ```
///
/// # References
/// Zhang, Cisse, Dauphin, Lopez-Paz: mixup, 2018, arXiv:1710.09412 (facebookresearch/mixup-cifar10). fastai `MixUpCallback`. Yun et
/// al.: CutMix, 2019, arXiv:1905.04899 (area corrected for the clipped box, as in timm and fastai).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
#[doc(alias = "MixUp")]
#[doc(alias = "CutMix")]
pub enum Mixing {
    /// No mixing: targets stay class indices.
    #[default]
    None,
    /// The paper's mixup: one w ~ Beta(alpha, alpha) per batch. `alpha` must be above 0; the paper's CIFAR runs use 1.
    Mixup {
        /// Both parameters of the Beta distribution.
        alpha: f64,
    },
    /// fastai's mixup: w ~ Beta(alpha, alpha) per image, replaced by max(w, 1 - w), so that an image keeps at least half of itself. The
    /// original experiments use 0.4.
    MixupPerSample {
        /// Both parameters of the Beta distribution.
        alpha: f64,
    },
    /// CutMix: one box per batch, of area 1 - w with w ~ Beta(alpha, alpha) and a uniform centre, pasted from the partner. w is then
    /// corrected to the area that the image keeps. The paper uses 1.
    CutMix {
        /// Both parameters of the Beta distribution.
        alpha: f64,
    },
}

/// How a batch of N images was mixed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// (N): position in the batch of each image's partner.
    pub partner: Vec<u32>,
    /// (N): weight of each image's own class, in \[0, 1\].
    pub weight: Vec<f32>,
    /// The box that CutMix pasted; `None` if pixels are blended.
    pub pasted: Option<PastedBox>,
}

/// The box that CutMix pastes from an image's partner: rows `top..bottom`, columns `left..right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastedBox {
    /// First row.
    pub top: usize,
    /// One past the last row.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// One past the last column.
    pub right: usize,
}

impl Mixing {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `alpha` is finite and above 0.
    pub fn validate(&self) -> Result<()> {
        self.beta().map(|_| ())
    }

    fn beta(&self) -> Result<Option<Beta<f64>>> {
        let alpha = match *self {
            Self::None => return Ok(None),
            Self::Mixup { alpha } | Self::MixupPerSample { alpha } | Self::CutMix { alpha } => alpha,
        };
        let refused = || Error::setting("mixing.alpha", alpha, "finite and above 0");
        if !alpha.is_finite() {
            return Err(refused());
        }
        Beta::new(alpha, alpha).map(Some).map_err(|_| refused())
    }

    /// Draws the mix of a batch of `count` images of `size`.
    pub(crate) fn draw(&self, count: usize, size: ImageSize, rng: &mut SampleRng) -> Result<Option<Mix>> {
        let Some(beta) = self.beta()? else { return Ok(None) };
        let partner = rng.permutation(count);
        let mix = match self {
            Self::None => return Ok(None),
            Self::Mixup { .. } => Mix { partner, weight: vec![rng.sample(&beta) as f32; count], pasted: None },
            Self::MixupPerSample { .. } => {
                let weight = (0..count).map(|_| rng.sample(&beta)).map(|w| w.max(1.0 - w) as f32).collect();
                Mix { partner, weight, pasted: None }
            }
            Self::CutMix { .. } => {
                let pasted = PastedBox::draw(rng.sample(&beta), size, rng);
                let area = (pasted.bottom - pasted.top) * (pasted.right - pasted.left);
                let weight = 1.0 - area as f32 / (size.height * size.width) as f32;
                Mix { partner, weight: vec![weight; count], pasted: Some(pasted) }
            }
        };
        Ok(Some(mix))
    }
}

impl PastedBox {
    /// timm's `rand_bbox`: sides floor(side * sqrt(1 - weight)), the centre uniform, clipped to the image.
    fn draw(weight: f64, size: ImageSize, rng: &mut SampleRng) -> Self {
        let part = (1.0 - weight).max(0.0).sqrt();
        let mut span = |side: usize| {
            let half = (side as f64 * part) as usize / 2;
            let centre = rng.below(side as u32) as usize;
            (centre.saturating_sub(half), (centre + half).min(side))
        };
        let (top, bottom) = span(size.height);
        let (left, right) = span(size.width);
        Self { top, bottom, left, right }
    }

    /// Pastes the box of each image's partner, (N, H, W, 3).
    pub(crate) fn paste(&self, images: &mut [u8], size: ImageSize, partner: &[u32]) {
        let original = images.to_vec();
        let row_bytes = size.width * CHANNELS;
        for (image, &partner) in images.chunks_exact_mut(size.bytes()).zip(partner) {
            let source = &original[partner as usize * size.bytes()..][..size.bytes()];
            for y in self.top..self.bottom {
                let part = y * row_bytes + self.left * CHANNELS..y * row_bytes + self.right * CHANNELS;
                image[part.clone()].copy_from_slice(&source[part]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 100_000;

    fn draw(mixing: Mixing, count: usize, batch: u64) -> Mix {
        let rng = &mut SampleRng::keyed(5, crate::rng::Purpose::Mixing, 0, batch);
        mixing.draw(count, ImageSize::square(32), rng).unwrap().unwrap()
    }

    /// Mean and variance.
    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values: Vec<f64> = values.collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn weights_have_the_moments_of_their_beta_distribution() {
        for alpha in [0.2, 0.4, 1.0] {
            // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)). Both deviate by some 0.001 in 100,000 draws.
            let variance = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            let a_batch = (0..COUNT as u64).map(|batch| f64::from(draw(Mixing::Mixup { alpha }, 1, batch).weight[0]));
            let (mean, found) = moments(a_batch);
            assert!((mean - 0.5).abs() < 0.007 && (found - variance).abs() < 0.005, "{alpha}: {mean} {found}");

            // Folded at 1/2, what is left of the variance around 1/2 is the same.
            let mix = draw(Mixing::MixupPerSample { alpha }, COUNT, 0);
            assert!(mix.weight.iter().all(|w| (0.5..=1.0).contains(w)));
            let around: f64 = mix.weight.iter().map(|&w| (f64::from(w) - 0.5).powi(2)).sum::<f64>() / COUNT as f64;
            assert!((around - variance).abs() < 0.005, "{alpha}: {around}");
        }
    }

    #[test]
    fn one_weight_a_batch_or_one_an_image() {
        let mix = draw(Mixing::Mixup { alpha: 1.0 }, 50, 1);
        assert!(mix.weight.iter().all(|w| *w == mix.weight[0]));
        let mix = draw(Mixing::MixupPerSample { alpha: 1.0 }, 50, 1);
        assert!(mix.weight.iter().any(|w| *w != mix.weight[0]));
        let mut partners = mix.partner;
        partners.sort_unstable();
        assert_eq!(partners, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn cutmix_boxes_have_uniform_centres_and_timms_sides() {
        let size = ImageSize::square(32);
        let mut clipped = 0;
        for index in 0..2000 {
            let rng = &mut SampleRng::new(0, 0, index);
            let PastedBox { top, bottom, left, right } = PastedBox::draw(0.75, size, rng);
            // Half of 32 is the side: 8 rows on either side of a centre in 0..32, clipped.
            assert!(bottom - top <= 16 && right - left <= 16 && bottom <= 32 && right <= 32);
            assert!(bottom - top >= 8 && right - left >= 8);
            clipped += usize::from(bottom - top < 16);
        }
        // Centres 0 to 7 and 25 to 31 of 32: 15 / 32 of 2000, deviation 22.
        assert!((clipped as f64 - 937.5).abs() < 112.0, "{clipped}");
        let nothing = PastedBox::draw(1.0, size, &mut SampleRng::new(0, 0, 0));
        assert_eq!((nothing.top, nothing.left), (nothing.bottom, nothing.right));
    }

    #[test]
    fn mixes_are_pinned() {
        let found =
            [Mixing::Mixup { alpha: 0.4 }, Mixing::MixupPerSample { alpha: 0.4 }, Mixing::CutMix { alpha: 1.0 }]
                .map(|mixing| format!("{:.5?}", draw(mixing, 4, 7)));
        assert_eq!(found, PINNED);
    }
    /// A change of these is a line of the CHANGELOG.
    const PINNED: [&str; 3] = [
        "Mix { partner: [0, 3, 2, 1], weight: [0.49779, 0.49779, 0.49779, 0.49779], pasted: None }",
        "Mix { partner: [0, 3, 2, 1], weight: [0.50221, 0.99977, 0.99749, 0.87628], pasted: None }",
        "Mix { partner: [0, 3, 2, 1], weight: [0.74219, 0.74219, 0.74219, 0.74219], \
         pasted: Some(PastedBox { top: 2, bottom: 24, left: 0, right: 12 }) }",
    ];
}
