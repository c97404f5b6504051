//! The operations in candle's own, for Metal: right first, not fast.
//!
//! candle's gradients of convolution and pooling are what this crate exists to replace, so none of them is used here. A
//! convolution is one matrix product over gathered windows, and every operand of every product is contiguous. None of this
//! knows its device; the tests compare it with the kernels of the CPU.

use candle_core::{D, Result, Tensor};

use crate::plan::{BlockPlan, ConvShape, Input, LayerPlan, NormPlan, PoolShape, RowNormPlan, Shortcut, Window};
use crate::{Activation, BatchNorm, Mode};

/// [`conv2d`](crate::conv2d()) of checked, contiguous arguments.
///
/// A batch of products, one a group.
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

/// Batch norm of checked, contiguous arguments, behind a convolution or alone; training moves the running statistics.
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

/// Residual blocks, checked, of a contiguous input.
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

/// `max(x, 0)` with the gradient 0 at 0.
pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    x.detach().le(&zeros)?.where_cond(&zeros, x)
}

/// A function of every element.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Relu => relu(x),
        Activation::Gelu => (x * ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?)? * 0.5,
        Activation::GeluTanh => {
            let argument = ((x * x)?.affine(0.044_715, 1.0)? * x)? * (2.0 / std::f64::consts::PI).sqrt();
            (x * (argument?.tanh()? + 1.0)?)? * 0.5
        }
        // By the tangent, which does not overflow: 1 / (1 + e^-x) = (1 + tanh(x / 2)) / 2.
        Activation::Silu => (x * ((x * 0.5)?.tanh()? + 1.0)?)? * 0.5,
    }
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

/// The largest of each window. Which of several equal elements gets the gradient is the device's choice.
pub(crate) fn max_pool(shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    let window = shape.window;
    // An index beyond the edge becomes that of the edge, which every such window covers: the largest stays the largest.
    let within = |tap: usize, outputs: usize, extent: usize| -> Vec<u32> {
        let inner = |at: u32| (at as usize).saturating_sub(window.padding).min(extent - 1) as u32;
        steps(tap, outputs, window.stride).into_iter().map(inner).collect()
    };
    let taps = taps(window, |r, s| {
        picked(x, within(r, shape.output.0, shape.input.0), within(s, shape.output.1, shape.input.1))
    })?;
    let taps = Tensor::stack(&taps, 4)?.contiguous()?;
    let winners = taps.detach().argmax_keepdim(D::Minus1)?;
    taps.gather(&winners, D::Minus1)?.squeeze(D::Minus1)
}

/// The mean of each window, zeros of the padding included.
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
    let mut taps = taps.into_iter();
    let first = taps.next().ok_or_else(|| candle_core::Error::msg("a window without elements"))?;
    taps.try_fold(first, |sum, tap| sum + tap)? * share
}

/// Mean cross-entropy against (N, K) weights.
pub(crate) fn cross_entropy(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let spread = (targets.sum_keepdim(1)? * (smoothing / classes as f64))?;
    let targets = (targets * (1.0 - smoothing))?.broadcast_add(&spread)?;
    let centred = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    let normaliser = centred.exp()?.sum_keepdim(1)?.log()?;
    let losses = (normaliser.broadcast_sub(&centred)? * targets)?;
    losses.sum_all()? * (1.0 / rows as f64)
}

/// The same against class numbers. Nobody waits to see whether they are classes; one that is none counts as no target.
pub(crate) fn cross_entropy_indices(logits: &Tensor, indices: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let numbers = Tensor::arange(0, classes as u32, logits.device())?.reshape((1, classes))?;
    let targets = indices.detach().reshape((rows, 1))?.broadcast_eq(&numbers)?.to_dtype(logits.dtype())?;
    cross_entropy(logits, &targets, smoothing)
}

/// `f` of every position in the window, in reading order.
fn taps(window: Window, f: impl Fn(usize, usize) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let (height, width) = window.kernel;
    (0..height).flat_map(|r| (0..width).map(move |s| (r, s))).map(|(r, s)| f(r, s)).collect()
}

/// Where position `tap` of each window stands.
fn steps(tap: usize, outputs: usize, stride: usize) -> Vec<u32> {
    (0..outputs).map(|at| (tap + at * stride) as u32).collect()
}

