//! Conversion of pixels to f32.

use serde::{Deserialize, Serialize};

use crate::{CHANNELS, Error, Result};

/// Maps a pixel value v in 0..=255 of channel c to (v / 255 - mean\[c\]) / std\[c\], in f32.
///
/// Two kinds of constants are in use for CIFAR. These are the mean and standard deviation **over all pixels** of the training set. The
/// (0.2023, 0.1994, 0.2010) of other scripts is the mean of the deviations of single images and gives inputs 1.2 times as large.
///
/// ```
/// use lookahead_data::Normalize;
///
/// let n = Normalize { mean: [0.5; 3], std: [0.25; 3] };
/// let mut out = [0.0; 3];
/// n.write(&[0, 255, 51], &mut out);
/// assert_eq!(out, [-2.0, 2.0, (51.0 * (1.0 / 255.0) - 0.5) / 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc(alias = "mean")]
#[doc(alias = "std")]
pub struct Normalize {
    /// Mean of red, green and blue, in [0, 1].
    pub mean: [f32; CHANNELS],
    /// Standard deviation of red, green and blue, above 0.
    pub std: [f32; CHANNELS],
}

impl Normalize {
    /// CIFAR-10, training set, over all pixels.
    pub const CIFAR10: Self = Self { mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616] };
    /// CIFAR-100, training set, over all pixels.
    pub const CIFAR100: Self = Self { mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] };
    /// ImageNet's constants as torchvision and fastai use them; suitable for Imagenette and photographs in general.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
    /// v / 255 alone, as in the original experiments.
    pub const UNIT: Self = Self { mean: [0.0; CHANNELS], std: [1.0; CHANNELS] };

    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`] unless each mean is finite and each deviation is finite and above 0.
    pub fn validate(&self) -> Result<()> {
        if let Some(mean) = self.mean.iter().find(|mean| !mean.is_finite()) {
            return Err(Error::setting("normalize.mean", mean, "finite"));
        }
        match self.std.iter().find(|&&std| !(std > 0.0 && std.is_finite())) {
            Some(std) => Err(Error::setting("normalize.std", std, "finite and above 0")),
            None => Ok(()),
        }
    }

    /// All 256 values of each channel, red first.
    ///
    /// The table fixes the rounding to torchvision's rule: multiply by 1 / 255, then subtract, then divide.
    pub fn table(&self) -> NormalizeTable {
        let mut values = [[0.0; 256]; CHANNELS];
        for (channel, values) in values.iter_mut().enumerate() {
            for (v, value) in values.iter_mut().enumerate() {
                *value = (v as f32 * (1.0 / 255.0) - self.mean[channel]) / self.std[channel];
            }
        }
        NormalizeTable { values }
    }

    /// Normalises `pixels` ((.., 3) u8) into `out` (same order, f32). If the lengths differ, the rest of the longer one is not touched.
    ///
    /// For many images, build the [`table`](Self::table) once.
    pub fn write(&self, pixels: &[u8], out: &mut [f32]) {
        self.table().write(pixels, out);
    }
}

/// The values that [`Normalize`] gives for every pixel value of every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizeTable {
    values: [[f32; 256]; CHANNELS],
}

impl NormalizeTable {
    /// Normalises `pixels` ((.., 3) u8) into `out` (same order, f32). If the lengths differ, the rest of the longer one is not touched.
    pub fn write(&self, pixels: &[u8], out: &mut [f32]) {
        let [red, green, blue] = &self.values;
        for (out, pixel) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(pixels.as_chunks::<CHANNELS>().0) {
            *out = [red[pixel[0] as usize], green[pixel[1] as usize], blue[pixel[2] as usize]];
        }
    }

    /// Writes `weight` * normalised `pixels` + (1 - `weight`) * normalised `partner` into `out`; both inputs are (.., 3) u8.
    pub fn write_mixed(&self, pixels: &[u8], partner: &[u8], weight: f32, out: &mut [f32]) {
        let rest = 1.0 - weight;
        let pairs = pixels.as_chunks::<CHANNELS>().0.iter().zip(partner.as_chunks::<CHANNELS>().0);
        for (out, (a, b)) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(pairs) {
            for channel in 0..CHANNELS {
                let values = &self.values[channel];
                out[channel] = values[a[channel] as usize] * weight + values[b[channel] as usize] * rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_keep_their_constants() {
        let n = Normalize { mean: [0.0, 0.5, 1.0], std: [1.0, 0.5, 2.0] };
        let mut out = [9.0; 7];
        n.write(&[255, 255, 255, 0, 0, 0], &mut out);
        assert_eq!(out, [1.0, 1.0, 0.0, 0.0, -1.0, -0.5, 9.0]);
    }

    #[test]
    fn mixing_is_linear_in_the_normalised_values() {
        let table = Normalize { mean: [0.5; 3], std: [0.5; 3] }.table();
        let mut out = [0.0; 3];
        table.write_mixed(&[255, 0, 255], &[0, 255, 255], 0.75, &mut out);
        assert_eq!(out, [0.5, -0.5, 1.0]);
    }

    #[test]
    fn bad_deviations_are_refused() {
        for std in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(Normalize { mean: [0.0; 3], std: [1.0, std, 1.0] }.validate().is_err(), "{std}");
        }
        assert!(Normalize { mean: [f32::NAN; 3], std: [1.0; 3] }.validate().is_err());
        assert!(Normalize::CIFAR10.validate().is_ok());
    }
}
