//! What a normalised layer does forward and backward, apart from any graph: shared by the nodes that contain such layers.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};

use crate::conv2d::weight_gradient;
use crate::element::{Affine, Element, GradientTerms, tensor, with_weight};
use crate::geometry::ConvShape;
use crate::workspace::Buffer;
use crate::{BatchNorm, Mode, memory};

/// The statistics a forward pass normalised with, kept for the backward pass.
pub(crate) struct Statistics<T: Element> {
    center: Vec<T::Accumulator>,
    /// One over the root of variance plus eps.
    reciprocal: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// Values of a channel in the batch.
    count: usize,
    mode: Mode,
}

/// Convolves `x` into memory of the workspace.
pub(crate) fn convolve<T: Element>(shape: &ConvShape, x: &[T], weight: &Tensor) -> Result<Buffer<T>> {
    let mut convolved = Buffer::take(shape.y_len());
    with_weight::<T, _>(weight, |weight| {
        T::conv2d_forward(shape, x, weight, memory::as_output(&mut convolved));
        Ok(())
    })?;
    Ok(convolved)
}

/// Normalises `x` into `y`, adds and cuts.
pub(crate) fn normalise<T: Element>(
    norm: &BatchNorm,
    mode: Mode,
    x: &[T],
    residual: Option<&[T]>,
    relu: bool,
    y: &mut [MaybeUninit<T>],
) -> Result<Statistics<T>> {
    let weight = doubles(&norm.weight)?;
    let (mean, variance) = match mode {
        Mode::Train => {
            let moments = T::moments(x, weight.len());
            (moments.mean, moments.variance)
        }
        Mode::Eval => (doubles(&norm.running_mean)?, doubles(&norm.running_var)?),
    };
    let reciprocal: Vec<f64> = variance.iter().map(|variance| 1.0 / (variance + norm.eps).sqrt()).collect();
    let center: Vec<T::Accumulator> = rounded(mean.iter().copied());
    let affine = Affine {
        scale: rounded(reciprocal.iter().zip(&weight).map(|(reciprocal, weight)| reciprocal * weight)),
        shift: rounded(doubles(&norm.bias)?.into_iter()),
        center: center.clone(),
    };
    T::normalise(x, &affine, residual, relu, y);
    Ok(Statistics { center, reciprocal, mean, variance, count: x.len() / weight.len(), mode })
}

/// The gradients of scale and shift; `x`'s gradient goes to `dx`, the cut `dy` to `residual`.
///
/// `y` is the layer's output if a rectifier ended it.
pub(crate) fn normalise_backward<T: Element>(
    norm: &BatchNorm,
    statistics: &Statistics<T>,
    x: &[T],
    y: Option<&[T]>,
    dy: &[T],
    dx: &mut [MaybeUninit<T>],
    residual: Option<&mut [MaybeUninit<T>]>,
) -> Result<(Tensor, Tensor)> {
    let (plain, centred) = T::gradient_sums(x, &statistics.center, y, dy);
    let channels = plain.len();
    let d_bias: Vec<T::Accumulator> = rounded(plain.iter().copied());
    let d_scale: Vec<T::Accumulator> = rounded(centred.iter().zip(&statistics.reciprocal).map(|(sum, r)| sum * r));
    let terms = statistics.gradient_terms(norm, &plain, &centred)?;
    T::normalise_backward(x, &terms, y, dy, dx, residual);
    let d_scale = tensor(d_scale, channels).to_dtype(norm.weight.dtype())?;
    Ok((d_scale, tensor(d_bias, channels).to_dtype(norm.bias.dtype())?))
}

impl<T: Element> Statistics<T> {
    /// With `g` the cut gradient, `s = weight * reciprocal`, means over the batch and `h = (x - mean) * reciprocal`:
    /// `dx = s * (g - mean(g) - h * mean(g * h))`; running statistics are constants, so then `dx = s * g`.
    fn gradient_terms(
        &self,
        norm: &BatchNorm,
        plain: &[f64],
        centred: &[f64],
    ) -> Result<GradientTerms<T::Accumulator>> {
        let scale: Vec<f64> = doubles(&norm.weight)?.iter().zip(&self.reciprocal).map(|(w, r)| w * r).collect();
        let batch = if self.mode == Mode::Train { 1.0 / self.count as f64 } else { 0.0 };
        let slope = (0..scale.len()).map(|c| -scale[c] * self.reciprocal[c].powi(2) * centred[c] * batch);
        let offset = (0..scale.len()).map(|c| -scale[c] * plain[c] * batch);
        Ok(GradientTerms {
            center: self.center.clone(),
            slope: rounded(slope),
            offset: rounded(offset),
            scale: rounded(scale.iter().copied()),
        })
    }

    /// After a training pass: `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance.
    pub(crate) fn update_running(&self, norm: &BatchNorm) -> Result<()> {
        if self.mode == Mode::Eval {
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

/// The weight gradient of a convolution, if anybody asks for it.
pub(crate) fn filters_gradient<T: Element>(
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    weight: &Tensor,
) -> Result<Option<Tensor>> {
    weight.track_op().then(|| weight_gradient(shape, x, dy, weight)).transpose()
}

fn rounded<T: Element>(values: impl Iterator<Item = f64>) -> Vec<T> {
    values.map(T::from_f64).collect()
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()
}
