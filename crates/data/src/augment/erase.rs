//! Painting over parts of an image: random erasing and Cutout.

use serde::{Deserialize, Serialize};

use super::resize::Rect;
use super::{check, check_probability, check_side};
use crate::{CHANNELS, Image, ImageSize, Result, SampleRng};

/// Paints over a rectangle of random area, shape and place, with probability `p`.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `p` | 0.5 | probability | \[0, 1\] |
/// | `scale` | \[0.02, 0.33\] | area relative to the image's, uniform | 0 < low <= high |
/// | `ratio` | \[0.3, 3.3\] | height over width, log-uniform | 0 < low <= high |
/// | `fill` | black | red, green and blue to paint with | |
///
/// The first of ten draws that is smaller than the image is taken. If none is, the image stays unchanged.
///
/// The image is painted before it is normalised. torchvision's recipes erase after it, with 0, which is the mean colour: for that, give it
/// as `fill`, such as 124, 116, 104 for ImageNet. The default is some two standard deviations darker.
///
/// # References
/// torchvision 0.29, `transforms.v2.RandomErasing(value=fill)`; Zhong et al., Random Erasing Data Augmentation, 2017.
/// arXiv:1708.04896
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability.
    pub p: f64,
    /// Range of the area relative to the image's.
    pub scale: [f64; 2],
    /// Range of height over width.
    pub ratio: [f64; 2],
    /// Red, green and blue to paint with.
    pub fill: [u8; CHANNELS],
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], fill: [0; CHANNELS] }
    }
}

impl RandomErasing {
    pub(super) fn validate(&self) -> Result<()> {
        check_probability("random-erasing.p", self.p)?;
        for (setting, [low, high]) in [("random-erasing.scale", self.scale), ("random-erasing.ratio", self.ratio)] {
            let ok = low > 0.0 && low <= high && high.is_finite();
            check(setting, format!("[{low}, {high}]"), ok, "two finite numbers, 0 < low <= high")?;
        }
        Ok(())
    }

    /// Draws the rectangle to paint over; `None` for none.
    pub(crate) fn draw(&self, size: ImageSize, rng: &mut SampleRng) -> Option<Rect> {
        if !rng.coin(self.p) {
            return None;
        }
        let [low, high] = self.ratio.map(f64::ln);
        for _ in 0..10 {
            let area = (size.height * size.width) as f64 * rng.range(self.scale[0], self.scale[1]);
            let ratio = rng.range(low, high).exp();
            let height = (area * ratio).sqrt().round_ties_even();
            let width = (area / ratio).sqrt().round_ties_even();
            if height < size.height as f64 && width < size.width as f64 {
                let part = ImageSize::new(height as usize, width as usize);
                let top = rng.below((size.height - part.height + 1) as u32) as usize;
                let left = rng.below((size.width - part.width + 1) as u32) as usize;
                return Some(Rect { top, left, size: part });
            }
        }
        None
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut SampleRng) {
        if let Some(part) = self.draw(image.size(), rng) {
            paint(image, part, self.fill);
        }
    }
}

/// Paints over a square. Its centre is uniform over the image, so it may extend past the border.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `size` | 16 | side of the square | 1..=8192 |
/// | `fill` | 125, 123, 114 | red, green and blue to paint with | |
///
/// The authors paint with zeros after normalisation, which is CIFAR's mean colour, the default here. Rows run from centre - size / 2 to
/// centre + size / 2, halves rounded down, the last excluded; so an odd size paints one pixel less, as in the authors' code.
///
/// # References
/// DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout, 2017. arXiv:1708.04552; code
/// uoguelph-mlrg/Cutout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "CoarseDropout")]
pub struct Cutout {
    /// Side of the square.
    pub size: usize,
    /// Red, green and blue to paint with.
    pub fill: [u8; CHANNELS],
}

impl Default for Cutout {
    fn default() -> Self {
        Self { size: 16, fill: [125, 123, 114] }
    }
}

impl Cutout {
    pub(super) fn validate(&self) -> Result<()> {
        check_side("cutout.size", self.size)
    }

    pub(crate) fn draw(&self, size: ImageSize, rng: &mut SampleRng) -> Rect {
        let half = self.size / 2;
        let mut span = |side: usize| {
            let centre = rng.below(side as u32) as usize;
            (centre.saturating_sub(half), (centre + half).min(side))
        };
        let ((top, bottom), (left, right)) = (span(size.height), span(size.width));
        Rect { top, left, size: ImageSize::new(bottom - top, right - left) }
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut SampleRng) {
        let part = self.draw(image.size(), rng);
        paint(image, part, self.fill);
    }
}

pub(crate) fn paint(image: &mut Image, part: Rect, fill: [u8; CHANNELS]) {
    let stride = image.size().width * CHANNELS;
    let rows = image.pixels_mut().chunks_exact_mut(stride).skip(part.top).take(part.size.height);
    for row in rows {
        let row = &mut row[part.left * CHANNELS..(part.left + part.size.width) * CHANNELS];
        row.as_chunks_mut::<CHANNELS>().0.fill(fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_its_rows_and_columns_only() {
        let mut image = Image::new(ImageSize::new(2, 3), vec![9; 18]).unwrap();
        paint(&mut image, Rect { top: 1, left: 0, size: ImageSize::new(1, 2) }, [1, 2, 3]);
        assert_eq!(image.pixels(), [9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 1, 2, 3, 9, 9, 9]);
    }

    #[test]
    fn cutout_is_clipped_at_the_border() {
        let cutout = Cutout { size: 8, ..Cutout::default() };
        let mut smallest = 8;
        for index in 0..1000 {
            let part = cutout.draw(ImageSize::square(32), &mut SampleRng::new(0, 0, index));
            assert!(part.top + part.size.height <= 32 && part.left + part.size.width <= 32);
            assert!((4..=8).contains(&part.size.height));
            smallest = smallest.min(part.size.height);
        }
        assert_eq!(smallest, 4);
    }

    #[test]
    fn erased_areas_are_in_range() {
        let erasing = RandomErasing { p: 1.0, ..RandomErasing::default() };
        let mut sum = 0.0;
        for index in 0..2000 {
            let part = erasing.draw(ImageSize::square(100), &mut SampleRng::new(1, 0, index)).unwrap();
            let area = (part.size.height * part.size.width) as f64 / 10_000.0;
            assert!((0.015..0.345).contains(&area), "{area}");
            sum += area;
        }
        // Uniform in 0.02..0.33: mean 0.175, less a little for the shapes that do not fit.
        assert!((sum / 2000.0 - 0.17).abs() < 0.01, "{}", sum / 2000.0);
        assert!(RandomErasing { p: 0.0, ..erasing }.draw(ImageSize::square(9), &mut SampleRng::new(1, 0, 0)).is_none());
    }
}
