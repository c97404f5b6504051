//! The largest value of each window.

use candle_core::Tensor;

use crate::ops::extents::pool_extents;
use crate::{Error, Result, device};

/// The largest value of every `kernel` x `kernel` window.
///
/// `x` is (N, H, W, C), bf16, f32 or f64; the result is (N, P, Q, C) with
/// `P = (H + 2 * padding - kernel) / stride + 1`, rounded down. Padding never wins. Among equal values, the first in
/// reading order wins and gets the whole gradient; NaN wins over everything, as in PyTorch. (candle's own pool requires
/// `kernel == stride` and scales the gradient by `1 / kernel^2`.)
///
/// # Errors
///
/// [`Error::Argument`] for an image without pixels or with 2^32 or more, no channels, a kernel or stride of 0, a kernel
/// larger than the padded image, or padding above half the kernel; otherwise as for [`conv2d`](crate::conv2d()).
///
/// ```
/// use candle_core::{Device, Var};
///
/// let x = Var::new(&[[[[1f32], [5.], [2.]]]], &Device::Cpu)?;
/// let y = lookahead_kernels::max_pool2d(&x, 1, 2, 0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1., 2.]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?, [1., 0., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let op = "max_pool2d";
    let shape = pool_extents(op, x, kernel, stride, padding)?;
    // Winners are noted as 32-bit pixel numbers.
    if shape.input.0 * shape.input.1 > u32::MAX as usize {
        let value = format!("{} x {}", shape.input.0, shape.input.1);
        return Err(Error::Argument { op, argument: "image", rule: "of fewer than 2^32 pixels", value });
    }
    device::max_pool(shape, &x.contiguous()?)
}
