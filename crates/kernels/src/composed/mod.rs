//! The operations composed of candle's, for Metal: correct, not fast.
//!
//! candle's convolution and pooling are not used, since this crate replaces their gradients. A convolution is one matrix
//! product over gathered windows, with contiguous operands. The code does not depend on the device; the tests compare it
//! with the CPU kernels.
#![cfg_attr(not(any(feature = "metal", test)), allow(dead_code, reason = "of these CUDA uses the sequences alone"))]

mod sequences;

use candle_core::{Result, Tensor};

use crate::plan::{
    BlockPlan, ConvShape, Input, LayerPlan, NormPlan, PlainPlan, PoolShape, RowNormPlan, Shortcut, TANH_CUBE,
    TANH_SCALE, Window,
};
use crate::{Activation, BatchNorm, Mode};

pub(crate) use sequences::{embedding, linear, lstm, masked};

/// [`conv2d`](crate::conv2d()) of checked, contiguous arguments.
///
/// A batch of matrix products, one per group.
pub(crate) fn conv2d(shape: ConvShape, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (padding, dilation) = (shape.window.padding, shape.window.dilation);
    let x = x.pad_with_zeros(1, padding, padding)?.pad_with_zeros(2, padding, padding)?;
    let (rows, columns) = shape.output;
    let (groups, inputs, outputs) = (shape.groups, shape.group_inputs(), shape.group_outputs());
    let pixels = shape.batch * rows * columns;
    let taps = taps(shape.window, |r, s| {
        let stride = shape.window.stride;
        let (rows, columns) = (steps(r * dilation, rows, stride), steps(s * dilation, columns, stride));
        picked(&x, rows, columns)?.reshape((pixels, groups, inputs))
    })?;
    let windows = Tensor::cat(&taps, 2)?.transpose(0, 1)?.contiguous()?;
    let filters = weight.reshape((groups, outputs, inputs, shape.taps()))?.permute((0, 3, 2, 1))?.contiguous()?;
    let y = windows.matmul(&filters.reshape((groups, shape.taps() * inputs, outputs))?)?;
    let y = y.transpose(0, 1)?.contiguous()?.reshape((shape.batch, rows, columns, shape.channels_out))?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// Batch norm of checked, contiguous arguments, alone or after a convolution; training updates the running statistics.
pub(crate) fn batch_norm(x: &Tensor, residual: Option<&Tensor>, plan: NormPlan) -> Result<Tensor> {
    let NormPlan { input, norm, after, mode, .. } = plan;
    let x = match &input {
        Input::Given => x.clone(),
        Input::Convolved(shape, weight) => conv2d(*shape, x, weight, None)?,
    };
    let channels = norm.weight.elem_count();
    let matrix = x.reshape(((), channels))?;
    let (centred, variance) = match mode {
        Mode::Train | Mode::BatchOnly => {
            let mean = matrix.mean_keepdim(0)?;
            let centred = matrix.broadcast_sub(&mean)?;
            let variance = centred.sqr()?.mean_keepdim(0)?;
            let count = matrix.dim(0)? as f64;
            if mode == Mode::Train {
                move_towards(&norm, &norm.running_mean, &mean.detach())?;
                move_towards(&norm, &norm.running_var, &(variance.detach() * (count / (count - 1.0)))?)?;
            }
            (centred, variance)
        }
        Mode::Eval => {
            let centred = matrix.broadcast_sub(&norm.running_mean.as_detached_tensor())?;
            (centred, norm.running_var.as_detached_tensor().reshape((1, channels))?)
        }
    };
    let scale = (variance + norm.eps)?.sqrt()?.recip()?.broadcast_mul(&norm.weight)?;
    let y = centred.broadcast_mul(&scale)?.broadcast_add(&norm.bias)?.reshape(x.shape())?;
    let y = match residual {
        Some(residual) => (y + residual)?,
        None => y,
    };
    match after {
        Some(after) => activate(&y, after),
        None => Ok(y),
    }
}

fn move_towards(norm: &BatchNorm, running: &candle_core::Var, batch: &Tensor) -> Result<()> {
    let before = running.as_detached_tensor();
    let moved = ((&before * (1.0 - norm.momentum))? + (batch.reshape(before.shape())? * norm.momentum)?)?;
    running.set(&moved)
}

/// Checked residual blocks of a contiguous input.
pub(crate) fn residual_blocks(
    x: &Tensor,
    plans: Vec<BlockPlan>,
    _: (usize, usize, usize, usize),
    mode: Mode,
) -> Result<Tensor> {
    let layer = |x: &Tensor, plan: LayerPlan, residual: Option<&Tensor>, after: Option<Activation>| {
        let LayerPlan { shape, weight, norm } = plan;
        let output = shape.output_extents();
        let input = Input::Convolved(shape, weight);
        batch_norm(x, residual, NormPlan { op: "residual_blocks", input, output, norm, after, mode })
    };
    let mut x = x.clone();
    for BlockPlan { path, shortcut } in plans {
        let residual = match shortcut {
            Shortcut::Nothing => None,
            Shortcut::Identity => Some(x.clone()),
            Shortcut::Projection(plan) => Some(layer(&x, plan, None, None)?),
        };
        let count = path.len();
        for (index, plan) in path.into_iter().enumerate() {
            let residual = residual.as_ref().filter(|_| index + 1 == count);
            x = layer(&x, plan, residual, Some(Activation::Relu))?;
        }
    }
    Ok(x)
}

/// Checked layers without shortcuts, of a contiguous input.
pub(crate) fn plain_network(x: &Tensor, plans: Vec<PlainPlan>, mode: Mode) -> Result<Tensor> {
    plans.into_iter().try_fold(x.clone(), |x, plan| {
        let output = plan.output_extents();
        let PlainPlan { shape, weight, bias, pool, norm, after } = plan;
        let convolved = conv2d(shape, &x, &weight, bias.as_ref())?;
        let pooled = match pool {
            Some(pool) => max_pool(pool, &convolved)?,
            None => convolved,
        };
        match (norm, after) {
            (Some(norm), after) => {
                let plan = NormPlan { op: "plain_network", input: Input::Given, output, norm, after, mode };
                batch_norm(&pooled, None, plan)
            }
            (None, Some(after)) => activate(&pooled, after),
            (None, None) => Ok(pooled),
        }
    })
}

/// `max(x, 0)` with the gradient 0 at 0.
pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    x.detach().le(&zeros)?.where_cond(&zeros, x)
}

