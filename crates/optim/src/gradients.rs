//! Gradient processing before an update: clipping and a check for NaN and infinity.

use crate::error::positive;
use crate::kernel::{CHUNK, Preparation, vectorised};
use crate::parameter::Parameter;
use crate::ready::Ready;
use crate::select::select;
use crate::slices::Element;
use crate::{Error, Result};
use candle_core::{DType, Device, Storage, Tensor};
use rayon::prelude::*;

/// Gradient processing, part of every configuration.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `clip` | `None` | [`Clip`] |
/// | `check_finite` | false | report a NaN or an infinity as [`Error::NonFiniteGradient`] with the parameter's name, and change nothing |
///
/// Clipping never waits for the device. The check waits once per step, and again only to find the name.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Clip, Gradients, Optimizer, Sgd, SgdConfig};
///
/// let w = Var::new(&[0f64, 0.0], &Device::Cpu)?;
/// let gradients = Gradients { clip: Some(Clip::GlobalNorm(1.0)), ..Gradients::default() };
/// let config = SgdConfig { learning_rate: 1.0, gradients, ..SgdConfig::default() };
/// let mut sgd = Sgd::new(vec![("w".into(), w.clone())], config)?;
/// let slope = candle_core::Tensor::new(&[3f64, 4.0], &Device::Cpu)?;
/// sgd.step(&(w.as_tensor() * slope)?.sum_all()?.backward()?)?;
/// assert!((w.to_vec1::<f64>()?[0] + 0.6).abs() < 1e-6);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Gradients {
    /// Clipping.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub clip: Option<Clip>,
    /// Report NaN and infinity.
    pub check_finite: bool,
}

/// Gradient clipping; the limit must be above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Clip {
    /// Multiplies all gradients by `min(1, limit / (norm + 1e-6))`, where `norm` is their joint Euclidean norm, as PyTorch's
    /// `clip_grad_norm_` does. Parameters without a gradient do not count.
    #[doc(alias = "clip_grad_norm_")]
    GlobalNorm(f64),
    /// Clamps every element to `[-limit, limit]`.
    #[doc(alias = "clip_grad_value_")]
    Value(f64),
}

/// The processing that all gradients of a step go through.
pub(crate) struct Treatment {
    scale: Scale,
    limit: f64,
}

enum Scale {
    Number(f64),
    /// Kept on the device, so that nothing waits.
    Tensor(Tensor),
}

impl Gradients {
    pub(crate) fn validate(self) -> Result<()> {
        match self.clip {
            Some(Clip::GlobalNorm(limit) | Clip::Value(limit)) => positive("clip", limit),
            None => Ok(()),
        }
    }

    /// Measures the gradients as far as the options require.
    pub(crate) fn treat(self, ready: &[Ready], parameters: &[Parameter]) -> Result<Treatment> {
        let limit = if let Some(Clip::Value(limit)) = self.clip { limit } else { f64::INFINITY };
        let max_norm = if let Some(Clip::GlobalNorm(limit)) = self.clip { Some(limit) } else { None };
        let mut scale = Scale::Number(1.0);
        if max_norm.is_some() || self.check_finite {
            let squares = SumOfSquares::of(ready)?;
            if self.check_finite && !squares.to_f64()?.is_finite() {
                for r in ready {
                    // Finite gradients can overflow the sum, so check their elements.
                    if !all_finite(&r.gradient)? {
                        return Err(Error::NonFiniteGradient { name: parameters[r.index].name().to_string() });
                    }
                }
            }
            if let Some(limit) = max_norm {
                scale = squares.clip_scale(limit)?;
            }
        }
        Ok(Treatment { scale, limit })
    }
}

impl Treatment {
    /// For the fused loop.
    pub(crate) fn preparation<T: Element>(&self) -> Result<Preparation<T>> {
        let scale = match &self.scale {
            Scale::Number(scale) => *scale,
            Scale::Tensor(tensor) => f64::from(tensor.to_scalar::<f32>()?),
        };
        Ok(Preparation { scale: T::from_f64(scale), limit: T::from_f64(self.limit) })
    }

    /// For the launch: a scale on the device stays there.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(&self) -> crate::cuda::Preparation<'_> {
        let (scale, scale_on_device) = match &self.scale {
            Scale::Number(scale) => (*scale as f32, None),
            Scale::Tensor(tensor) => (1.0, Some(tensor)),
        };
        crate::cuda::Preparation { scale, scale_on_device, limit: self.limit as f32 }
    }

    /// For plain tensor operations.
    pub(crate) fn apply(&self, gradient: &Tensor) -> Result<Tensor> {
        let scaled = match &self.scale {
            Scale::Number(scale) if *scale == 1.0 => gradient.clone(),
            Scale::Number(scale) => (gradient * *scale)?,
            Scale::Tensor(scale) => {
                gradient.broadcast_mul(&scale.to_device(gradient.device())?.to_dtype(gradient.dtype())?)?
            }
        };
        if self.limit.is_finite() { clamped(&scaled, self.limit) } else { Ok(scaled) }
    }
}

/// Clamped to `[-limit, limit]`, written so that a NaN stays a NaN: `clamp` of a GPU makes it a number.
fn clamped(tensor: &Tensor, limit: f64) -> Result<Tensor> {
    let limits = (tensor.ones_like()? * limit)?;
    let below = select(&tensor.gt(&limits)?, &limits, tensor)?;
    let limits = limits.neg()?;
    Ok(select(&below.lt(&limits)?, &limits, &below)?)
}

