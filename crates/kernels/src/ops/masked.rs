//! Multiplication by a mask.

use candle_core::Tensor;

use crate::check::{require_device, require_dtype, require_same_device, require_two_floats, wrong_shape};
use crate::{Result, device};

/// `x * mask` with a constant mask: dropout with masks drawn by the caller.
///
/// `mask` has the shape of `x`, f32 or f64; a first axis of 1 shares the mask along that axis. Only `x` gets a
/// gradient; candle's product would compute one for the mask too.
///
/// # Errors
///
/// An error names the argument whose shape, type or device does not match.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?;
/// let mask = Tensor::new(&[[0f32, 2.]], &Device::Cpu)?;
/// assert_eq!(lookahead_kernels::masked(&x, &mask)?.to_vec2::<f32>()?, [[0., 4.], [0., 8.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let op = "masked";
    require_device(op, "x", x)?;
    require_two_floats(op, "x", x)?;
    let mask = check(op, mask, x.dims(), ("x", x))?;
    device::masked(&x.contiguous()?, &mask)
}

/// The mask of a result of these dimensions, contiguous and without a graph. `like` has its device and type.
pub(super) fn check(
    op: &'static str,
    mask: &Tensor,
    dims: &[usize],
    (name, like): (&'static str, &Tensor),
) -> Result<Tensor> {
    require_same_device(op, "mask", mask, like.device(), name)?;
    require_dtype(op, "mask", mask, like.dtype(), name)?;
    let shared = mask.rank() == dims.len() && !dims.is_empty() && mask.dims()[0] == 1 && mask.dims()[1..] == dims[1..];
    if mask.dims() != dims && !shared {
        return Err(wrong_shape(op, "mask", format!("{dims:?}, or 1 on the first axis"), mask));
    }
    Ok(mask.detach().contiguous()?)
}
