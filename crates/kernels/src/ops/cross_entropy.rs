//! Cross-entropy of logits against class indices or soft targets, as mixed labels require.

use candle_core::Tensor;

use crate::check::{
    require_device, require_float, require_indices, require_same_device, require_same_or_wide_dtype, require_smoothing,
    wrong_shape,
};
use crate::{Error, Result, device};

/// Mean cross-entropy of `logits` against a distribution over the classes for each row.
///
/// `loss = mean over rows of -sum over k of t'[k] * log_softmax(logits)[k]`, with
/// `t' = (1 - label_smoothing) * t + label_smoothing * sum(t) / K`, which is PyTorch's rule for rows that sum to 1.
///
/// | argument | shape | meaning |
/// | --- | --- | --- |
/// | `logits` | (N, K) | bf16, f32 or f64 |
/// | `targets` | (N, K) | class weights, same type, or f32 with bf16 logits; mixed labels of mixup and CutMix |
/// | `label_smoothing` | in \[0, 1\] | share of each target spread over all classes |
///
/// Returns a scalar in nats, f32 for bf16 logits, otherwise of their type. The gradient goes to `logits`; targets are
/// constants.
///
/// # Errors
///
/// [`Error::Argument`] for an empty batch, no classes, or smoothing out of range. An error names the argument whose
/// shape, type or device does not match.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[0f32, 0.]], &Device::Cpu)?;
/// let targets = Tensor::new(&[[0.25f32, 0.75]], &Device::Cpu)?;
/// let loss = lookahead_kernels::cross_entropy(&logits, &targets, 0.0)?;
/// assert!((loss.to_scalar::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let op = "cross_entropy";
    let (rows, classes) = check(op, logits, label_smoothing)?;
    require_same_device(op, "targets", targets, logits.device(), "logits")?;
    if targets.dims() != [rows, classes] {
        return Err(wrong_shape(op, "targets", format!("({rows}, {classes})"), targets));
    }
    require_same_or_wide_dtype(op, "targets", targets, logits.dtype(), "logits")?;
    let (logits, targets) = (logits.contiguous()?, targets.detach().contiguous()?);
    device::cross_entropy(&logits, &targets, label_smoothing)
}

/// Mean cross-entropy of `logits` (N, K) against class indices (N), u32.
///
/// Equals [`cross_entropy`] with targets of 1 at the class and 0 elsewhere.
///
/// # Errors
///
/// Those of [`cross_entropy`]; on the CPU, [`Error::Argument`] also for an index that is not a class. CUDA and Metal do not
/// check indices, which would wait for the device: such an index makes the loss NaN, and the gradient of its row.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[0f32, 0.], [0., 0.]], &Device::Cpu)?;
/// let classes = Tensor::new(&[1u32, 0], &Device::Cpu)?;
/// let loss = lookahead_kernels::cross_entropy_indices(&logits, &classes, 0.1)?;
/// assert!((loss.to_scalar::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy_indices(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let op = "cross_entropy_indices";
    let (rows, _) = check(op, logits, label_smoothing)?;
    require_same_device(op, "targets", targets, logits.device(), "logits")?;
    if targets.dims() != [rows] {
        return Err(wrong_shape(op, "targets", format!("({rows})"), targets));
    }
    require_indices(op, "targets", targets, "class")?;
    device::cross_entropy_indices(&logits.contiguous()?, &targets.detach().contiguous()?, label_smoothing)
}

fn check(op: &'static str, logits: &Tensor, label_smoothing: f64) -> Result<(usize, usize)> {
    require_device(op, "logits", logits)?;
    require_float(op, "logits", logits)?;
    let (rows, classes) = logits.dims2().map_err(|_| wrong_shape(op, "logits", "(N, K)".into(), logits))?;
    if rows == 0 || classes == 0 {
        let (rule, value) = ("at least one row and one class", format!("{rows} x {classes}"));
        return Err(Error::Argument { op, argument: "logits", rule, value });
    }
    require_smoothing(op, label_smoothing)?;
    Ok((rows, classes))
}
