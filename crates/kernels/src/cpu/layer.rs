//! Forward and backward passes of convolutions and normalised layers, shared by the graph nodes that contain them.

use candle_core::{DType, Result, Tensor, WithDType};
use rayon::prelude::*;

use crate::cpu::batch_norm::{Affine, GradientTerms, Mask, Sums};
use crate::cpu::choose::Kernels;
use crate::cpu::conv::Epilogue;
use crate::cpu::element::Element;
use crate::cpu::memory::{Buffer, Place, Values};
use crate::cpu::run;
use crate::cpu::tensors::{tensor, with_weight};
use crate::plan::ConvShape;
use crate::{Activation, BatchNorm, Mode};

/// The statistics that a forward pass normalised with, kept for the backward pass.
pub(crate) struct Statistics<T: Element> {
    affine: Affine<T::Accumulator>,
    after: Option<Activation>,
    /// The bits of the rectifier's mask, if a residual was added before it.
    mask: Option<Values<u8>>,
    /// One over the root of variance plus eps.
    reciprocal: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// Values of a channel in the batch.
    count: usize,
    mode: Mode,
}

/// The convolution of `x`.
pub(crate) fn convolve<T: Kernels>(shape: &ConvShape, x: &[T], weight: &Tensor, place: Place) -> Result<Values<T>> {
    with_weight::<T, _>(weight, |weight| Ok(run::conv2d_forward(shape, x, weight, Epilogue::NONE, place)))
}

/// Whether [`convolve_normalised`] may replace a convolution and its batch norm: the statistics are constants, no backward
/// pass needs what lies between the two, and a rectifier or nothing follows.
pub(crate) fn folds(mode: Mode, tracked: bool, after: Option<Activation>) -> bool {
    mode == Mode::Eval && !tracked && matches!(after, None | Some(Activation::Relu))
}

/// The convolution of `x`, its batch norm with the running statistics, the residual and a rectifier if there is an `after`,
/// as one convolution: batch norm's factors are multiplied into the filters, and the rest of it is a bias.
pub(crate) fn convolve_normalised<T: Kernels>(
    shape: &ConvShape,
    x: &[T],
    (weight, norm): (&Tensor, &BatchNorm),
    residual: Option<&[T]>,
    after: Option<Activation>,
    place: Place,
) -> Result<Values<T>> {
    let (mean, variance) = (doubles(&norm.running_mean)?, doubles(&norm.running_var)?);
    let scale = scales(norm, &reciprocals(norm, &variance))?;
    let shift = doubles(&norm.bias)?.into_iter().zip(mean.iter().zip(&scale));
    let bias: Vec<T::Accumulator> = rounded(shift.map(|(shift, (mean, scale))| shift - mean * scale));
    with_weight::<T, _>(weight, |weight| {
        let filter = (weight.len() / scale.len()).max(1);
        let mut folded = Buffer::<T::Accumulator>::take(weight.len());
        folded.par_chunks_mut(filter).zip(weight.par_chunks(filter)).zip(&scale).for_each(
            |((folded, filter), scale)| {
                for (folded, weight) in folded.iter_mut().zip(filter) {
                    *folded = T::Accumulator::from_f64(weight.to_f64() * scale);
                }
            },
        );
        let epilogue = Epilogue { bias: Some(&bias), residual, relu: after.is_some() };
        Ok(run::conv2d_forward(shape, x, &folded, epilogue, place))
    })
}

/// The gradient of a convolution's input.
pub(crate) fn input_gradient<T: Kernels>(
    shape: &ConvShape,
    dy: &[T],
    weight: &Tensor,
    place: Place,
) -> Result<Values<T>> {
    with_weight::<T, _>(weight, |weight| Ok(run::conv2d_backward_data(shape, dy, weight, place)))
}

/// The same, added to `dx`.
pub(crate) fn add_input_gradient<T: Kernels>(shape: &ConvShape, dy: &[T], weight: &Tensor, dx: &mut [T]) -> Result<()> {
    with_weight::<T, _>(weight, |weight| {
        run::add_conv2d_backward_data(shape, dy, weight, dx);
        Ok(())
    })
}

/// The gradient of a convolution's weight; `None` if it is not tracked.
pub(crate) fn weight_gradient<T: Kernels>(
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    weight: &Tensor,
) -> Result<Option<Tensor>> {
    if !weight.track_op() {
        return Ok(None);
    }
    let dw = run::conv2d_backward_weight(shape, x, dy);
    tensor(dw, weight.shape()).to_dtype(weight.dtype()).map(Some)
}

/// The gradient of a bias, `None` if it is not tracked: the sum over all pixels, by the kernel of batch norm's
/// gradient.
pub(crate) fn bias_gradient<T: Kernels>(dy: &[T], bias: &Tensor) -> Result<Option<Tensor>> {
    if !bias.track_op() {
        return Ok(None);
    }
    let channels = bias.elem_count();
    let sums = T::gradient_sums(dy, &vec![T::zero().widen(); channels], Mask::Open, dy);
    tensor(rounded::<T::Accumulator>(sums.first.into_iter()), channels).to_dtype(bias.dtype()).map(Some)
}

