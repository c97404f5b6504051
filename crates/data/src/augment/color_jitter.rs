//! Brightness, contrast, saturation and hue, in random order.

use serde::{Deserialize, Serialize};

use super::check;
use crate::{CHANNELS, Image, Result, SampleRng};

/// Changes brightness, contrast, saturation and hue by random amounts, in random order.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `brightness`, `contrast`, `saturation` | 0 | x: factor uniform in max(0, 1 - x) to 1 + x; 0 changes nothing | >= 0 |
/// | `hue` | 0 | h: fraction of a full turn uniform in -h to h; 0 changes nothing | \[0, 0.5\] |
///
/// Contrast blends with the mean grey of the image, saturation with the grey of each pixel. The order of the four is drawn anew for each
/// image.
///
/// # References
/// torchvision 0.29, `transforms.v2.ColorJitter` on u8 tensors: the same f32 arithmetic, with values truncated to integers after each of
/// the four.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Half-width of the brightness factor around 1.
    pub brightness: f64,
    /// Half-width of the contrast factor around 1.
    pub contrast: f64,
    /// Half-width of the saturation factor around 1.
    pub saturation: f64,
    /// Largest turn of the hue, in full turns.
    pub hue: f64,
}

/// One of the four adjustments, with its amount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Adjustment {
    Brightness(f64),
    Contrast(f64),
    Saturation(f64),
    Hue(f64),
}

impl ColorJitter {
    pub(super) fn validate(&self) -> Result<()> {
        for (setting, value) in [
            ("color-jitter.brightness", self.brightness),
            ("color-jitter.contrast", self.contrast),
            ("color-jitter.saturation", self.saturation),
        ] {
            check(setting, value, value >= 0.0 && value.is_finite(), "finite and at least 0")?;
        }
        check("color-jitter.hue", self.hue, (0.0..=0.5).contains(&self.hue), "in [0, 0.5]")
    }

    /// Draws the adjustments for one image, in order.
    pub(crate) fn draw(&self, rng: &mut SampleRng) -> Vec<Adjustment> {
        let order = rng.permutation(4);
        let mut factor = |x: f64| rng.range((1.0 - x).max(0.0), 1.0 + x);
        let all = [
            Adjustment::Brightness(factor(self.brightness)),
            Adjustment::Contrast(factor(self.contrast)),
            Adjustment::Saturation(factor(self.saturation)),
            Adjustment::Hue(rng.range(-self.hue, self.hue)),
        ];
        let used = [self.brightness > 0.0, self.contrast > 0.0, self.saturation > 0.0, self.hue > 0.0];
        order.into_iter().map(|i| i as usize).filter(|&i| used[i]).map(|i| all[i]).collect()
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut SampleRng) {
        self.draw(rng).into_iter().for_each(|adjustment| adjustment.apply(image));
    }
}

impl Adjustment {
    pub(crate) fn apply(self, image: &mut Image) {
        match self {
            Self::Brightness(factor) => {
                let table: [u8; 256] = std::array::from_fn(|v| (v as f32 * factor as f32) as u8);
                image.pixels_mut().iter_mut().for_each(|v| *v = table[*v as usize]);
            }
            Self::Contrast(factor) => {
                let mean = mean_grey(image);
                let table: [u8; 256] = std::array::from_fn(|v| blend(v as u8, mean, factor));
                image.pixels_mut().iter_mut().for_each(|v| *v = table[*v as usize]);
            }
            Self::Saturation(factor) => {
                for pixel in image.pixels_mut().as_chunks_mut::<CHANNELS>().0 {
                    let grey = grey(*pixel);
                    *pixel = pixel.map(|v| blend(v, grey, factor));
                }
            }
            Self::Hue(turn) => {
                for pixel in image.pixels_mut().as_chunks_mut::<CHANNELS>().0 {
                    *pixel = turn_hue(*pixel, turn as f32);
                }
            }
        }
    }
}

/// torchvision's luma, truncated to an integer.
fn grey(pixel: [u8; CHANNELS]) -> f32 {
    let [r, g, b] = pixel.map(f32::from);
    (r * 0.2989 + g * 0.587 + b * 0.114).floor()
}