/// A function of every element: `x` times a share between 0 and 1.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    // From here on, a share is 0 or 1. Infinity times its derivative would be NaN. NaN itself is not beyond.
    const BEYOND: f64 = 1000.0;
    let beyond = x.detach().abs()?.ge(BEYOND)?;
    let step = x.detach().gt(0.0)?.to_dtype(x.dtype())?;
    let within = beyond.where_cond(&x.zeros_like()?, x)?;
    let share = match activation {
        Activation::Relu => return relu(x),
        // candle has no `erfc`, so this cancels far below 0.
        Activation::Gelu => (((&within * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5)?,
        // (1 + tanh(a)) / 2 = 1 / (1 + e^-2a).
        Activation::GeluTanh => logistic(&((within.sqr()?.affine(TANH_CUBE, 1.0)? * &within)? * (2.0 * TANH_SCALE))?)?,
        Activation::Silu => logistic(&within)?,
    };
    beyond.where_cond(&(x * step)?, &(within * share)?)
}

/// `1 / (1 + e^-x)`, by the exponential that neither overflows nor cancels.
fn logistic(x: &Tensor) -> Result<Tensor> {
    let exponential = x.abs()?.neg()?.exp()?;
    let above = x.detach().ge(0.0)?.where_cond(&exponential.ones_like()?, &exponential)?;
    above / (exponential + 1.0)?
}

/// Layer norm or RMS norm of a checked, contiguous argument.
pub(crate) fn row_norm(x: &Tensor, plan: RowNormPlan) -> Result<Tensor> {
    let RowNormPlan { width, centred, weight, bias, eps, .. } = plan;
    let rows = x.reshape(((), width))?;
    let rows = if centred { rows.broadcast_sub(&rows.mean_keepdim(1)?)? } else { rows };
    let scale = (rows.sqr()?.mean_keepdim(1)? + eps)?.sqrt()?.recip()?;
    let mut y = rows.broadcast_mul(&scale)?;
    if let Some(weight) = weight {
        y = y.broadcast_mul(&weight.reshape((1, width))?)?;
    }
    if let Some(bias) = bias {
        y = y.broadcast_add(&bias.reshape((1, width))?)?;
    }
    y.reshape(x.shape())
}

/// The largest value of each window. Among equal elements the first one wins; NaN wins over everything, the last one
/// over others, as in PyTorch.
pub(crate) fn max_pool(shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    let window = shape.window;
    // Clamp indices to the edge: every such window covers it, so the maximum does not change.
    let within = |tap: usize, outputs: usize, extent: usize| -> Vec<u32> {
        let inner = |at: u32| (at as usize).saturating_sub(window.padding).min(extent - 1) as u32;
        steps(tap, outputs, window.stride).into_iter().map(inner).collect()
    };
    let taps = taps(window, |r, s| {
        picked(x, within(r, shape.output.0, shape.input.0), within(s, shape.output.1, shape.input.1))
    })?;
    let (first, others) = split_first(taps)?;
    // Not by candle's argmax, which passes over a NaN behind a number.
    others.into_iter().try_fold(first, |best, tap| {
        let (now, next) = (best.detach(), tap.detach());
        // A NaN is greater than nothing and differs from itself: at most one of the two is 1.
        let wins = (next.gt(&now)? + next.ne(&next)?)?;
        wins.where_cond(&tap, &best)
    })
}

/// The mean of each window, including zeros of the padding.
pub(crate) fn avg_pool(_: &'static str, shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    let window = shape.window;
    if window.kernel == shape.input && window.padding == 0 {
        let pixels = shape.input.0 * shape.input.1;
        let mean = x.reshape((shape.batch, pixels, shape.channels))?.mean(1)?;
        return mean.reshape((shape.batch, 1, 1, shape.channels));
    }
    let x = x.pad_with_zeros(1, window.padding, window.padding)?.pad_with_zeros(2, window.padding, window.padding)?;
    let taps = taps(window, |r, s| {
        picked(&x, steps(r, shape.output.0, window.stride), steps(s, shape.output.1, window.stride))
    })?;
    let share = 1.0 / (window.kernel.0 * window.kernel.1) as f64;
    let (first, others) = split_first(taps)?;
    others.into_iter().try_fold(first, |sum, tap| sum + tap)? * share
}

/// Mean cross-entropy against (N, K) weights.
pub(crate) fn cross_entropy(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let spread = (targets.sum_keepdim(1)? * (smoothing / classes as f64))?;
    let targets = (targets * (1.0 - smoothing))?.broadcast_add(&spread)?;
    let centred = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    let normaliser = centred.exp()?.sum_keepdim(1)?.log()?;
    let losses = normaliser.broadcast_sub(&centred)?;
    // A class without weight adds nothing, even where its logit is minus infinity, and 0 times its loss NaN.
    let losses = (targets.eq(0.0)?.where_cond(&losses.zeros_like()?, &losses)? * targets)?;
    losses.sum_all()? * (1.0 / rows as f64)
}

/// Mean cross-entropy against class indices. They are not checked, which would wait for the device; an index out of range
/// makes the loss NaN, and the gradient of its row.
pub(crate) fn cross_entropy_indices(logits: &Tensor, indices: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let numbers = Tensor::arange(0, classes as u32, logits.device())?.reshape((1, classes))?;
    let targets = indices.detach().reshape((rows, 1))?.broadcast_eq(&numbers)?.to_dtype(logits.dtype())?;
    let known = indices.detach().lt(classes as u32)?.reshape((rows, 1))?.broadcast_as((rows, classes))?;
    let unknown = Tensor::new(f32::NAN, logits.device())?.to_dtype(logits.dtype())?.broadcast_as((rows, classes))?;
    cross_entropy(logits, &known.where_cond(&targets, &unknown)?, smoothing)
}

/// `f` of every position in the window, in reading order.
fn taps(window: Window, f: impl Fn(usize, usize) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let (height, width) = window.kernel;
    (0..height).flat_map(|r| (0..width).map(move |s| (r, s))).map(|(r, s)| f(r, s)).collect()
}

/// The first position of a window, and the others.
fn split_first(taps: Vec<Tensor>) -> Result<(Tensor, Vec<Tensor>)> {
    let mut taps = taps.into_iter();
    let first = taps.next().ok_or_else(|| candle_core::Error::msg("a window without elements"))?;
    Ok((first, taps.collect()))
}

/// The index of position `tap` in each window.
fn steps(tap: usize, outputs: usize, stride: usize) -> Vec<u32> {
    (0..outputs).map(|at| (tap + at * stride) as u32).collect()
}

/// The given rows and columns of (N, H, W, C).
fn picked(x: &Tensor, rows: Vec<u32>, columns: Vec<u32>) -> Result<Tensor> {
    let numbers = |list: Vec<u32>| {
        let len = list.len();
        Tensor::from_vec(list, len, x.device())
    };
    x.index_select(&numbers(rows)?, 1)?.index_select(&numbers(columns)?, 2)
}

#[cfg(test)]
mod tests;
