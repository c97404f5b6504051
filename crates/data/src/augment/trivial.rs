//! TrivialAugment: one random change of random strength.

use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::color_jitter::Adjustment;
use super::levels;
use super::{check, sharpen};
use crate::{CHANNELS, Image, Result, SampleRng};

/// Applies one of 14 changes at one of `bins` strengths, both drawn uniformly: TrivialAugment with the wide space.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `bins` | 31 | number of strengths | 2..=1024 |
/// | `fill` | black | red, green and blue outside the image | |
///
/// | change | strength | sign |
/// |---|---|---|
/// | none, autocontrast, equalize | | |
/// | shear-x, shear-y | 0 to 0.99 | both |
/// | translate-x, translate-y | 0 to 32 pixels, truncated to integers | both |
/// | rotate | 0 to 135 degrees | both |
/// | brightness, color, contrast, sharpness | factor 1 plus 0 to 0.99 | both |
/// | posterize | 8 to 2 bits left | |
/// | solarize | values from 255 down to 0 are inverted | |
///
/// Geometric changes sample the nearest pixel. Place the transform after the crop and the flip, as its authors do.
///
/// # References
/// Müller, Hutter: TrivialAugment, 2021, arXiv:2103.10158. torchvision 0.29, `transforms.v2.TrivialAugmentWide` on u8 tensors: the same f32
/// arithmetic, except for blends that end within a rounding of an integer (a few values in 100,000, by one) and for places exactly between
/// two pixels (a quarter turn of an image with one odd side).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "TrivialAugmentWide")]
pub struct TrivialAugment {
    /// Number of strengths.
    pub bins: usize,
    /// Red, green and blue outside the image.
    pub fill: [u8; CHANNELS],
}

impl Default for TrivialAugment {
    fn default() -> Self {
        Self { bins: 31, fill: [0; CHANNELS] }
    }
}

/// One of the 14 changes, with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Identity,
    ShearX(f64),
    ShearY(f64),
    TranslateX(f64),
    TranslateY(f64),
    Rotate(f64),
    Brightness(f64),
    Color(f64),
    Contrast(f64),
    Sharpness(f64),
    Posterize(u32),
    Solarize(f64),
    AutoContrast,
    Equalize,
}

/// torchvision's `linspace`: from both ends to the middle, in f32.
fn strength(low: f32, high: f32, bin: usize, bins: usize) -> f64 {
    let step = (high - low) / (bins - 1) as f32;
    let value = if bin < bins / 2 { low + step * bin as f32 } else { high - step * (bins - 1 - bin) as f32 };
    f64::from(value)
}

impl TrivialAugment {
    pub(super) fn validate(&self) -> Result<()> {
        check("trivial-augment.bins", self.bins, (2..=1024).contains(&self.bins), "in 2..=1024")
    }

    /// Draws the change for one image.
    pub(crate) fn draw(&self, rng: &mut SampleRng) -> Change {
        let which = rng.below(14);
        if matches!(which, 0 | 12 | 13) {
            return Change::of(which, 0, false, self.bins);
        }
        let bin = rng.below(self.bins as u32) as usize;
        let negative = !matches!(which, 10 | 11) && rng.coin(0.5);
        Change::of(which, bin, negative, self.bins)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut SampleRng) {
        self.draw(rng).apply(image, self.fill);
    }
}

impl Change {
    /// Number `which` in torchvision's order, at strength `bin` of `bins`.
    pub(crate) fn of(which: u32, bin: usize, negative: bool, bins: usize) -> Self {
        let up_to = |high: f32| strength(0.0, high, bin, bins) * if negative { -1.0 } else { 1.0 };
        match which {
            0 => Self::Identity,
            1 => Self::ShearX(up_to(0.99)),
            2 => Self::ShearY(up_to(0.99)),
            3 => Self::TranslateX(up_to(32.0)),
            4 => Self::TranslateY(up_to(32.0)),
            5 => Self::Rotate(up_to(135.0)),
            6 => Self::Brightness(up_to(0.99)),
            7 => Self::Color(up_to(0.99)),
            8 => Self::Contrast(up_to(0.99)),
            9 => Self::Sharpness(up_to(0.99)),
            10 => {
                let sixth = (bins - 1) as f64 / 6.0;
                Self::Posterize((8.0 - bin as f32 / sixth as f32).round_ties_even() as u32)
            }
            11 => Self::Solarize(strength(1.0, 0.0, bin, bins)),
            12 => Self::AutoContrast,
            _ => Self::Equalize,
        }
    }