/// Exact: a sum of integers below 2^53.
fn mean_grey(image: &Image) -> f32 {
    let pixels = image.pixels().as_chunks::<CHANNELS>().0;
    let sum: u64 = pixels.iter().map(|&pixel| grey(pixel) as u64).sum();
    (sum as f64 / pixels.len() as f64) as f32
}

/// `factor * value + (1 - factor) * other`, clamped to 0..=255 and truncated to an integer (a cast from float saturates).
fn blend(value: u8, other: f32, factor: f64) -> u8 {
    (f32::from(value) * factor as f32 + other * (1.0 - factor) as f32) as u8
}

fn turn_hue(pixel: [u8; CHANNELS], turn: f32) -> [u8; CHANNELS] {
    let rgb = pixel.map(|v| f32::from(v) / 255.0);
    let (h, s, v) = to_hsv(rgb);
    let h = h + turn;
    // Python's remainder: the result has the sign of the divisor.
    let h = h - h.floor();
    to_rgb(h, s, v).map(|v| (v * (255.0 + 1.0 - 1e-3)) as u8)
}

/// Hue in \[0, 1), saturation and value in \[0, 1\], as Pillow and torchvision compute them.
fn to_hsv([r, g, b]: [f32; CHANNELS]) -> (f32, f32, f32) {
    let (low, high) = (r.min(g).min(b), r.max(g).max(b));
    let range = high - low;
    if range == 0.0 {
        return (0.0, 0.0, high);
    }
    let [rc, gc, bc] = [r, g, b].map(|v| (high - v) / range);
    let sixths = if high == r {
        bc - gc
    } else if high == g {
        rc + 2.0 - bc
    } else {
        gc + 4.0 - rc
    };
    ((sixths * (1.0 / 6.0) + 1.0) % 1.0, range / high, high)
}

fn to_rgb(h: f32, s: f32, v: f32) -> [f32; CHANNELS] {
    let sixths = h * 6.0;
    let sector = sixths.floor();
    let f = sixths - sector;
    let q = ((1.0 - s * f) * v).clamp(0.0, 1.0);
    let t = ((s * f + (1.0 - s)) * v).clamp(0.0, 1.0);
    let p = ((1.0 - s) * v).clamp(0.0, 1.0);
    match sector as i32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageSize;

    fn one(pixel: [u8; 3], adjustment: Adjustment) -> [u8; 3] {
        let mut image = Image::new(ImageSize::square(1), pixel.to_vec()).unwrap();
        adjustment.apply(&mut image);
        image.view().pixel(0, 0)
    }

    #[test]
    fn worked_by_hand() {
        assert_eq!(one([100, 200, 7], Adjustment::Brightness(1.5)), [150, 255, 10]);
        // Grey of (100, 200, 7) is floor(29.89 + 117.4 + 0.798) = 148, which is also the mean of one pixel.
        assert_eq!(one([100, 200, 7], Adjustment::Saturation(0.0)), [148; 3]);
        assert_eq!(one([100, 200, 7], Adjustment::Contrast(0.5)), [124, 174, 77]);
        // A third of a turn takes red to green and green to blue.
        assert_eq!(one([255, 0, 0], Adjustment::Hue(1.0 / 3.0)), [0, 255, 0]);
        assert_eq!(one([0, 255, 0], Adjustment::Hue(1.0 / 3.0)), [0, 0, 255]);
        assert_eq!(one([90, 90, 90], Adjustment::Hue(0.25)), [90; 3]);
    }

    #[test]
    fn unused_ones_are_left_out_and_the_order_varies() {
        let jitter = ColorJitter { brightness: 0.4, hue: 0.1, ..ColorJitter::default() };
        let mut first = 0;
        for index in 0..1000 {
            let steps = jitter.draw(&mut SampleRng::new(0, 0, index));
            assert_eq!(steps.len(), 2);
            for step in &steps {
                match *step {
                    Adjustment::Brightness(f) => assert!((0.6..1.4).contains(&f)),
                    Adjustment::Hue(h) => assert!((-0.1..0.1).contains(&h)),
                    other => panic!("{other:?}"),
                }
            }
            first += usize::from(matches!(steps[0], Adjustment::Hue(_)));
        }
        assert!((420..580).contains(&first), "{first}");
    }
}
