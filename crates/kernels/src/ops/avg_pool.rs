//! Means over windows and over whole images.

use candle_core::Tensor;

use crate::check::activation;
use crate::ops::extents::pool_extents;
use crate::plan::{PoolShape, Window};
use crate::{Error, Result, device};

/// The mean of every `kernel` x `kernel` window, including zeros of the padding (PyTorch's `count_include_pad`).
///
/// Shapes, types and errors are those of [`max_pool2d`](crate::max_pool2d()).
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[[[1f32], [3.]], [[5.], [7.]]]], &Device::Cpu)?;
/// let y = lookahead_kernels::avg_pool2d(&x, 2, 2, 0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [4.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = pool_extents("avg_pool2d", x, kernel, stride, padding)?;
    device::avg_pool("avg_pool2d", shape, &x.contiguous()?)
}

/// The mean of every image and channel: (N, H, W, C) to (N, C).
///
/// # Errors
///
/// [`Error::Argument`] for images without pixels; otherwise as for [`conv2d`](crate::conv2d()).
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[[[1f32, 10.], [3., 20.]]]], &Device::Cpu)?;
/// assert_eq!(lookahead_kernels::global_avg_pool(&x)?.to_vec2::<f32>()?, [[2., 15.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let op = "global_avg_pool";
    let (batch, height, width, channels) = activation(op, "x", x)?;
    if height * width * channels == 0 {
        let value = format!("{height} x {width} x {channels}");
        return Err(Error::Argument { op, argument: "image", rule: "of at least one pixel and channel", value });
    }
    let window = Window::dense((height, width), 1, 0);
    let shape = PoolShape { batch, input: (height, width), output: (1, 1), channels, window };
    Ok(device::avg_pool(op, shape, &x.contiguous()?)?.reshape((batch, channels))?)
}
