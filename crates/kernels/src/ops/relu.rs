//! The rectifier, with PyTorch's gradient at zero.

use candle_core::Tensor;

use crate::check::{require_device, require_float};
use crate::{Result, device};

/// `max(x, 0)`, element by element, for any shape, bf16, f32 or f64.
///
/// The gradient is 0 where `x` is 0, as in PyTorch; that of candle's own relu is 1. NaN stays NaN.
///
/// # Errors
///
/// [`Error::DType`](crate::Error::DType) or [`Error::Device`](crate::Error::Device).
///
/// ```
/// use candle_core::{Device, Var};
///
/// let x = Var::new(&[-1f32, 0., 2.], &Device::Cpu)?;
/// let y = lookahead_kernels::relu(&x)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0., 0., 2.]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0., 0., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn relu(x: &Tensor) -> Result<Tensor> {
    require_device("relu", "x", x)?;
    require_float("relu", "x", x)?;
    device::relu(&x.contiguous()?)
}