/// `min(scale, 1)`, written so that a NaN norm gives a NaN scale, as in PyTorch: nothing passes unclipped. `minimum` of a GPU would give 1.
fn at_most_one(scale: &Tensor) -> Result<Tensor> {
    let one = scale.ones_like()?;
    Ok(select(&scale.gt(&one)?, &one, scale)?)
}

/// The squared norm: a number for gradients on the CPU, a scalar tensor for gradients on a device.
struct SumOfSquares {
    host: f64,
    device: Option<Tensor>,
}

impl SumOfSquares {
    fn of(ready: &[Ready]) -> Result<Self> {
        let mut host = 0.0;
        let mut device: Option<Tensor> = None;
        for r in ready {
            if r.gradient.device().is_cpu() {
                host += with_elements(&r.gradient, sum_of_squares::<f32>, sum_of_squares::<f64>)?;
            } else {
                let sum = r.gradient.to_dtype(DType::F32)?.sqr()?.sum_all()?;
                device = Some(match device {
                    Some(total) => (total.to_device(sum.device())? + sum)?,
                    None => sum,
                });
            }
        }
        Ok(Self { host, device })
    }

    fn to_f64(&self) -> Result<f64> {
        let device = self.device.as_ref().map_or(Ok(0.0), |t| t.to_scalar::<f32>())?;
        Ok(self.host + f64::from(device))
    }

    fn clip_scale(&self, limit: f64) -> Result<Scale> {
        Ok(match &self.device {
            None => {
                let scale = limit / (self.host.sqrt() + 1e-6);
                // As `at_most_one`.
                Scale::Number(if scale > 1.0 { 1.0 } else { scale })
            }
            Some(sum) => {
                let norm = (sum + self.host)?.sqrt()?;
                Scale::Tensor(at_most_one(&((norm + 1e-6)?.recip()? * limit)?)?)
            }
        })
    }
}

/// The sum over fixed chunks, added in order: the bits do not depend on the number of threads.
fn sum_of_squares<T: Element>(elements: &[T]) -> f64 {
    if elements.len() <= 2 * CHUNK {
        return elements.chunks(CHUNK).map(chunk_sum_of_squares).sum();
    }
    elements.par_chunks(CHUNK).map(chunk_sum_of_squares).collect::<Vec<_>>().iter().sum()
}

fn chunk_sum_of_squares<T: Element>(chunk: &[T]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            // Parallel sums, since a single sum would be one long chain of additions.
            let mut sums = [0f64; 32];
            let (groups, rest) = chunk.as_chunks::<32>();
            for group in groups {
                for (sum, x) in sums.iter_mut().zip(group) {
                    *sum += x.to_f64() * x.to_f64();
                }
            }
            sums.iter().sum::<f64>() + rest.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>()
        },
    )
}

/// The squared Euclidean norm of a contiguous f32 or f64 tensor, on the host.
pub(crate) fn squared_norm(tensor: &Tensor) -> Result<f64> {
    with_elements(&tensor.to_device(&Device::Cpu)?, sum_of_squares::<f32>, sum_of_squares::<f64>)
}

fn all_finite(gradient: &Tensor) -> Result<bool> {
    let gradient = gradient.to_device(&Device::Cpu)?;
    let sum = with_elements(&gradient, finite_or_nan, finite_or_nan)?;
    Ok(sum == 0.0)
}

fn finite_or_nan<T: Element>(elements: &[T]) -> f64 {
    if elements.iter().all(|x| x.to_f64().is_finite()) { 0.0 } else { f64::NAN }
}

fn with_elements(gradient: &Tensor, f: impl Fn(&[f32]) -> f64, d: impl Fn(&[f64]) -> f64) -> Result<f64> {
    let (storage, layout) = gradient.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(candle_core::Error::Msg("a prepared gradient is not contiguous on CPU".into()).into());
    };
    if let Some(elements) = f32::slice(storage) {
        return Ok(f(&elements[start..end]));
    }
    match f64::slice(storage) {
        Some(elements) => Ok(d(&elements[start..end])),
        None => Err(candle_core::Error::Msg("a prepared gradient is not f32 or f64".into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_squares_are_right_around_chunks_and_the_same_on_any_number_of_threads() {
        assert_eq!(CHUNK, 65_536, "the sizes in tests/gradients.rs are around it");
        let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        let (one, three) = (threads(1), threads(3));
        for len in [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK + 7] {
            // 0, 1, 2 and so on: whole numbers, whose sums are exact in any order.
            let whole: Vec<f32> = (0..len).map(|i| (i % 3) as f32).collect();
            let expected: usize = (0..len).map(|i| (i % 3).pow(2)).sum();
            assert_eq!(three.install(|| sum_of_squares(&whole)), expected as f64, "{len}");
            // Rounded sums: in the order of the chunks.
            let rounded: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
            let in_order: f64 = rounded.chunks(CHUNK).map(chunk_sum_of_squares).sum();
            for pool in [&one, &three] {
                assert_eq!(pool.install(|| sum_of_squares(&rounded)).to_bits(), in_order.to_bits(), "{len}");
            }
        }
    }

    /// On the CPU, candle's own functions would keep the NaN too.
    #[test]
    fn tensors_are_limited_and_a_nan_stays_one() {
        let tensor = Tensor::new(&[-3f64, -0.5, 0.5, 3.0, f64::NAN], &Device::Cpu).unwrap();
        let check = |limited: Result<Tensor>, expected: [f64; 4]| {
            let values = limited.unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(values[..4], expected);
            assert!(values[4].is_nan(), "{values:?}");
        };
        check(clamped(&tensor, 1.0), [-1.0, -0.5, 0.5, 1.0]);
        check(at_most_one(&tensor), [-3.0, -0.5, 0.5, 1.0]);
    }
}
