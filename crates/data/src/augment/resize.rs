//! Antialiased bilinear scaling.

use std::cell::RefCell;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::check_side;
use crate::{Error, Image, ImageSize, ImageView, Result};

/// Scales the image so that its shorter side has `size` pixels, bilinear with antialiasing; the longer side is rounded down.
///
/// # References
/// torchvision 0.29, `transforms.v2.Resize(size)`; Pillow's `BILINEAR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortSide {
    /// Pixels of the shorter side, 1..=8192.
    pub size: usize,
}

impl ShortSide {
    pub(super) fn validate(&self) -> Result<()> {
        check_side("short-side.size", self.size)
    }

    pub(super) fn output_size(&self, input: ImageSize) -> ImageSize {
        let scale = |long: usize, short: usize| (self.size * long / short.max(1)).max(1);
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
    let mut out = Image::black(size);
    resize_into(image, from, size, out.pixels_mut())?;
    Ok(out)
}

thread_local! {
    /// One a thread, for its buffers: nothing in it outlives a call.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// [`resize`] into pixels that are there already.
pub(crate) fn resize_into(image: ImageView<'_>, from: Rect, size: ImageSize, out: &mut [u8]) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::setting("resize", e, "a size that fits in memory");
    let source =
        TypedImageRef::<U8x3>::from_buffer(image.size().width as u32, image.size().height as u32, image.pixels())
            .map_err(|e| failed(&e))?;
    let mut target =
        TypedImage::<U8x3>::from_buffer(size.width as u32, size.height as u32, out).map_err(|e| failed(&e))?;
    let (left, top) = (from.left as u32, from.top as u32);
    // A view of the part alone: like torchvision, and unlike a crop box, the filter does not reach for pixels around it.
    let part = TypedCroppedImage::from_ref(&source, left, top, from.size.width as u32, from.size.height as u32);
    let part = part.map_err(|e| failed(&e))?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    RESIZER.with_borrow_mut(|resizer| resizer.resize_typed(&part, &mut target, &options).map_err(|e| failed(&e)))
}