/// Those rows and columns of (N, H, W, C).
fn picked(x: &Tensor, rows: Vec<u32>, columns: Vec<u32>) -> Result<Tensor> {
    let numbers = |list: Vec<u32>| {
        let len = list.len();
        Tensor::from_vec(list, len, x.device())
    };
    x.index_select(&numbers(rows)?, 1)?.index_select(&numbers(columns)?, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{After, Conv2dOptions, ConvBatchNorm, ResidualBlock};
    use candle_core::{Device, Var};

    fn numbers(shape: impl Into<candle_core::Shape>, seed: u32) -> Var {
        let shape = shape.into();
        let values: Vec<f64> = (0..shape.elem_count() as u32)
            .map(|i| f64::from(i.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503_977) >> 8) / 8_388_608.0 - 1.0)
            .collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Values and gradients of the two, in f64.
    fn equal(name: &str, variables: &[&Var], composed: &Tensor, kernel: &Tensor) {
        let gap = |a: &Tensor, b: &Tensor| {
            (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap()
        };
        assert_eq!(composed.dims(), kernel.dims(), "{name}");
        assert!(gap(composed, kernel) < 1e-12, "{name}");
        let weights = numbers(kernel.shape().clone(), 99);
        let backward = |y: &Tensor| (y * weights.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let (composed, kernel) = (backward(composed), backward(kernel));
        for (index, variable) in variables.iter().enumerate() {
            let (a, b) = (composed.get(variable).unwrap(), kernel.get(variable).unwrap());
            assert!(gap(a, b) < 1e-12, "{name}: gradient {index} is off by {}", gap(a, b));
        }
    }

    fn layer(inputs: usize, outputs: usize, kernel: usize, stride: usize, seed: u32) -> (Var, ConvBatchNorm) {
        let weight = numbers((outputs, inputs, kernel, kernel), seed);
        let var = Var::from_tensor(&(numbers(outputs, seed + 3).as_tensor() + 1.5).unwrap()).unwrap();
        let (scale, shift) = (numbers(outputs, seed + 1), numbers(outputs, seed + 2));
        let norm =
            BatchNorm::new(scale.as_tensor().clone(), shift.as_tensor().clone(), numbers(outputs, seed + 4), var)
                .unwrap();
        let tensor = weight.as_tensor().clone();
        (weight, ConvBatchNorm { weight: tensor, stride, padding: kernel / 2, norm })
    }

    fn plan(x: (usize, usize, usize, usize), layer: &ConvBatchNorm) -> LayerPlan {
        let options = Conv2dOptions { stride: layer.stride, padding: layer.padding, ..Conv2dOptions::default() };
        let shape = crate::ops::extents::conv_shape("test", x, &layer.weight, options).unwrap();
        LayerPlan { shape, weight: layer.weight.clone(), norm: layer.norm.clone() }
    }

    #[test]
    fn convolutions_of_several_images() {
        for (kernel, stride, padding, dilation, groups) in
            [(3, 1, 1, 1, 1), (3, 2, 1, 1, 2), (1, 2, 0, 1, 4), (2, 3, 0, 2, 1), (3, 1, 2, 2, 4)]
        {
            let (x, bias) = (numbers((3, 7, 6, 4), 1), numbers(8, 3));
            let weight = numbers((8, 4 / groups, kernel, kernel), 2);
            let options = Conv2dOptions { stride, padding, dilation, groups };
            let shape = crate::ops::extents::conv_extents("test", &x, &weight, options).unwrap();
            let composed = conv2d(shape, &x, &weight, Some(&bias)).unwrap();
            let kernels = crate::conv2d_with(&x, &weight, Some(&bias), options).unwrap();
            equal("conv2d", &[&x, &weight, &bias], &composed, &kernels);
        }
    }

    #[test]
    fn batch_norm_and_what_follows_it() {
        let (x, residual) = (numbers((2, 5, 3, 4), 1), numbers((2, 5, 3, 4), 2));
        for mode in [Mode::Train, Mode::Eval] {
            for (with_residual, cut) in [(false, false), (false, true), (true, true)] {
                let ((_, one), (_, two)) = (layer(4, 4, 1, 1, 5), layer(4, 4, 1, 1, 5));
                let added = with_residual.then_some(residual.as_tensor());
                let output = (2, 5, 3, 4);
                let plan = NormPlan {
                    op: "test",
                    input: Input::Given,
                    output,
                    norm: one.norm.clone(),
                    after: cut.then_some(Activation::Relu),
                    mode,
                };
                let composed = batch_norm(&x, added, plan).unwrap();
                let after = match (with_residual, cut) {
                    (true, _) => After::AddRelu(&residual),
                    (_, true) => After::Relu,
                    _ => After::Nothing,
                };
                let kernel = crate::batch_norm(&x, &two.norm, after, mode).unwrap();
                equal("batch_norm", &[&x], &composed, &kernel);
                equal("running mean", &[], &one.norm.running_mean, &two.norm.running_mean);
                equal("running variance", &[], &one.norm.running_var, &two.norm.running_var);
            }
        }
    }

    #[test]
    fn blocks_with_a_shortcut() {
        let x = numbers((2, 6, 5, 3), 1);
        let parts = [layer(3, 4, 3, 2, 10), layer(4, 4, 3, 1, 20), layer(3, 4, 1, 2, 30)];
        let [first, second, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
        let plans = vec![BlockPlan {
            path: vec![plan((2, 6, 5, 3), &first), plan((2, 3, 3, 4), &second)],
            shortcut: Shortcut::Projection(plan((2, 6, 5, 3), &shortcut)),
        }];
        let composed = residual_blocks(&x, plans, (2, 3, 3, 4), Mode::Train).unwrap();
        let block = ResidualBlock { path: vec![first, second], shortcut: Some(shortcut) };
        let kernel = crate::residual_blocks(&x, &[block], Mode::Train).unwrap();
        equal("residual_blocks", &[&x, &parts[0].0, &parts[1].0, &parts[2].0], &composed, &kernel);
    }

    #[test]
    fn pools_with_padding_and_other_strides() {
        let x = numbers((2, 7, 6, 3), 1);
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1)] {
            let shape = crate::ops::extents::pool_extents("test", &x, kernel, stride, padding).unwrap();
            let kernels = crate::max_pool2d(&x, kernel, stride, padding).unwrap();
            equal("max_pool", &[&x], &max_pool(shape, &x).unwrap(), &kernels);
            let kernels = crate::avg_pool2d(&x, kernel, stride, padding).unwrap();
            equal("avg_pool", &[&x], &avg_pool("avg_pool2d", shape, &x).unwrap(), &kernels);
        }
        let window = Window::dense((7, 6), 1, 0);
        let shape = PoolShape { batch: 2, input: (7, 6), output: (1, 1), channels: 3, window };
        let composed = avg_pool("avg_pool2d", shape, &x).unwrap().reshape((2, 3)).unwrap();
        equal("global_avg_pool", &[&x], &composed, &crate::global_avg_pool(&x).unwrap());
    }

    #[test]
    fn the_rectifier_is_flat_at_zero() {
        let x = Var::new(&[-1f64, 0.0, 2.0, f64::INFINITY, f64::NEG_INFINITY], &Device::Cpu).unwrap();
        let y = relu(&x).unwrap();
        assert_eq!(y.to_vec1::<f64>().unwrap(), [0.0, 0.0, 2.0, f64::INFINITY, 0.0]);
        let gradients = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>().unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn activations_are_those_of_the_kernels() {
        let x = Var::from_tensor(&(numbers((7, 9), 1).as_tensor() * 5.0).unwrap()).unwrap();
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            let kernel = crate::activate(&x, activation).unwrap();
            equal("activate", &[&x], &activate(&x, activation).unwrap(), &kernel);
        }
    }

    #[test]
    fn norms_over_rows() {
        let (x, weight, bias) = (numbers((3, 4, 5), 1), numbers((4, 5), 2), numbers((4, 5), 3));
        let norm = crate::LayerNorm {
            weight: Some(weight.as_tensor().clone()),
            bias: Some(bias.as_tensor().clone()),
            axes: 2,
            ..Default::default()
        };
        let composed = row_norm(&x, RowNormPlan::of_layer("test", &x, &norm).unwrap()).unwrap();
        equal("layer_norm", &[&x, &weight, &bias], &composed, &crate::layer_norm(&x, &norm).unwrap());
        let norm = crate::RmsNorm::default();
        let composed = row_norm(&x, RowNormPlan::of_rms("test", &x, &norm).unwrap()).unwrap();
        equal("rms_norm", &[&x], &composed, &crate::rms_norm(&x, &norm).unwrap());
    }

    #[test]
    fn losses_with_and_without_smoothing() {
        let (logits, targets) = (numbers((4, 5), 1), numbers((4, 5), 2).abs().unwrap());
        let classes = Tensor::new(&[3u32, 0, 4, 1], &Device::Cpu).unwrap();
        for smoothing in [0.0, 0.2] {
            let composed = cross_entropy(&logits, &targets, smoothing).unwrap();
            equal("soft", &[&logits], &composed, &crate::cross_entropy(&logits, &targets, smoothing).unwrap());
            let composed = cross_entropy_indices(&logits, &classes, smoothing).unwrap();
            let kernel = crate::cross_entropy_indices(&logits, &classes, smoothing).unwrap();
            equal("indices", &[&logits], &composed, &kernel);
        }
    }
}
