//! Any number of layers without shortcuts, as one graph node.

use candle_core::Tensor;

use crate::check::{activation, require_same_device, require_same_or_wide_dtype};
use crate::ops::extents::{check_bias, conv_shape, require_values};
use crate::plan::{Conv2dOptions, PlainLayer, PlainPlan, PoolShape, Window};
use crate::{Error, Mode, Result, device};

/// Consecutive layers of convolution, max pool, batch norm and activation, as a single graph node on the CPU and on CUDA.
///
/// This equals calling [`conv2d_with`](crate::conv2d_with), [`max_pool2d`](crate::max_pool2d),
/// [`batch_norm`](crate::batch_norm()) and [`activate`](crate::activate()) in turn, but is faster. Between two nodes,
/// candle clears, reads and writes a whole gradient; here gradients are passed on in place, and memory kept for
/// backward is reused in the next step. On Metal, candle's operations run in turn.
///
/// `x` is (N, H, W, C), bf16, f32 or f64. Gradients go to `x` and to all weights, biases, scales and shifts. In
/// [`Mode::Train`], the running statistics of every batch norm are updated.
///
/// # Errors
///
/// Those of the four functions, before any running statistics are updated; [`Error::Argument`] for a pool outside 1..=16,
/// and for a bias together with a batch norm.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use lookahead_kernels::{Activation, BatchNorm, Mode, PlainLayer, plain_network};
///
/// let device = &Device::Cpu;
/// let zeros = || Var::zeros(32, DType::F32, device);
/// let norm = BatchNorm::with_fixed_scale(zeros()?.as_tensor().clone(), zeros()?, Var::ones(32, DType::F32, device)?)?;
/// let layers = [
///     PlainLayer {
///         bias: Some(Tensor::zeros(8, DType::F32, device)?),
///         activation: Some(Activation::Gelu),
///         ..PlainLayer::new(Tensor::randn(0f32, 0.2, (8, 3, 2, 2), device)?)
///     },
///     PlainLayer {
///         padding: 1,
///         pool: 2,
///         norm: Some(norm),
///         activation: Some(Activation::Gelu),
///         ..PlainLayer::new(Tensor::randn(0f32, 0.1, (32, 8, 3, 3), device)?)
///     },
/// ];
/// let x = Tensor::randn(0f32, 1., (2, 32, 32, 3), device)?;
/// assert_eq!(plain_network(&x, &layers, Mode::Train)?.dims(), [2, 15, 15, 32]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn plain_network(x: &Tensor, layers: &[PlainLayer], mode: Mode) -> Result<Tensor> {
    let plans = plans(x, layers, mode)?;
    if plans.is_empty() {
        return Ok(x.clone());
    }
    device::plain_network(&x.contiguous()?, plans, mode)
}

/// Checks the layers against one another.
pub(crate) fn plans(x: &Tensor, layers: &[PlainLayer], mode: Mode) -> Result<Vec<PlainPlan>> {
    let mut extents = activation("plain_network", "x", x)?;
    let mut plans = Vec::with_capacity(layers.len());
    for layer in layers {
        let plan = plan(x, extents, layer, mode)?;
        extents = plan.output_extents();
        plans.push(plan);
    }
    Ok(plans)
}

/// Checks one layer against the extents of its input.
fn plan(x: &Tensor, input: (usize, usize, usize, usize), layer: &PlainLayer, mode: Mode) -> Result<PlainPlan> {
    let (op, dtype) = ("plain_network", x.dtype());
    require_same_device(op, "weight", &layer.weight, x.device(), "x")?;
    require_same_or_wide_dtype(op, "weight", &layer.weight, dtype, "x")?;
    let options = Conv2dOptions { stride: layer.stride, padding: layer.padding, ..Conv2dOptions::default() };
    let shape = conv_shape(op, input, &layer.weight, options)?;
    if let Some(bias) = &layer.bias {
        check_bias(op, bias, x, &shape)?;
        if layer.norm.is_some() {
            let (argument, rule) = ("bias", "absent beside a batch norm, which has a shift");
            return Err(Error::Argument { op, argument, rule, value: format!("{:?}", bias.dims()) });
        }
    }
    let pool = match layer.pool {
        1 => None,
        side @ 2..=PoolShape::MOST_SIDE => {
            let window = Window::dense((side, side), side, 0);
            let output = window.output(op, shape.output)?;
            Some(PoolShape { batch: shape.batch, input: shape.output, output, channels: shape.channels_out, window })
        }
        side => return Err(Error::Argument { op, argument: "pool", rule: "in 1..=16", value: side.to_string() }),
    };
    let mut plan = PlainPlan {
        shape,
        weight: layer.weight.contiguous()?,
        bias: layer.bias.as_ref().map(Tensor::contiguous).transpose()?,
        pool,
        norm: None,
        after: layer.activation,
    };
    if let Some(norm) = &layer.norm {
        let output = plan.output_extents();
        plan.norm = Some(norm.checked(op, output.3, dtype, x.device(), "x")?);
        require_values(op, mode, output)?;
    }
    Ok(plan)
}