    pub(crate) fn apply(self, image: &mut Image, fill: [u8; CHANNELS]) {
        let size = image.size();
        match self {
            Self::Identity => {}
            Self::ShearX(by) => Affine::shear(by.atan(), 0.0, size).apply(image, fill),
            Self::ShearY(by) => Affine::shear(0.0, by.atan(), size).apply(image, fill),
            Self::TranslateX(by) => Affine::translate(by.trunc(), 0.0).apply(image, fill),
            Self::TranslateY(by) => Affine::translate(0.0, by.trunc()).apply(image, fill),
            Self::Rotate(degrees) => Affine::rotate(degrees).apply(image, fill),
            Self::Brightness(by) => Adjustment::Brightness(1.0 + by).apply(image),
            Self::Color(by) => Adjustment::Saturation(1.0 + by).apply(image),
            Self::Contrast(by) => Adjustment::Contrast(1.0 + by).apply(image),
            Self::Sharpness(by) => sharpen::sharpen(image, 1.0 + by),
            Self::Posterize(bits) => levels::posterize(image, bits),
            Self::Solarize(threshold) => levels::solarize(image, (255.0 * threshold) as f32),
            Self::AutoContrast => levels::autocontrast(image),
            Self::Equalize => levels::equalize(image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageSize;

    #[test]
    fn every_change_and_strength_is_drawn_alike() {
        let (mut which, mut bins, mut negative) = ([0; 14], [0; 31], 0);
        for index in 0..14_000 {
            let change = TrivialAugment::default().draw(&mut SampleRng::new(3, 0, index));
            let place = (0..14)
                .find(|&w| std::mem::discriminant(&Change::of(w, 1, false, 31)) == std::mem::discriminant(&change));
            which[place.unwrap() as usize] += 1;
            if let Change::Rotate(degrees) = change {
                bins[(degrees.abs() / 4.5).round() as usize] += 1;
                negative += usize::from(degrees < 0.0);
            }
        }
        // 1000 each, deviation 30.5; of those that turn, 32 a strength, and a half, less strength 0, to the left.
        assert!(which.iter().all(|&count: &i32| (count - 1000).abs() < 160), "{which:?}");
        assert!(bins.iter().all(|&count| (8..70).contains(&count)), "{bins:?}");
        assert!((400..570).contains(&negative), "{negative}");
    }

    /// `tests/fixtures/trivial.py` made the expected images.
    #[test]
    fn changes_are_torchvisions() {
        let files = safetensors::SafeTensors::deserialize(include_bytes!("../../tests/fixtures/trivial.safetensors"));
        let files = files.unwrap();
        let source = files.tensor("image").unwrap();
        let size = ImageSize::new(source.shape()[0], source.shape()[1]);
        let (mut count, mut others) = (0, 0);
        for name in files.names().into_iter().filter(|name| *name != "image") {
            let mut parts = name.split('-');
            let which: u32 = parts.next().unwrap().parse().unwrap();
            let bin: usize = parts.next().unwrap().parse().unwrap();
            let mut image = Image::new(size, source.data().to_vec()).unwrap();
            Change::of(which, bin, parts.next() == Some("n"), 31).apply(&mut image, [10, 20, 30]);
            let expected = files.tensor(name).unwrap();
            let gaps = image.pixels().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b));
            let (differ, most) = gaps.filter(|&gap| gap > 0).fold((0, 0), |(n, most), gap| (n + 1, gap.max(most)));
            if which == 5 && bin == 20 {
                // A quarter turn of an image with one odd side reads halfway between two pixels: which of them is a matter of the last bit.
                assert!(differ <= 48, "{name}: {differ}");
                continue;
            }
            // torchvision adds a product in one rounding where we take two, so that a few blends come out at the whole number below.
            assert!(differ <= 3 && most <= 1, "{name}: {differ} of {} values, by {most}", expected.data().len());
            (count, others) = (count + 1, others + differ);
        }
        assert_eq!(count, 3 + 2 * 4 + 9 * 4 * 2 - 2);
        assert!(others <= 10, "{others} of 130,000 values");
    }

    #[test]
    fn strengths_are_torchvisions() {
        assert_eq!(Change::of(5, 30, true, 31), Change::Rotate(-135.0));
        assert_eq!(Change::of(5, 20, false, 31), Change::Rotate(90.0));
        assert_eq!(Change::of(10, 0, false, 31), Change::Posterize(8));
        assert_eq!(Change::of(10, 30, false, 31), Change::Posterize(2));
        assert_eq!(Change::of(10, 13, false, 31), Change::Posterize(5)); // 8 - 2.6
        assert_eq!(Change::of(11, 30, false, 31), Change::Solarize(0.0));
        assert!(TrivialAugment { bins: 1, ..TrivialAugment::default() }.validate().is_err());
    }
}
