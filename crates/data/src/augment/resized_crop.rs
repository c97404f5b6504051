//! Random resized crop.

use serde::{Deserialize, Serialize};

use super::resize::{Rect, resize};
use super::{check, check_side};
use crate::{Image, ImageSize, ImageView, Result, SampleRng};

/// Cuts out a part of random area, shape and place and scales it to a square, bilinear with antialiasing.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `size` | 224 | side of the result | 1..=8192 |
/// | `scale` | \[0.08, 1\] | area of the part relative to the image's, uniform | 0 < low <= high |
/// | `ratio` | \[3/4, 4/3\] | width over height of the part, log-uniform | 0 < low <= high |
///
/// Up to ten areas and shapes are drawn, and the first part that fits is taken, with a uniform corner. If none fits, the largest centred
/// part with a shape in the range is taken.
///
/// # References
/// torchvision 0.29, `transforms.v2.RandomResizedCrop(size, antialias=True)`, bit for bit for a given part; Szegedy et al., Going Deeper
/// with Convolutions, 2014.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Side of the result.
    pub size: usize,
    /// Range of the part's area relative to the image's.
    pub scale: [f64; 2],
    /// Range of the part's width over its height.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { size: 224, scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

/// Number of draws before the centred part is taken, as in torchvision.
const ATTEMPTS: usize = 10;

impl RandomResizedCrop {
    pub(super) fn validate(&self) -> Result<()> {
        check_side("random-resized-crop.size", self.size)?;
        for (setting, [low, high]) in
            [("random-resized-crop.scale", self.scale), ("random-resized-crop.ratio", self.ratio)]
        {
            let ok = low > 0.0 && low <= high && high.is_finite();
            check(setting, format!("[{low}, {high}]"), ok, "two finite numbers, 0 < low <= high")?;
        }
        Ok(())
    }

    /// Draws the part to cut out of an image of size `input`.
    pub(crate) fn draw(&self, input: ImageSize, rng: &mut SampleRng) -> Rect {
        let (height, width) = (input.height as f64, input.width as f64);
        let [low, high] = self.ratio;
        for _ in 0..ATTEMPTS {
            let area = height * width * rng.range(self.scale[0], self.scale[1]);
            let ratio = rng.range(low.ln(), high.ln()).exp();
            let w = (area * ratio).sqrt().round_ties_even();
            let h = (area / ratio).sqrt().round_ties_even();
            if w >= 1.0 && w <= width && h >= 1.0 && h <= height {
                let size = ImageSize::new(h as usize, w as usize);
                let top = rng.below((input.height - size.height + 1) as u32) as usize;
                let left = rng.below((input.width - size.width + 1) as u32) as usize;
                return Rect { top, left, size };
            }
        }
        let shape = width / height;
        let size = if shape < low {
            ImageSize::new((width / low).round_ties_even() as usize, input.width)
        } else if shape > high {
            ImageSize::new(input.height, (height * high).round_ties_even() as usize)
        } else {
            input
        };
        let size = ImageSize::new(size.height.clamp(1, input.height), size.width.clamp(1, input.width));
        Rect { top: (input.height - size.height) / 2, left: (input.width - size.width) / 2, size }
    }

    pub(super) fn apply(&self, image: ImageView<'_>, rng: &mut SampleRng) -> Result<Image> {
        resize(image, self.draw(image.size(), rng), ImageSize::square(self.size))
    }
}
