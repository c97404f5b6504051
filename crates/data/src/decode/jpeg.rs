//! JPEG: one decoder for nearly all files, another for layouts that the first decodes incorrectly.

use jpeg_decoder::{ColorTransform, PixelFormat};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::layout::{self, Layout};
use super::{MAX_PIXELS, Origin, checked_size};
use crate::{CHANNELS, Image, ImageSize, Result};

/// Decodes the first picture of a JPEG file.
pub(super) fn decode(bytes: &[u8], origin: Origin<'_>) -> Result<Image> {
    let layout = layout::read(bytes).map_err(|problem| origin.error(problem))?;
    let size = checked_size(layout.frame.height.into(), layout.frame.width.into(), origin);
    if let Some(problem) = layout.frame.unsupported() {
        return Err(origin.error(problem));
    }
    let rare = layout.frame.is_sequential() && layout.is_split() || !layout.frame.is_usual();
    if rare { decode_rare(&layout, size?, origin) } else { decode_usual(&layout, size?, origin) }
}

fn decode_usual(layout: &Layout<'_>, size: ImageSize, origin: Origin<'_>) -> Result<Image> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&layout.picture[..]), options);
    decoder.decode_headers().map_err(|e| origin.error(e))?;
    if decoder.dimensions() != Some((size.width, size.height)) {
        return Err(origin.error("its headers give two different sizes"));
    }
    let mut image = Image::black(size);
    decoder.decode_into(image.pixels_mut()).map_err(|e| origin.error(e))?;
    Ok(image)
}

/// Decodes two layouts that zune-jpeg 0.5.15 decodes incorrectly: a sequential image whose components are in several scans (it misplaces
/// blocks), and one whose first component does not have the most samples (it takes chroma for luma).
fn decode_rare(layout: &Layout<'_>, size: ImageSize, origin: Origin<'_>) -> Result<Image> {
    let mut decoder = jpeg_decoder::Decoder::new(&layout.picture[..]);
    decoder.set_max_decoding_buffer_size(4 * MAX_PIXELS);
    if layout.frame.sampling.len() == 3 {
        let rgb = layout.is_rgb();
        decoder.set_color_transform(if rgb { ColorTransform::RGB } else { ColorTransform::YCbCr });
    }
    let pixels = decoder.decode().map_err(|e| origin.error(e))?;
    let pixels = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::RGB24) => pixels,
        Some(PixelFormat::L8) => pixels.into_iter().flat_map(|v| [v; CHANNELS]).collect(),
        _ => return Err(origin.error("a JPEG with four components in a rare layout, which is not supported; save it again as a plain JPEG or as PNG")),
    };
    Image::new(size, pixels).map_err(|_| origin.error("its headers give two different sizes"))
}
