//! Layer norm and RMS norm, each as one node.

use candle_core::Tensor;

use crate::check::{require_device, require_float};
use crate::plan::RowNormPlan;
use crate::{LayerNorm, Result, RmsNorm, device};

/// Layer norm over the trailing axes of `x`, as one graph node.
///
/// `y = (x - mean) / sqrt(variance + eps) * weight + bias`, with the mean and the biased variance of each row, as in
/// PyTorch. The variance is summed around the mean, so it does not cancel if the mean is large. `x` is bf16, f32 or
/// f64, of any shape; the result has its shape and type. Gradients go to `x`, `weight` and `bias`. Two numbers per row
/// are kept for backward.
///
/// # Errors
///
/// An error names the argument whose shape, type or device does not match. [`Error::Argument`](crate::Error::Argument)
/// for `axes` that `x` does not have, rows without values, and `eps` out of range.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use lookahead_kernels::{LayerNorm, layer_norm};
///
/// // A row of mean 2 and biased variance 1.
/// let x = Tensor::new(&[[1f32, 3.]], &Device::Cpu)?;
/// let weight = Tensor::new(&[1f32, 10.], &Device::Cpu)?;
/// let y = layer_norm(&x, &LayerNorm { weight: Some(weight), ..LayerNorm::default() })?.to_vec2::<f32>()?;
/// assert!((y[0][0] + 1.0).abs() < 1e-4 && (y[0][1] - 10.0).abs() < 1e-3);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn layer_norm(x: &Tensor, norm: &LayerNorm) -> Result<Tensor> {
    require_device("layer_norm", "x", x)?;
    require_float("layer_norm", "x", x)?;
    let plan = RowNormPlan::of_layer("layer_norm", x, norm)?;
    device::row_norm(&x.contiguous()?, plan)
}

/// RMS norm over the trailing axes of `x`, as one graph node.
///
/// `y = x / sqrt(mean of x^2 + eps) * weight`; otherwise like [`layer_norm`].
///
/// # Errors
///
/// Those of [`layer_norm`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use lookahead_kernels::{RmsNorm, rms_norm};
///
/// // A mean square of 25.
/// let x = Tensor::new(&[[1f32, 7.]], &Device::Cpu)?;
/// let y = rms_norm(&x, &RmsNorm::default())?.to_vec2::<f32>()?;
/// assert!((y[0][0] - 0.2).abs() < 1e-6 && (y[0][1] - 1.4).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn rms_norm(x: &Tensor, norm: &RmsNorm) -> Result<Tensor> {
    require_device("rms_norm", "x", x)?;
    require_float("rms_norm", "x", x)?;
    let plan = RowNormPlan::of_rms("rms_norm", x, norm)?;
    device::row_norm(&x.contiguous()?, plan)
}
