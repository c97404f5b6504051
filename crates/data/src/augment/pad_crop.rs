//! Padding, with zeros or by reflection, and a random crop.

use serde::{Deserialize, Serialize};

use super::window::Window;
use super::{check, check_side};
use crate::{Error, ImageSize, Result, SampleRng};

/// Pixels outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Border {
    /// Black: value 0 before normalisation, as in torchvision.
    #[default]
    Zero,
    /// The image mirrored at its edge pixels, without repeating them: `c b | a b c | b a`.
    Reflect,
}

impl Border {
    /// The source index, on an axis of `len` pixels, of the pixel at `position`; `None` for a black pixel.
    pub(crate) fn place(self, position: isize, len: usize) -> Option<usize> {
        if (0..len as isize).contains(&position) {
            return Some(position as usize);
        }
        match self {
            Self::Zero => None,
            Self::Reflect if len == 1 => Some(0),
            Self::Reflect => {
                let period = 2 * (len as isize - 1);
                let folded = position.rem_euclid(period);
                Some(folded.min(period - folded) as usize)
            }
        }
    }
}

/// Pads all four sides, then cuts out a window at a random place. The window has the image's own size or a given one.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `pad` | 4 | pixels added on each side | 0..=8192 |
/// | `size` | none | side of the (square) window; none keeps the image's height and width | 1..=8192 |
/// | `border` | zero | content of the padding | zero, reflect |
///
/// The corner is uniform over all places where the window fits: 9 x 9 places for pad 4 and an unchanged size. A window larger than the
/// padded image is an error.
///
/// # References
/// torchvision 0.29, `transforms.v2.RandomCrop(32, padding=4)`; David Page and airbench reflect instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "RandomCrop")]
pub struct PadCrop {
    /// Pixels added on each side.
    pub pad: usize,
    /// Side of the window; none keeps the image's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Content of the padding.
    pub border: Border,
}

impl Default for PadCrop {
    fn default() -> Self {
        Self { pad: 4, size: None, border: Border::Zero }
    }
}

impl PadCrop {
    pub(super) fn validate(&self) -> Result<()> {
        check("pad-crop.pad", self.pad, self.pad <= super::MAX_SIDE, "at most 8192")?;
        self.size.map_or(Ok(()), |side| check_side("pad-crop.size", side))
    }

    pub(super) fn output_size(&self, input: ImageSize) -> ImageSize {
        self.size.map_or(input, ImageSize::square)
    }

    /// Draws the window to cut out of an image of size `input`.
    ///
    /// # Errors
    /// [`Error::Crop`] if the window is larger than the padded image, as in torchvision.
    pub(super) fn window(&self, input: ImageSize, rng: &mut SampleRng) -> Result<Window> {
        let size = self.output_size(input);
        let padded = ImageSize::new(input.height + 2 * self.pad, input.width + 2 * self.pad);
        if size.height > padded.height || size.width > padded.width {
            return Err(Error::Crop { crop: size, padded });
        }
        let top = self.offset(input.height, size.height, rng);
        let left = self.offset(input.width, size.width, rng);
        Ok(Window { top, left, size, border: self.border, mirrored: false })
    }

    fn offset(&self, have: usize, want: usize, rng: &mut SampleRng) -> isize {
        let places = have + 2 * self.pad - want + 1;
        rng.below(places as u32) as isize - self.pad as isize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(crop: PadCrop, draws: usize) -> [[i32; 9]; 9] {
        let mut counts = [[0; 9]; 9];
        for index in 0..draws {
            let w = crop.window(ImageSize::square(32), &mut SampleRng::new(3, 0, index)).unwrap();
            counts[(w.top + 4) as usize][(w.left + 4) as usize] += 1;
        }
        counts
    }

    #[test]
    fn offsets_are_uniform_over_nine_by_nine() {
        // 1000 expected in each of 81 places; chi-squared with 80 degrees of freedom is below 150 but once in 200,000 times.
        let counts = offsets(PadCrop::default(), 81_000);
        let chi: f64 = counts.iter().flatten().map(|&c| f64::from(c - 1000).powi(2) / 1000.0).sum();
        assert!(chi < 150.0, "{chi} {counts:?}");
    }

    #[test]
    fn a_window_larger_than_the_padded_image_is_refused() {
        let window = |pad, height, width| {
            let crop = PadCrop { pad, size: Some(8), ..PadCrop::default() };
            crop.window(ImageSize::new(height, width), &mut SampleRng::new(0, 0, 0))
        };
        assert_eq!(window(2, 4, 4).unwrap().size, ImageSize::square(8));
        for (height, width) in [(4, 16), (16, 5)] {
            let padded = ImageSize::new(height + 2, width + 2);
            let refused = window(1, height, width);
            assert!(
                matches!(refused, Err(Error::Crop { crop, padded: p }) if crop == ImageSize::square(8) && p == padded)
            );
        }
    }

    #[test]
    fn reflection_folds_as_often_as_needed() {
        let at = |p| Border::Reflect.place(p, 3).unwrap();
        assert_eq!((-5..8).map(at).collect::<Vec<_>>(), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(Border::Reflect.place(-7, 1), Some(0));
    }
}
