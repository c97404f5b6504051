//! Mixup and CutMix: batches whose targets are soft.

use rand_distr::Beta;
use serde::{Deserialize, Serialize};

use crate::rng::SampleRng;
use crate::{CHANNELS, Error, ImageSize, Result};

/// How the images of a batch are mixed with one another. Partners are a random permutation of the batch.
///
/// Targets become w * own class + (1 - w) * partner's class, with w the `weight` of [`Mix`].
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
pub enum Mixing {
    /// None: targets stay class indices.
    #[default]
    None,
    /// The paper's mixup: one w ~ Beta(alpha, alpha) a batch. `alpha` above 0, the paper's CIFAR runs use 1.
    Mixup {
        /// Both parameters of the Beta distribution.
        alpha: f64,
    },
    /// fastai's mixup: w ~ Beta(alpha, alpha) for each image, and max(w, 1 - w), so that an image keeps at least half of itself. 0.4 in
    /// the original experiments.
    MixupPerSample {
        /// Both parameters of the Beta distribution.
        alpha: f64,
    },
    /// CutMix: one box a batch, of area 1 - w with w ~ Beta(alpha, alpha), its centre uniform, pasted from the partner; w is then
    /// corrected to the area that is really the image's own. The paper uses 1.
    CutMix {
        /// Both parameters of the Beta distribution.
        alpha: f64,
    },
}

/// What was mixed with what in a batch of N.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// (N): position in the batch of each image's partner.
    pub partner: Vec<u32>,
    /// (N): weight of each image's own class, in \[0, 1\].
    pub weight: Vec<f32>,
    /// The box of CutMix; `None` where pixels are blended.
    pub pasted: Option<PastedBox>,
}

/// The part of an image that CutMix takes from its partner: rows `top..bottom`, columns `left..right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastedBox {
    /// First row.
    pub top: usize,
    /// Row past the last.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// Column past the last.
    pub right: usize,
}

impl Mixing {
    pub(crate) fn validate(&self) -> Result<()> {
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
