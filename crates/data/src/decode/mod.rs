//! Decodes JPEG and PNG files to an [`Image`], strictly: a damaged file is an error, never a half-grey picture.

mod jpeg;
mod layout;

use std::io::Cursor;
use std::path::Path;

use image::{ImageDecoder as _, ImageFormat};

use crate::error::one_line;
use crate::{Error, Image, ImageSize, Result};

/// Maximum number of pixels of an image: 2^26, 200 MB decoded. Larger images are rejected by their header, before anything is allocated.
pub const MAX_PIXELS: usize = 1 << 26;

/// The origin of the bytes, for error messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) path: &'a Path,
    pub(crate) row: Option<usize>,
}

impl Origin<'_> {
    pub(crate) fn error(&self, problem: impl ToString) -> Error {
        Error::Decode { path: self.path.to_path_buf(), row: self.row, problem: one_line(problem) }
    }
}

/// Decodes by content, not by name. Grey becomes RGB, CMYK is converted, transparency is dropped, 16 bits become 8; an orientation in
/// the file's metadata is not applied (as torchvision does by default).
pub(crate) fn decode(bytes: &[u8], origin: Origin<'_>) -> Result<Image> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::decode(bytes, origin),
        Ok(ImageFormat::Png) => decode_png(bytes, origin),
        _ => Err(origin.error(format!("{}; convert it to JPEG or PNG", what_else(bytes)))),
    }
}

/// True if a file's first bytes are those of a JPEG or PNG file.
pub(crate) fn is_image(start: &[u8]) -> bool {
    matches!(image::guess_format(start), Ok(ImageFormat::Jpeg | ImageFormat::Png))
}

/// The kind of a file that is neither JPEG nor PNG.
fn what_else(bytes: &[u8]) -> &'static str {
    let is = |at: usize, magic: &[u8]| bytes.get(at..at + magic.len()) == Some(magic);
    match () {
        () if bytes.is_empty() => "an empty file",
        () if is(0, b"RIFF") && is(8, b"WEBP") => "a WebP file",
        () if is(0, b"GIF8") => "a GIF file",
        () if is(0, b"BM") => "a BMP file",
        () if is(0, b"II*\0") || is(0, b"MM\0*") => "a TIFF file",
        () if is(4, b"ftyphei") || is(4, b"ftypmif1") => "a HEIC file",
        () if is(4, b"ftypavi") => "an AVIF file",
        () if is(0, b"<") => "a text file, perhaps a web page",
        () => "neither JPEG nor PNG",
    }
}

fn decode_png(bytes: &[u8], origin: Origin<'_>) -> Result<Image> {
    let mut reader = image::ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(8 * MAX_PIXELS as u64);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| origin.error(e))?;
    let (width, height) = decoder.dimensions();
    let size = checked_size(height as usize, width as usize, origin)?;
    let pixels = image::DynamicImage::from_decoder(decoder).map_err(|e| origin.error(e))?.into_rgb8().into_raw();
    Image::new(size, pixels)
}

fn checked_size(height: usize, width: usize, origin: Origin<'_>) -> Result<ImageSize> {
    let pixels = height.saturating_mul(width);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(
            origin.error(format!("its header says {height}x{width}, but it must have 1 to {MAX_PIXELS} pixels"))
        );
    }
    Ok(ImageSize::new(height, width))
}
