//! Bytes of a JPEG or PNG file to an [`Image`], strictly: a damaged file is an error, never a half-grey picture.

use std::io::Cursor;
use std::path::Path;

use image::{ImageDecoder as _, ImageFormat};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::{Error, Image, ImageSize, Result};

/// Most pixels an image may have: 2^26, 200 MB decoded. A header that promises more is refused before anything is allocated.
pub const MAX_PIXELS: usize = 1 << 26;

/// Where the bytes come from, for error messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) path: &'a Path,
    pub(crate) row: Option<usize>,
}

impl Origin<'_> {
    pub(crate) fn error(&self, problem: impl ToString) -> Error {
        // One line, whatever a decoder has to say.
        let problem = problem.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Decode { path: self.path.to_path_buf(), row: self.row, problem }
    }
}

/// Decodes by content, not by name. Grey becomes RGB, CMYK is converted, transparency is dropped, 16 bits become 8; an orientation in
/// the file's metadata is not applied (as torchvision does by default).
pub(crate) fn decode(bytes: &[u8], origin: Origin<'_>) -> Result<Image> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(bytes, origin),
        Ok(ImageFormat::Png) => decode_png(bytes, origin),
        _ => Err(origin.error("neither JPEG nor PNG")),
    }
}

fn decode_jpeg(bytes: &[u8], origin: Origin<'_>) -> Result<Image> {
    if !is_ended(bytes) {
        return Err(origin.error("cut off, no end-of-image marker after its last scan"));
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| origin.error(e))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| origin.error("no size in the header"))?;
    let mut image = Image::black(checked_size(height, width, origin)?);
    decoder.decode_into(image.pixels_mut()).map_err(|e| origin.error(e))?;
    Ok(image)
}

/// True where an end-of-image marker follows the last start of a scan. The decoder forgives the loss of the last few bytes, which would
/// be grey blocks in a picture. Neither marker can occur inside a scan, and a thumbnail's both lie before the image's own.
fn is_ended(bytes: &[u8]) -> bool {
    // Sought from the end, where a sound file has it: the scan itself is not looked through.
    let end = bytes.windows(2).rposition(|pair| pair == [0xff, 0xd9]);
    end.is_some_and(|end| !bytes[end..].windows(2).any(|pair| pair == [0xff, 0xda]))
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
        return Err(origin.error(format!("the header says {height}x{width}, and 1 to {MAX_PIXELS} pixels are allowed")));
    }
    Ok(ImageSize::new(height, width))
}
