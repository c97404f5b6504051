//! What can be wrong with a call, each rule its own variant.

use candle_core::{DType, Device};

/// The result of every operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A rule that a call broke, with the operation, the argument and the value that broke it.
///
/// Converts into [`candle_core::Error`], so `?` also works in functions that return candle's result.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_kernels::{Error, conv2d};
///
/// let x = Tensor::zeros((1, 8, 8, 3), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::zeros((4, 5, 3, 3), DType::F32, &Device::Cpu)?;
/// let error = conv2d(&x, &weight, 1, 1).unwrap_err();
/// assert_eq!(error.to_string(), "conv2d: weight must have shape (O, 3, Kh, Kw) to match x, got [4, 5, 3, 3]");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument has a shape that does not fit.
    #[error("{op}: {argument} must have shape {expected}, got {got:?}")]
    Shape {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// What would have fitted.
        expected: String,
        /// The shape that was given.
        got: Vec<usize>,
    },
    /// An argument has an element type that is not supported, or not the one its partner has.
    #[error("{op}: {argument} must be {expected}, got {got:?}")]
    DType {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The types that would have been accepted.
        expected: String,
        /// The type that was given.
        got: DType,
    },
    /// An argument lives on a device this crate has no code for.
    #[error("{op}: {argument} is on {device}, but this build of lookahead-kernels has no kernels for that")]
    Device {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The device, as candle names it.
        device: String,
    },
    /// A library of CUDA is missing on this machine.
    #[error("{library} is missing, without which there is no CUDA: {origin}")]
    Library {
        /// The library's name.
        library: String,
        /// What it is part of.
        origin: &'static str,
    },
    /// A number is out of its range.
    #[error("{op}: {argument} must be {rule}, got {value}")]
    Argument {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The range it must lie in.
        rule: &'static str,
        /// The value that was given.
        value: String,
    },
    /// An environment variable holds a word that is not one of its values.
    #[error("{variable} must be one of {expected}, got {value:?}")]
    Environment {
        /// The variable's name.
        variable: &'static str,
        /// The words it may hold.
        expected: &'static str,
        /// The word it held.
        value: String,
    },
    /// This processor cannot run the instruction set that was asked for.
    #[error("this processor does not have the instruction set {0:?}")]
    InstructionSet(crate::InstructionSet),
    /// candle itself failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(inner) => inner,
            other => Self::wrap(other),
        }
    }
}

/// Refuses tensors on devices that this build has no kernels for.
pub(crate) fn require_device(op: &'static str, argument: &'static str, tensor: &candle_core::Tensor) -> Result<()> {
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
pub(crate) fn require_dtype(
    op: &'static str,
    argument: &'static str,
    tensor: &candle_core::Tensor,
    dtype: DType,
) -> Result<()> {
    if tensor.dtype() == dtype {
        return Ok(());
    }
    Err(Error::DType { op, argument, expected: format!("{dtype:?}, as x is"), got: tensor.dtype() })
}

/// Refuses parameters of another type than `x`'s, which is `dtype`; beside bf16 activations they may be f32.
pub(crate) fn require_parameter_dtype(
    op: &'static str,
    argument: &'static str,
    tensor: &candle_core::Tensor,
    dtype: DType,
) -> Result<()> {
    match (dtype, tensor.dtype()) {
        (DType::BF16, DType::BF16 | DType::F32) => Ok(()),
        (DType::BF16, got) => Err(Error::DType { op, argument, expected: "BF16, as x is, or F32".into(), got }),
        _ => require_dtype(op, argument, tensor, dtype),
    }
}

/// Refuses a shape, saying which would do.
pub(crate) fn wrong_shape(
    op: &'static str,
    argument: &'static str,
    expected: String,
    tensor: &candle_core::Tensor,
) -> Error {
    Error::Shape { op, argument, expected, got: tensor.dims().to_vec() }
}

/// The four extents (N, H, W, C) of an activation on the CPU, of an element type we have kernels for.
pub(crate) fn activation(
    op: &'static str,
    argument: &'static str,
    x: &candle_core::Tensor,
) -> Result<(usize, usize, usize, usize)> {
    require_device(op, argument, x)?;
    require_float(op, argument, x)?;
    x.dims4().map_err(|_| wrong_shape(op, argument, "(N, H, W, C)".into(), x))
}

/// Refuses element types that no kernel exists for.
pub(crate) fn require_float(op: &'static str, argument: &'static str, x: &candle_core::Tensor) -> Result<()> {
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        DType::BF16 if !x.device().is_metal() => Ok(()),
        got => Err(Error::DType { op, argument, expected: "BF16, F32 or F64".into(), got }),
    }
}