/// Normalises `x`, adds the residual and applies `after`; `keep` means that a backward pass may follow.
pub(crate) fn normalise<T: Kernels>(
    norm: &BatchNorm,
    mode: Mode,
    x: &[T],
    residual: Option<&[T]>,
    after: Option<Activation>,
    place: Place,
    keep: bool,
) -> Result<(Values<T>, Statistics<T>)> {
    let channels = norm.weight.elem_count();
    let (mean, variance) = match mode {
        Mode::Train | Mode::BatchOnly => {
            let moments = T::moments(x, channels);
            (moments.mean, moments.variance)
        }
        Mode::Eval => (doubles(&norm.running_mean)?, doubles(&norm.running_var)?),
    };
    let reciprocal = reciprocals(norm, &variance);
    let affine = Affine {
        center: rounded(mean.iter().copied()),
        scale: rounded(scales(norm, &reciprocal)?.into_iter()),
        shift: rounded(doubles(&norm.bias)?.into_iter()),
    };
    let keep_mask = keep && after.is_some() && residual.is_some();
    let (y, mask) = run::normalise(x, &affine, residual, after, place, keep_mask);
    let count = x.len() / channels;
    Ok((y, Statistics { affine, after, mask, reciprocal, mean, variance, count, mode }))
}

/// The gradients of a normalised layer.
pub(crate) struct NormGradients<T: Element> {
    pub(crate) scale: Tensor,
    pub(crate) bias: Tensor,
    /// Gradient of the layer's input.
    pub(crate) input: Values<T>,
    /// Gradient of the residual: `dy` where the rectifier was open.
    pub(crate) residual: Option<Values<T>>,
}

/// Computes the gradients of a normalised layer.
pub(crate) fn normalise_backward<T: Kernels>(
    norm: &BatchNorm,
    statistics: &Statistics<T>,
    x: &[T],
    dy: &[T],
    place: Place,
    residual: Option<Place>,
) -> Result<NormGradients<T>> {
    let mask = match &statistics.mask {
        Some(bits) => Mask::Bits(bits),
        None => statistics.after.map_or(Mask::Open, |after| Mask::Through(after, &statistics.affine)),
    };
    let sums = T::gradient_sums(x, &statistics.affine.center, mask, dy);
    let channels = sums.first.len();
    let bias: Vec<T::Accumulator> = rounded(sums.first.iter().copied());
    let scale: Vec<T::Accumulator> = rounded(sums.second.iter().zip(&statistics.reciprocal).map(|(sum, r)| sum * r));
    let terms = statistics.gradient_terms(norm, &sums)?;
    let (input, residual) = run::normalise_backward(x, &terms, mask, dy, place, residual);
    let scale = tensor(scale, channels).to_dtype(norm.weight.dtype())?;
    Ok(NormGradients { scale, bias: tensor(bias, channels).to_dtype(norm.bias.dtype())?, input, residual })
}

impl<T: Element> Statistics<T> {
    /// With `g` the masked gradient, `s = weight * reciprocal`, means over the batch and `h = (x - mean) * reciprocal`:
    /// `dx = s * (g - mean(g) - h * mean(g * h))`; running statistics are constants, so then `dx = s * g`.
    fn gradient_terms(&self, norm: &BatchNorm, sums: &Sums) -> Result<GradientTerms<T::Accumulator>> {
        let (plain, centred) = (&sums.first, &sums.second);
        let scale = scales(norm, &self.reciprocal)?;
        // With constant statistics, a NaN sum must not spread over its channel.
        let mean = |sum: f64| if self.mode.uses_batch() { sum / self.count as f64 } else { 0.0 };
        let slope = (0..scale.len()).map(|c| -scale[c] * self.reciprocal[c].powi(2) * mean(centred[c]));
        let offset = (0..scale.len()).map(|c| -scale[c] * mean(plain[c]));
        Ok(GradientTerms {
            center: self.affine.center.clone(),
            slope: rounded(slope),
            offset: rounded(offset),
            scale: rounded(scale.iter().copied()),
        })
    }

    /// After a training pass: `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance.
    pub(crate) fn update_running(&self, norm: &BatchNorm) -> Result<()> {
        if self.mode != Mode::Train {
            return Ok(());
        }
        let unbiased = self.count as f64 / (self.count as f64 - 1.0);
        let mix = |running: &candle_core::Var, batch: &[f64], factor: f64| {
            let before = doubles(running)?;
            let mixed = before.iter().zip(batch).map(|(r, b)| (1.0 - norm.momentum) * r + norm.momentum * factor * b);
            let mixed: Vec<T::Accumulator> = rounded(mixed);
            running.set(&tensor(mixed, batch.len()).to_dtype(running.dtype())?)
        };
        mix(&norm.running_mean, &self.mean, 1.0)?;
        mix(&norm.running_var, &self.variance, unbiased)
    }
}

/// One over the root of variance plus eps, per channel.
fn reciprocals(norm: &BatchNorm, variance: &[f64]) -> Vec<f64> {
    variance.iter().map(|variance| 1.0 / (variance + norm.eps).sqrt()).collect()
}

/// The factor on each channel: its weight over its deviation.
fn scales(norm: &BatchNorm, reciprocal: &[f64]) -> Result<Vec<f64>> {
    Ok(doubles(&norm.weight)?.iter().zip(reciprocal).map(|(weight, reciprocal)| weight * reciprocal).collect())
}

fn rounded<T: Element>(values: impl Iterator<Item = f64>) -> Vec<T> {
    values.map(T::from_f64).collect()
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.to_vec1::<f64>()
}
