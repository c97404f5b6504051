//! Value changes by a table per channel: posterize, solarize, autocontrast, equalize.

use crate::{CHANNELS, Image};

/// Keeps the highest `bits` of each value.
pub(super) fn posterize(image: &mut Image, bits: u32) {
    let mask = if bits >= 8 { 255 } else { !(255u8 >> bits) };
    image.pixels_mut().iter_mut().for_each(|v| *v &= mask);
}

/// Inverts values of `threshold` and more.
pub(super) fn solarize(image: &mut Image, threshold: f32) {
    let table: [u8; 256] = std::array::from_fn(|v| if v as f32 >= threshold { 255 - v as u8 } else { v as u8 });
    image.pixels_mut().iter_mut().for_each(|v| *v = table[*v as usize]);
}

/// Stretches each channel to 0..=255; a channel with a single value is unchanged.
pub(super) fn autocontrast(image: &mut Image) {
    for (channel, histogram) in histograms(image).into_iter().enumerate() {
        let (Some(low), Some(high)) = (histogram.iter().position(|&n| n > 0), histogram.iter().rposition(|&n| n > 0))
        else {
            return;
        };
        if low == high {
            continue;
        }
        let scale = (high - low) as f32 * (1.0 / 255.0);
        map(image, channel, &std::array::from_fn(|v| ((v as f32 - low as f32) / scale).clamp(0.0, 255.0) as u8));
    }
}

/// Equalizes the histogram of each channel, as far as integer steps allow: Pillow's algorithm.
pub(super) fn equalize(image: &mut Image) {
    for (channel, histogram) in histograms(image).into_iter().enumerate() {
        let total: u32 = histogram.iter().sum();
        let highest = histogram.iter().rfind(|&&n| n > 0).copied().unwrap_or(0);
        let step = (total - highest) / 255;
        if step == 0 {
            continue;
        }
        let (mut table, mut below) = ([0; 256], 0);
        for (entry, count) in table.iter_mut().zip(histogram) {
            *entry = ((below + step / 2) / step).min(255) as u8;
            below += count;
        }
        map(image, channel, &table);
    }
}

fn histograms(image: &Image) -> [[u32; 256]; CHANNELS] {
    let mut counts = [[0; 256]; CHANNELS];
    for pixel in image.pixels().as_chunks::<CHANNELS>().0 {
        counts.iter_mut().zip(pixel).for_each(|(counts, &v)| counts[v as usize] += 1);
    }
    counts
}

fn map(image: &mut Image, channel: usize, table: &[u8; 256]) {
    image.pixels_mut().as_chunks_mut::<CHANNELS>().0.iter_mut().for_each(|p| p[channel] = table[p[channel] as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageSize;

    fn changed(pixels: &[u8], f: impl Fn(&mut Image)) -> Vec<u8> {
        let mut image = Image::new(ImageSize::new(1, pixels.len() / 3), pixels.to_vec()).unwrap();
        f(&mut image);
        image.into_pixels()
    }

    #[test]
    fn worked_by_hand() {
        assert_eq!(changed(&[255, 127, 64], |i| posterize(i, 2)), [192, 64, 64]);
        assert_eq!(changed(&[255, 127, 64], |i| posterize(i, 8)), [255, 127, 64]);
        assert_eq!(changed(&[255, 127, 64], |i| solarize(i, 127.0)), [0, 128, 64]);
        // Red from 10 to 60: 255 / 50 a step, in f32 a little less, and cut; green has one value.
        assert_eq!(changed(&[10, 7, 0, 60, 7, 255, 35, 7, 51], autocontrast), [0, 7, 0, 254, 7, 255, 127, 7, 51]);
    }

    #[test]
    fn equalizing_spreads_by_rank() {
        // 510 of value 3, 510 of 4, 100 of 9: (1120 - 100) / 255 = 4 a step; (0 + 2) / 4, (510 + 2) / 4, (1020 + 2) / 4.
        let mut pixels = vec![3; 510 * 3];
        pixels.extend([4; 510 * 3]);
        pixels.extend([9; 100 * 3]);
        let out = changed(&pixels, equalize);
        assert_eq!([out[0], out[510 * 3], out[1020 * 3]], [0, 128, 255]);
        assert_eq!(changed(&[1, 2, 3, 4, 5, 6], equalize), [1, 2, 3, 4, 5, 6]);
    }
}
