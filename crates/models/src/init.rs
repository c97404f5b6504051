//! Initial weights: one random stream per parameter, so that adding a layer changes no other layer's weights.

use candle_core::{DType, Device, Tensor};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::Result;

/// The stream of the parameter `name`: ChaCha8 keyed by `seed`, at the stream numbered by the name's FNV-1a digest.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let digest = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(digest);
    rng
}

/// How a tensor's entries are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// Every entry the same.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
    /// A convolution (O, I, Kh, Kw): uniform within this bound, except that the first I filters pass their own channel on unchanged (one at
    /// the middle tap, zeros elsewhere).
    PartIdentity(f64),
}

impl Init {
    /// He et al. 2015 for a convolution (O, I, Kh, Kw) followed by a relu, by outgoing connections as in torchvision: standard deviation
    /// `sqrt(2 / (O * Kh * Kw))`.
    pub(crate) fn he_fan_out(shape: &[usize]) -> Self {
        let [out, _, height, width] = shape else { unreachable!("convolution weights have four dimensions") };
        Init::Normal((2.0 / (out * height * width) as f64).sqrt())
    }

    /// PyTorch's default for a linear layer, weight and bias alike: uniform within `1 / sqrt(inputs)`.
    pub(crate) fn linear(inputs: usize) -> Self {
        Init::Uniform(1.0 / (inputs as f64).sqrt())
    }

    /// Jordan 2024 for a convolution (O, I, Kh, Kw): PyTorch's default, with as many identity filters as there are channels.
    pub(crate) fn part_identity(shape: &[usize; 4]) -> Self {
        Init::PartIdentity(1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt())
    }

    /// A tensor of `shape`. The values depend only on `seed` and `name`; they are drawn in f32 and cast to `dtype`.
    pub(crate) fn tensor(
        self,
        seed: u64,
        name: &str,
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let count = shape.iter().product();
        let mut rng = stream(seed, name);
        let values: Vec<f32> = match self {
            Init::Constant(value) => vec![value as f32; count],
            Init::Normal(deviation) => {
                let deviation = deviation as f32;
                (0..count).map(|_| deviation * Distribution::<f32>::sample(&StandardNormal, &mut rng)).collect()
            }
            Init::Uniform(bound) | Init::PartIdentity(bound) => {
                let bound = bound as f32;
                let uniform = Uniform::new_inclusive(-bound, bound)
                    .map_err(|e| candle_core::Error::Msg(format!("{name}: bound {bound}: {e}")))?;
                let mut values: Vec<f32> = uniform.sample_iter(&mut rng).take(count).collect();
                if let (Init::PartIdentity(_), &[out, channels, height, width]) = (self, shape) {
                    let (taps, middle) = (height * width, height / 2 * width + width / 2);
                    for filter in 0..out.min(channels) {
                        let values = &mut values[filter * channels * taps..][..channels * taps];
                        values.fill(0.0);
                        values[filter * taps + middle] = 1.0;
                    }
                }
                values
            }
        };
        Ok(Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(init: Init, seed: u64, name: &str, count: usize) -> Vec<f32> {
        init.tensor(seed, name, &[count], DType::F32, &Device::Cpu).unwrap().to_vec1().unwrap()
    }

    /// Changing these numbers changes every trained network, and belongs in the changelog.
    #[test]
    fn streams_are_pinned() {
        assert_eq!(draw(Init::Normal(1.0), 1, "conv1.weight", 4), [-0.6564199, -0.38781613, 3.185481, -1.5275567]);
        assert_eq!(draw(Init::Uniform(0.5), 1, "fc.weight", 4), [0.3760215, 0.25510728, 0.011071384, 0.43131363]);
    }

    #[test]
    fn names_and_seeds_have_their_own_streams() {
        let base = draw(Init::Normal(1.0), 1, "a", 8);
        assert_eq!(base, draw(Init::Normal(1.0), 1, "a", 8));
        assert_ne!(base, draw(Init::Normal(1.0), 1, "b", 8));
        assert_ne!(base, draw(Init::Normal(1.0), 2, "a", 8));
    }

    /// 3 filters of 2 channels: two that pass their channel on, and a random one.
    #[test]
    fn the_first_filters_are_the_identity() {
        let shape = [3, 2, 3, 3];
        let init = Init::part_identity(&shape);
        assert_eq!(init, Init::PartIdentity(1.0 / 18f64.sqrt()));
        let filters = init.tensor(1, "w", &shape, DType::F32, &Device::Cpu).unwrap().reshape((6, 9)).unwrap();
        let filters = filters.to_vec2::<f32>().unwrap();
        let one = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(filters[..4], [one, [0.0; 9], [0.0; 9], one]);
        assert!(filters[4..].concat().iter().all(|value| *value != 0.0 && value.abs() <= 1.0 / 18f32.sqrt()));
    }

    #[test]
    fn he_initialisation_has_the_variance_it_names() {
        let shape = [64, 32, 3, 3];
        let values =
            Init::he_fan_out(&shape).tensor(7, "w", &shape, DType::F32, &Device::Cpu).unwrap().flatten_all().unwrap();
        let values = values.to_vec1::<f32>().unwrap();
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n - mean * mean;
        let expected = 2.0 / (64.0 * 9.0);
        // Five standard errors of a variance estimated from 18,432 normal draws.
        assert!((variance / expected - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{variance} against {expected}");
        assert!(mean.abs() < 5.0 * (expected / n).sqrt(), "{mean}");
    }

    #[test]
    fn linear_initialisation_stays_within_its_bound() {
        let values = draw(Init::linear(16), 3, "fc.weight", 4096);
        assert!(values.iter().all(|v| v.abs() <= 0.25));
        assert!(values.iter().any(|v| *v > 0.24) && values.iter().any(|v| *v < -0.24));
    }
}
