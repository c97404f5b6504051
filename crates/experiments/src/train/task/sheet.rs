//! A batch as one picture.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use lookahead_data::Batch;

/// Images per row, and rows.
const COLUMNS: usize = 8;
const ROWS: usize = 4;
/// Pixels between images.
const GAP: usize = 2;

/// Width, height and PNG of the first images of `batch`, at most four rows of eight, as the loader gives them: after
/// augmentation and before mixup. `None` for an empty batch.
pub(super) fn png(batch: &Batch) -> Option<(u32, u32, Vec<u8>)> {
    let size = batch.image_size();
    let sheet = sheet(batch.images(), batch.len(), size.height, size.width)?;
    let mut png = Vec::new();
    // Writing to memory fails for sizes beyond the format's, which a batch never has; then there is no picture.
    sheet.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).ok()?;
    Some((sheet.width(), sheet.height(), png))
}

/// `images` is (N, H, W, 3).
fn sheet(images: &[u8], n: usize, height: usize, width: usize) -> Option<RgbImage> {
    let n = n.min(COLUMNS * ROWS);
    let (columns, rows) = (n.min(COLUMNS), n.div_ceil(COLUMNS));
    let extent = |count: usize, side: usize| u32::try_from((count * (side + GAP)).checked_sub(GAP)?).ok();
    let mut sheet = RgbImage::new(extent(columns, width)?, extent(rows, height)?);
    for (index, image) in images.chunks_exact((height * width * 3).max(1)).take(n).enumerate() {
        let (top, left) = (index / COLUMNS * (height + GAP), index % COLUMNS * (width + GAP));
        for (pixel, colour) in image.as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = (left + pixel % width, top + pixel / width);
            sheet.put_pixel(x as u32, y as u32, image::Rgb(*colour));
        }
    }
    Some(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine images of 2 x 3 distinct pixels: eight in the first row, one below.
    #[test]
    fn images_lie_in_reading_order() {
        let images: Vec<u8> = (0..9 * 2 * 3 * 3).map(|value| value as u8).collect();
        let sheet = sheet(&images, 9, 2, 3).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (8 * 5 - 2, 2 * 4 - 2));
        let at =
            |image: usize, y: usize, x: usize| [0, 1, 2].map(|channel| images[((image * 2 + y) * 3 + x) * 3 + channel]);
        assert_eq!(sheet.get_pixel(0, 0).0, at(0, 0, 0));
        assert_eq!(sheet.get_pixel(5 + 2, 1).0, at(1, 1, 2));
        assert_eq!(sheet.get_pixel(1, 4).0, at(8, 0, 1));
        assert_eq!(sheet.get_pixel(3, 0).0, [0; 3], "the gap");
    }

    #[test]
    fn an_empty_batch_has_no_picture() {
        assert!(sheet(&[], 0, 2, 3).is_none());
    }
}
