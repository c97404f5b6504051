//! The rules that every argument is held to, whatever the operation.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Refuses tensors on devices that this build has no kernels for.
pub(crate) fn require_device(op: &'static str, argument: &'static str, tensor: &Tensor) -> Result<()> {
    match tensor.device() {
        Device::Cpu => Ok(()),
        #[cfg(feature = "metal")]
        Device::Metal(_) => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) if tensor.elem_count() < 1 << 31 => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => {
            let value = tensor.elem_count().to_string();
            Err(Error::Argument { op, argument, rule: "of fewer than 2^31 elements on a CUDA device", value })
        }
        other => Err(Error::Device { op, argument, device: format!("{:?}", other.location()) }),
    }
}

/// Refuses element types other than the one `x` has.
pub(crate) fn require_dtype(op: &'static str, argument: &'static str, tensor: &Tensor, dtype: DType) -> Result<()> {
    if tensor.dtype() == dtype {
        return Ok(());
    }
    Err(Error::DType { op, argument, expected: format!("{dtype:?}, as x is"), got: tensor.dtype() })
}

/// Refuses parameters of another type than `x`'s, which is `dtype`; beside bf16 activations they may be f32.
pub(crate) fn require_parameter_dtype(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    dtype: DType,
) -> Result<()> {
    match (dtype, tensor.dtype()) {
        (DType::BF16, DType::BF16 | DType::F32) => Ok(()),
        (DType::BF16, got) => Err(Error::DType { op, argument, expected: "BF16, as x is, or F32".into(), got }),
        _ => require_dtype(op, argument, tensor, dtype),
    }
}

/// Refuses a shape, saying which would do.
pub(crate) fn wrong_shape(op: &'static str, argument: &'static str, expected: String, tensor: &Tensor) -> Error {
    Error::Shape { op, argument, expected, got: tensor.dims().to_vec() }
}

/// The four extents (N, H, W, C) of an activation on the CPU, of an element type we have kernels for.
pub(crate) fn activation(op: &'static str, argument: &'static str, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    require_device(op, argument, x)?;
    require_float(op, argument, x)?;
    x.dims4().map_err(|_| wrong_shape(op, argument, "(N, H, W, C)".into(), x))
}

/// Refuses element types that no kernel exists for.
pub(crate) fn require_float(op: &'static str, argument: &'static str, x: &Tensor) -> Result<()> {
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        DType::BF16 if !x.device().is_metal() => Ok(()),
        got => Err(Error::DType { op, argument, expected: "BF16, F32 or F64".into(), got }),
    }
}
