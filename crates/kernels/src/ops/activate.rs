//! Activations on their own: GELU in its two forms, SiLU, and later additions to [`Activation`].

use candle_core::Tensor;

use crate::check::{require_device, require_float};
use crate::{Activation, Result, device};

/// Applies `activation` to every element of `x`, of any shape, bf16, f32 or f64.
///
/// Values and gradients are PyTorch's, except where PyTorch's formula cancels: far below 0, `Gelu` keeps its relative
/// precision (f32: a few units in the last place down to -13; on Metal, where it is composed of `1 + erf`, it does not),
/// and slopes at infinity are the limits 0 and 1 instead of NaN. NaN stays NaN. As in PyTorch, the value at minus
/// infinity is NaN except for `Relu`. Backward needs only `x`; nothing else is kept, except on Metal.
///
/// # Errors
///
/// [`Error::DType`](crate::Error::DType) or [`Error::Device`](crate::Error::Device).
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_kernels::{Activation, activate};
///
/// let x = Var::new(&[-1f32, 0., 1.], &Device::Cpu)?;
/// let y = activate(&x, Activation::Gelu)?;
/// assert!((y.to_vec1::<f32>()?[2] - 0.841_344_8).abs() < 1e-6);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?[1], 0.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    require_device("activate", "x", x)?;
    require_float("activate", "x", x)?;
    let x = x.contiguous()?;
    match activation {
        Activation::Relu => device::relu(&x),
        _ => device::activate(&x, activation),
    }
}
