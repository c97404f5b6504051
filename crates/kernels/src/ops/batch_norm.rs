//! Batch normalisation, alone or after a convolution, fused with the operation after it.

use candle_core::Tensor;

use crate::check::{activation, require_dtype, require_same_device, wrong_shape};
use crate::device;
use crate::ops::extents::{conv_extents, require_values};
use crate::plan::{Conv2dOptions, Input, NormPlan};
use crate::{Activation, After, BatchNorm, Mode, Result};

/// Batch normalisation over all axes but the last, and the operation after it, as one graph node.
///
/// `y = (x - mean) / sqrt(variance + eps) * weight + bias`, then `after`. In [`Mode::Train`], mean and variance are
/// those of the batch, and the running statistics of `norm` are updated. In [`Mode::Eval`], they are the running
/// statistics.
///
/// `x` is (N, H, W, C), bf16, f32 or f64; the result has its shape and type. Gradients go to `x`, to the residual of
/// [`After::AddRelu`], and to `norm.weight` and `norm.bias`.
///
/// Sums over the batch are f64. For f32 and bf16, they add partial sums in f32: on the CPU those of up to 128 values, on CUDA
/// those of a whole part of the pixels, of at most 528 parts. On Metal, all is f32.
///
/// # Errors
///
/// An error names the argument whose shape, type or device does not match. [`Error::Argument`](crate::Error::Argument)
/// for no channels and, in every mode but [`Mode::Eval`], for fewer than two values per channel, as in a batch of one image
/// of one pixel: they have no variance, and `running_var` would be NaN from then on. The running statistics are not changed.
///
/// See [`BatchNorm::new`] for an example.
pub fn batch_norm(x: &Tensor, norm: &BatchNorm, after: After<'_>, mode: Mode) -> Result<Tensor> {
    let op = "batch_norm";
    let (batch, height, width, channels) = activation(op, "x", x)?;
    apply(op, x, Input::Given, (batch, height, width, channels), norm, after, mode)
}

/// [`conv2d`](crate::conv2d()), then [`batch_norm`], as one graph node.
///
/// This equals the two calls and is faster: candle stores one gradient less, and the convolution's output never becomes
/// a tensor. Build networks from this form.
///
/// # Errors
///
/// Those of the two functions.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use lookahead_kernels::{After, BatchNorm, Mode, conv2d_batch_norm};
///
/// let device = Device::Cpu;
/// let norm = BatchNorm::new(
///     Tensor::ones(16, DType::F32, &device)?,
///     Tensor::zeros(16, DType::F32, &device)?,
///     Var::zeros(16, DType::F32, &device)?,
///     Var::ones(16, DType::F32, &device)?,
/// )?;
/// let x = Tensor::randn(0f32, 1., (2, 8, 8, 3), &device)?;
/// let weight = Var::from_tensor(&Tensor::randn(0f32, 0.2, (16, 3, 3, 3), &device)?)?;
/// let y = conv2d_batch_norm(&x, &weight, 2, 1, &norm, After::Relu, Mode::Train)?;
/// assert_eq!(y.dims(), [2, 4, 4, 16]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&weight).map(|g| g.dims().to_vec()), Some(vec![16, 3, 3, 3]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d_batch_norm(
    x: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: usize,
    norm: &BatchNorm,
    after: After<'_>,
    mode: Mode,
) -> Result<Tensor> {
    let options = Conv2dOptions { stride, padding, ..Conv2dOptions::default() };
    convolved("conv2d_batch_norm", x, weight, options, norm, after, mode)
}

/// [`conv2d_batch_norm`] with dilation and groups, for depthwise-separable and grouped blocks.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use lookahead_kernels::{After, BatchNorm, Conv2dOptions, Mode, conv2d_batch_norm_with};
///
/// let (ones, zeros) = (Tensor::ones(8, DType::F32, &Device::Cpu)?, Tensor::zeros(8, DType::F32, &Device::Cpu)?);
/// let norm = BatchNorm::new(ones.clone(), zeros.clone(), Var::from_tensor(&zeros)?, Var::from_tensor(&ones)?)?;
/// let x = Tensor::randn(0f32, 1., (2, 6, 6, 8), &Device::Cpu)?;
/// let weight = Tensor::randn(0f32, 0.3, (8, 1, 3, 3), &Device::Cpu)?;
/// let depthwise = Conv2dOptions { padding: 1, groups: 8, ..Conv2dOptions::default() };
/// let y = conv2d_batch_norm_with(&x, &weight, depthwise, &norm, After::Relu, Mode::Train)?;
/// assert_eq!(y.dims(), x.dims());
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`conv2d_with`](crate::conv2d_with) and [`batch_norm`].
pub fn conv2d_batch_norm_with(
    x: &Tensor,
    weight: &Tensor,
    options: Conv2dOptions,
    norm: &BatchNorm,
    after: After<'_>,
    mode: Mode,
) -> Result<Tensor> {
    convolved("conv2d_batch_norm_with", x, weight, options, norm, after, mode)
}

fn convolved(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    options: Conv2dOptions,
    norm: &BatchNorm,
    after: After<'_>,
    mode: Mode,
) -> Result<Tensor> {
    let shape = conv_extents(op, x, weight, options)?;
    let input = Input::Convolved(shape, weight.contiguous()?);
    apply(op, x, input, (shape.batch, shape.output.0, shape.output.1, shape.channels_out), norm, after, mode)
}

fn apply(
    op: &'static str,
    x: &Tensor,
    input: Input,
    output: (usize, usize, usize, usize),
    norm: &BatchNorm,
    after: After<'_>,
    mode: Mode,
) -> Result<Tensor> {
    let (batch, height, width, channels) = output;
    let norm = norm.checked(op, channels, x.dtype(), x.device(), "x")?;
    require_values(op, mode, output)?;
    let residual = match after {
        After::AddRelu(residual) => {
            require_same_device(op, "residual", residual, x.device(), "x")?;
            require_dtype(op, "residual", residual, x.dtype(), "x")?;
            if residual.dims() != [batch, height, width, channels] {
                let expected = format!("({batch}, {height}, {width}, {channels})");
                return Err(wrong_shape(op, "residual", expected, residual));
            }
            Some(residual.contiguous()?)
        }
        After::Nothing | After::Relu | After::Activation(_) => None,
    };
    let after = match after {
        After::Nothing => None,
        After::Relu | After::AddRelu(_) => Some(Activation::Relu),
        After::Activation(activation) => Some(activation),
    };
    let plan = NormPlan { op, input, output, norm, after, mode };
    device::batch_norm(&x.contiguous()?, residual.as_ref(), plan)
}
