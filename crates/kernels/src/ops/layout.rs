//! Conversion between candle's (N, C, H, W) and this crate's (N, H, W, C).

use candle_core::Tensor;

use crate::Result;
use crate::check::{require_device, wrong_shape};

/// Converts (N, C, H, W) images to (N, H, W, C) activations.
///
/// This is free if `images` is a permuted view of channels-last memory, as in `lookahead-data`'s batches; otherwise it
/// copies. The result is contiguous, of any element type, and differentiable.
///
/// # Errors
///
/// [`Error::Shape`](crate::Error::Shape) unless `images` has four axes; [`Error::Device`](crate::Error::Device) on a
/// device without kernels in this build.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let images = Tensor::arange(0u8, 12, &Device::Cpu)?.reshape((1, 3, 2, 2))?;
/// let x = lookahead_kernels::to_channels_last(&images)?;
/// assert_eq!(x.dims(), [1, 2, 2, 3]);
/// assert_eq!(x.flatten_all()?.to_vec1::<u8>()?, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn to_channels_last(images: &Tensor) -> Result<Tensor> {
    permuted("to_channels_last", "images", "(N, C, H, W)", images, (0, 2, 3, 1))
}

/// Converts (N, H, W, C) activations to (N, C, H, W) by copying them into candle's usual order.
///
/// # Errors
///
/// Those of [`to_channels_last`].
///
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// let x = Tensor::zeros((1, 2, 5, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(lookahead_kernels::to_channels_first(&x)?.dims(), [1, 3, 2, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn to_channels_first(x: &Tensor) -> Result<Tensor> {
    permuted("to_channels_first", "x", "(N, H, W, C)", x, (0, 3, 1, 2))
}

fn permuted(
    op: &'static str,
    argument: &'static str,
    axes: &str,
    x: &Tensor,
    order: (usize, usize, usize, usize),
) -> Result<Tensor> {
    require_device(op, argument, x)?;
    if x.rank() != 4 {
        return Err(wrong_shape(op, argument, axes.to_owned(), x));
    }
    Ok(x.permute(order)?.contiguous()?)
}
