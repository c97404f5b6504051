//! A linear layer, and the loss of a classifier that ends in one.

use candle_core::Tensor;

use crate::check::{
    require_device, require_dtype, require_indices, require_same_device, require_size, require_smoothing,
    require_two_floats, wrong_shape,
};
use crate::ops::masked;
use crate::{Error, Result, device};

/// `x W^T + b` over the last axis of `x`, as one graph node.
///
/// `x` is (.., I), f32 or f64; `weight` (O, I) and `bias` (O) have its type, as in PyTorch. The result is (.., O).
/// Gradients go to all three. Results have the same bits on any number of threads.
///
/// # Errors
///
/// An error names the argument whose shape, type or device does not match. [`Error::Argument`] if there are no inputs
/// or no outputs, or if the result is larger than memory can hold.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[1f32, 1.], [0., 3.], [2., 0.]], &Device::Cpu)?;
/// let y = lookahead_kernels::linear(&x, &weight, None)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[3., 6., 2.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (x, weight, bias) = check("linear", x, weight, bias)?;
    device::linear(&x, &weight, bias.as_ref())
}

/// The mean cross-entropy of `linear(x, weight, bias)` against class indices, as one graph node, for large
/// vocabularies.
///
/// Equals [`linear`] followed by [`cross_entropy_indices`](crate::cross_entropy_indices), but the (N, K) logits and
/// their gradient stay inside the node and never become tensors.
///
/// | argument | shape | meaning |
/// | --- | --- | --- |
/// | `x` | (.., I) | f32 or f64, N rows in total |
/// | `weight`, `bias` | (K, I), (K) | same type as `x` |
/// | `targets` | N elements, in any shape | u32 class indices |
/// | `label_smoothing` | in \[0, 1\] | share of each target spread over all classes |
///
/// Returns a scalar in nats. Gradients go to `x`, `weight` and `bias`.
///
/// # Errors
///
/// Those of both functions. An index that is not a class is an error on the CPU only; on CUDA and Metal it makes the loss and
/// all gradients but those of the other rows of `x` NaN.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// let weight = Tensor::zeros((4, 2), DType::F32, &Device::Cpu)?;
/// let targets = Tensor::new(&[3u32], &Device::Cpu)?;
/// let loss = lookahead_kernels::linear_cross_entropy(&x, &weight, None, &targets, 0.0)?;
/// assert!((loss.to_scalar::<f32>()? - 4f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn linear_cross_entropy(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    targets: &Tensor,
    label_smoothing: f64,
) -> Result<Tensor> {
    loss("linear_cross_entropy", x, None, weight, bias, targets, label_smoothing)
}

/// [`linear_cross_entropy`] of `x` times a constant mask, as one graph node: dropout before a model's output, with a mask drawn by
/// the caller.
///
/// Equals the loss of [`masked`](crate::masked), with the same bits, but the product and its gradient never become tensors.
/// `mask` has the shape and type of `x`; a first axis of 1 shares it along that axis.
///
/// # Errors
///
/// Those of both functions.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_kernels::masked_linear_cross_entropy;
///
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// let mask = Tensor::new(&[[2f32, 0.]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[0f32, 5.], [1., 5.]], &Device::Cpu)?;
/// let targets = Tensor::new(&[1u32], &Device::Cpu)?;
/// let loss = masked_linear_cross_entropy(&x, &mask, &weight, None, &targets, 0.0)?;
/// assert!((loss.to_scalar::<f32>()? - (1. + (-2f32).exp()).ln()).abs() < 1e-6); // logits 0 and 2
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn masked_linear_cross_entropy(
    x: &Tensor,
    mask: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    targets: &Tensor,
    label_smoothing: f64,
) -> Result<Tensor> {
    loss("masked_linear_cross_entropy", x, Some(mask), weight, bias, targets, label_smoothing)
}

fn loss(
    op: &'static str,
    x: &Tensor,
    mask: Option<&Tensor>,
    weight: &Tensor,
    bias: Option<&Tensor>,
    targets: &Tensor,
    label_smoothing: f64,
) -> Result<Tensor> {
    let (x, weight, bias) = check(op, x, weight, bias)?;
    let rows = x.elem_count() / weight.dims()[1];
    require_same_device(op, "targets", targets, x.device(), "x")?;
    require_indices(op, "targets", targets, "class")?;
    if rows == 0 {
        return Err(Error::Argument { op, argument: "x", rule: "of at least one row", value: "0".into() });
    }
    if targets.elem_count() != rows {
        return Err(wrong_shape(op, "targets", format!("({rows})"), targets));
    }
    require_smoothing(op, label_smoothing)?;
    let mask = mask.map(|mask| masked::check(op, mask, x.dims(), ("x", &x))).transpose()?;
    let targets = targets.detach().flatten_all()?.contiguous()?;
    device::linear_cross_entropy(op, &x, mask.as_ref(), (&weight, bias.as_ref()), &targets, label_smoothing)
}

/// The same tensors, contiguous.
fn check(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<(Tensor, Tensor, Option<Tensor>)> {
    require_device(op, "x", x)?;
    require_two_floats(op, "x", x)?;
    let Some(&inputs) = x.dims().last() else { return Err(wrong_shape(op, "x", "(.., I)".into(), x)) };
    let expected = || format!("(O, {inputs}) to match x");
    let (outputs, of_weight) = weight.dims2().map_err(|_| wrong_shape(op, "weight", expected(), weight))?;
    if of_weight != inputs {
        return Err(wrong_shape(op, "weight", expected(), weight));
    }
    if inputs == 0 || outputs == 0 {
        let value = format!("{inputs} to {outputs}");
        return Err(Error::Argument { op, argument: "weight", rule: "of at least one input and output", value });
    }
    for (argument, tensor) in [("weight", Some(weight)), ("bias", bias)] {
        let Some(tensor) = tensor else { continue };
        require_same_device(op, argument, tensor, x.device(), "x")?;
        require_dtype(op, argument, tensor, x.dtype(), "x")?;
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
        return Err(wrong_shape(op, "bias", format!("({outputs})"), bias));
    }
    let result = [&x.dims()[..x.rank() - 1], &[outputs]].concat();
    require_size(op, "result", x.device().location(), &result)?;
    Ok((x.contiguous()?, weight.contiguous()?, bias.map(Tensor::contiguous).transpose()?))
}
