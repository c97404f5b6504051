//! Convolution.

use candle_core::Tensor;

use crate::ops::extents::{check_bias, conv_extents};
use crate::plan::Conv2dOptions;
use crate::{Result, device};

/// Cross-correlation of images with filters, like PyTorch's `conv2d` without bias; [`conv2d_with`] adds bias, dilation
/// and groups.
///
/// `y[n, p, q, o] = sum over i, r, s of x[n, p * stride + r - padding, q * stride + s - padding, i] * weight[o, i, r, s]`,
/// with zeros outside the image.
///
/// | argument | shape | meaning |
/// | --- | --- | --- |
/// | `x` | (N, H, W, I) | activations, channels last, bf16, f32 or f64 |
/// | `weight` | (O, I, Kh, Kw) | filters in PyTorch's order, same type as `x`, or f32 with bf16 `x` |
/// | `stride` | at least 1 | step of the window in both directions |
/// | `padding` | up to 1024 | zeros on each side in both directions |
///
/// Returns (N, P, Q, O) with `P = (H + 2 * padding - Kh) / stride + 1`, rounded down, and `Q` likewise. Both arguments
/// get gradients; an argument outside the graph, such as the images of the first layer, costs nothing. The result has
/// the type of `x`, each gradient that of its argument. [`ConvAlgorithm`](crate::ConvAlgorithm) selects the precision of f32
/// sums on the CPU.
///
/// With bf16, all sums are f32. On the CPU they are rounded once. On CUDA, f32 filters are rounded to bf16 first, the filters'
/// gradient is rounded to bf16 before it becomes f32, and with a bias the result is rounded before and after the bias is added.
///
/// # Errors
///
/// [`Error::Shape`](crate::Error::Shape), [`Error::DType`](crate::Error::DType),
/// [`Error::Device`](crate::Error::Device) or [`Error::Devices`](crate::Error::Devices) naming the argument;
/// [`Error::Argument`](crate::Error::Argument) for an image or a filter without pixels or channels, a stride of 0,
/// padding above 1024, a filter larger than the padded image, or a result larger than the device can count.
///
/// Only its extents distinguish an (N, C, H, W) batch from an (N, H, W, C) one. If its last axis does not match the
/// filters' channels, it is an error; if it does, the batch is used as it is. Pass batches in candle's order through
/// [`to_channels_last`](crate::to_channels_last) first.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_kernels::{conv2d, to_channels_last};
///
/// // Candle's (N, C, H, W) becomes (N, H, W, C) once, at the network's input.
/// let images = Tensor::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu)?;
/// let filters = Tensor::zeros((16, 3, 3, 3), DType::F32, &Device::Cpu)?;
/// let y = conv2d(&to_channels_last(&images)?, &filters, 2, 1)?;
/// assert_eq!(y.dims(), [2, 4, 4, 16]);
///
/// // A 1x3 image with one channel, and a filter that adds three neighbours.
/// let x = Tensor::new(&[[[[1f32], [2.], [3.]]]], &Device::Cpu)?;
/// let weight = Tensor::ones((1, 1, 1, 3), DType::F32, &Device::Cpu)?;
/// let y = conv2d(&x, &weight, 1, 0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [6.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let options = Conv2dOptions { stride, padding, ..Conv2dOptions::default() };
    let shape = conv_extents("conv2d", x, weight, options)?;
    device::conv2d(shape, &x.contiguous()?, &weight.contiguous()?, None)
}

/// [`conv2d`] with dilation, groups and a bias, like PyTorch's.
///
/// With `I` input channels and `g` groups, group `j` reads the `I / g` input channels from `j * I / g` on, and yields
/// the `O / g` outputs from `j * O / g` on:
/// `y[n, p, q, o] = bias[o] + sum over i, r, s of
/// x[n, p * stride + r * dilation - padding, q * stride + s * dilation - padding, j * I / g + i] * weight[o, i, r, s]`.
///
/// | argument | shape | meaning |
/// | --- | --- | --- |
/// | `x` | (N, H, W, I) | activations, channels last, bf16, f32 or f64 |
/// | `weight` | (O, I / groups, Kh, Kw) | filters in PyTorch's order, same type as `x`, or f32 with bf16 `x` |
/// | `bias` | (O) | added to every output pixel; same types as `weight` |
/// | `options` | | stride, padding, dilation and groups |
///
/// Returns (N, P, Q, O) with `P = (H + 2 * padding - (Kh - 1) * dilation - 1) / stride + 1`, rounded down, and `Q` likewise.
/// All three arguments get gradients. The bias's is summed as [`batch_norm`](crate::batch_norm()) sums, in an order that
/// depends only on the problem.
///
/// # Errors
///
/// Those of [`conv2d`]; [`Error::Argument`](crate::Error::Argument) also for a dilation of 0, for groups that do not
/// divide the channels or the filters, and for extents that cannot be counted.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_kernels::{Conv2dOptions, conv2d_with};
///
/// // Depthwise: each of the two channels has its own filter.
/// let x = Tensor::new(&[[[[1f32, 10.], [2., 20.], [3., 30.]]]], &Device::Cpu)?;
/// let weight = Tensor::ones((2, 1, 1, 3), DType::F32, &Device::Cpu)?;
/// let bias = Tensor::new(&[0f32, 5.], &Device::Cpu)?;
/// let y = conv2d_with(&x, &weight, Some(&bias), Conv2dOptions { groups: 2, ..Conv2dOptions::default() })?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [6., 65.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d_with(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: Conv2dOptions) -> Result<Tensor> {
    let op = "conv2d_with";
    let shape = conv_extents(op, x, weight, options)?;
    let bias = match bias {
        Some(bias) => {
            check_bias(op, bias, x, &shape)?;
            Some(bias.contiguous()?)
        }
        None => None,
    };
    device::conv2d(shape, &x.contiguous()?, &weight.contiguous()?, bias.as_ref())
}
