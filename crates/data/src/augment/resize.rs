//! Antialiased bilinear scaling.

use serde::{Deserialize, Serialize};

use super::check_side;
use super::resample::resample;
use crate::{Error, Image, ImageSize, ImageView, MAX_PIXELS, Result};

/// Scales the shorter side to `size` pixels, bilinear with antialiasing; the longer side is rounded down.
///
/// # References
/// torchvision 0.29, `transforms.v2.Resize(size)`, bit for bit; Pillow's `BILINEAR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc(alias = "Resize")]
pub struct ShortSide {
    /// Length of the shorter side in pixels, 1..=8192.
    pub size: usize,
}

impl ShortSide {
    pub(super) fn validate(&self) -> Result<()> {
        check_side("short-side.size", self.size)
    }

    pub(crate) fn output_size(&self, input: ImageSize) -> ImageSize {
        let scale = |long: usize, short: usize| (self.size.saturating_mul(long) / short.max(1)).max(1);
        if input.height < input.width {
            ImageSize::new(self.size, scale(input.width, input.height))
        } else {
            ImageSize::new(scale(input.height, input.width), self.size)
        }
    }

    pub(super) fn apply(&self, image: ImageView<'_>) -> Result<Image> {
        resize(image, Rect::whole(image.size()), self.output_size(image.size()))
    }
}

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) size: ImageSize,
}

impl Rect {
    pub(crate) fn whole(size: ImageSize) -> Self {
        Self { top: 0, left: 0, size }
    }
}

/// Scales the part `from` of `image` to `size`: a triangle filter, widened when it shrinks (antialiasing).
pub(crate) fn resize(image: ImageView<'_>, from: Rect, size: ImageSize) -> Result<Image> {
    let mut out = Image::black(checked("resize", size)?);
    resample(image, from, size, false, out.pixels_mut());
    Ok(out)
}

/// Rejects a result of no pixels or of more than [`MAX_PIXELS`] before anything is allocated. `setting` names it.
pub(crate) fn checked(setting: &'static str, size: ImageSize) -> Result<ImageSize> {
    let pixels = size.height.checked_mul(size.width).filter(|pixels| (1..=MAX_PIXELS).contains(pixels));
    pixels.map(|_| size).ok_or_else(|| Error::setting(setting, size, "1 to 2^26 pixels"))
}
