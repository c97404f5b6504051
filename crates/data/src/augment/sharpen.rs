//! Sharpness: the difference of an image from its blurred copy.

use crate::{CHANNELS, Image, ImageSize};

/// Moves each inner pixel away from its blurred value (factor above 1) or towards it (below 1). The border is unchanged, as is an image
/// with at most two rows or columns.
pub(super) fn sharpen(image: &mut Image, factor: f64) {
    let ImageSize { height, width } = image.size();
    if height <= 2 || width <= 2 {
        return;
    }
    let source = image.pixels().to_vec();
    let (stride, rest) = (width * CHANNELS, (1.0 - factor) as f32);
    let (edge, middle) = ((1.0 / 13.0) as f32, (5.0 / 13.0) as f32);
    for y in 1..height - 1 {
        for i in y * stride + CHANNELS..(y + 1) * stride - CHANNELS {
            let mut blur = 0.0;
            for row in [i - stride, i, i + stride] {
                for at in [row - CHANNELS, row, row + CHANNELS] {
                    blur += f32::from(source[at]) * if at == i { middle } else { edge };
                }
            }
            let value = f32::from(source[i]);
            image.pixels_mut()[i] = (value + rest * (blur.round_ties_even() - value)).clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // Eight of 10 around 140: the blur is (80 + 700) / 13 = 60.
        let pixels: Vec<u8> = (0..9).flat_map(|i| [if i == 4 { 140 } else { 10 }; 3]).collect();
        let with = |factor| {
            let mut image = Image::new(ImageSize::square(3), pixels.clone()).unwrap();
            sharpen(&mut image, factor);
            assert_eq!(image.pixels()[..12], pixels[..12], "the border stays");
            image.pixels()[12]
        };
        assert_eq!([with(0.0), with(0.5), with(1.0), with(1.5), with(3.0)], [60, 100, 140, 180, 255]);
    }
}
