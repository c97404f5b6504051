//! Images: (H, W, C) u8, RGB, rows from the top.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Channels of every image: red, green, blue.
pub const CHANNELS: usize = 3;

/// Height and width of an image in pixels.
///
/// ```
/// let size = lookahead_data::ImageSize::new(24, 32);
/// assert_eq!(size.to_string(), "24x32"); // height first
/// assert_eq!(size.bytes(), 24 * 32 * 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageSize {
    /// A size of `height` rows and `width` columns.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// A square.
    pub const fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// Bytes of an image of this size: height * width * 3.
    pub const fn bytes(&self) -> usize {
        self.height * self.width * CHANNELS
    }

    /// [`bytes`](Self::bytes); `None` if they cannot be counted.
    pub(crate) fn checked_bytes(&self) -> Option<usize> {
        self.height.checked_mul(self.width)?.checked_mul(CHANNELS)
    }
}

impl std::fmt::Display for ImageSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// An image that owns its pixels: (H, W, 3) u8, RGB, rows from the top, no padding between rows.
///
/// ```
/// use lookahead_data::{Image, ImageSize};
///
/// let image = Image::new(ImageSize::new(1, 2), vec![255, 0, 0, 0, 0, 255])?; // red, then blue
/// assert_eq!(image.view().pixel(0, 1), [0, 0, 255]);
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    size: ImageSize,
    pixels: Vec<u8>,
}

impl Image {
    /// An image of `size` with the given pixels.
    ///
    /// # Errors
    /// [`Error::Pixels`] unless there are height * width * 3 of them, and at least one.
    pub fn new(size: ImageSize, pixels: Vec<u8>) -> Result<Self> {
        check(size, &pixels)?;
        Ok(Self { size, pixels })
    }

    /// Decodes a JPEG or PNG image. The format is detected from the bytes; `path` is used only in error messages.
    ///
    /// Grey becomes RGB, CMYK is converted, transparency is dropped and 16 bits become 8. An orientation in the metadata is not applied, as
    /// in torchvision's default.
    ///
    /// # Errors
    /// [`Error::Decode`] for a file that is neither JPEG nor PNG, truncated, damaged or larger than [`MAX_PIXELS`](crate::MAX_PIXELS).
    pub fn decode(bytes: &[u8], path: &std::path::Path) -> Result<Self> {
        crate::decode::decode(bytes, crate::decode::Origin { path, row: None })
    }

    /// A black image.
    pub(crate) fn black(size: ImageSize) -> Self {
        Self { size, pixels: vec![0; size.bytes()] }
    }

    /// Height and width.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// All pixels, (H, W, 3).
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Returns the pixels and drops the image.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Borrows the image.
    pub fn view(&self) -> ImageView<'_> {
        ImageView { size: self.size, pixels: &self.pixels }
    }
}

/// A borrowed image: (H, W, 3) u8, RGB, rows from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageView<'a> {
    size: ImageSize,
    pixels: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// An image of `size` over borrowed pixels.
    ///
    /// # Errors
    /// [`Error::Pixels`] unless there are height * width * 3 of them, and at least one.
    pub fn new(size: ImageSize, pixels: &'a [u8]) -> Result<Self> {
        check(size, pixels)?;
        Ok(Self { size, pixels })
    }

    /// Height and width.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// All pixels, (H, W, 3).
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// The bytes of row `y` (from 0 at the top), 3 * width of them.
    ///
    /// # Panics
    /// If `y` is not below the height.
    pub fn row(&self, y: usize) -> &'a [u8] {
        let stride = self.size.width * CHANNELS;
        &self.pixels[y * stride..(y + 1) * stride]
    }

    /// Red, green and blue at row `y` and column `x`.
    ///
    /// # Panics
    /// If the pixel is not inside the image.
    pub fn pixel(&self, y: usize, x: usize) -> [u8; CHANNELS] {
        assert!(x < self.size.width, "column {x} of an image {} wide", self.size.width);
        let start = (y * self.size.width + x) * CHANNELS;
        [self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]]
    }

    /// A copy that owns its pixels.
    pub fn to_image(&self) -> Image {
        Image { size: self.size, pixels: self.pixels.to_vec() }
    }
}

fn check(size: ImageSize, pixels: &[u8]) -> Result<()> {
    if size.checked_bytes() != Some(pixels.len()) || pixels.is_empty() {
        return Err(Error::Pixels { size, images: 1, found: pixels.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_not_swapped() {
        // Two rows of three pixels, numbered as one reads.
        let image = Image::new(ImageSize::new(2, 3), (0..18).collect()).unwrap();
        assert_eq!(image.view().pixel(0, 2), [6, 7, 8]);
        assert_eq!(image.view().pixel(1, 0), [9, 10, 11]);
        assert_eq!(image.view().row(1), [9, 10, 11, 12, 13, 14, 15, 16, 17]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(matches!(Image::new(ImageSize::new(2, 3), vec![0; 17]), Err(Error::Pixels { found: 17, .. })));
        assert!(ImageView::new(ImageSize::new(0, 3), &[]).is_err());
        assert!(ImageView::new(ImageSize::new(usize::MAX, 2), &[0; 6]).is_err());
    }
}
