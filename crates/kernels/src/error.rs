//! Errors: each rule that a call can break is a variant.

use candle_core::DType;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// The rule that a call broke, with the operation, the argument and the value.
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
#[non_exhaustive]
pub enum Error {
    /// An argument's shape does not match.
    #[error("{op}: {argument} must have shape {expected}, got {got:?}")]
    Shape {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The shape that is required.
        expected: String,
        /// The shape given.
        got: Vec<usize>,
    },
    /// An argument's element type is not supported, or does not match that of another argument.
    #[error("{op}: {argument} must be {expected}, got {got:?}")]
    DType {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The types that are accepted.
        expected: String,
        /// The type given.
        got: DType,
    },
    /// An argument is on a device without kernels in this build.
    #[error("{op}: {argument} is on {device}, but this build of lookahead-kernels has no kernels for that device")]
    Device {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The device, as candle names it.
        device: String,
    },
    /// Two arguments of a call are on different devices.
    #[error("{op}: {argument} must be on the same device as {partner}, {expected}, got {got}")]
    Devices {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The argument whose device it must share.
        partner: &'static str,
        /// The device of that argument, as candle names it.
        expected: String,
        /// The device of this argument.
        got: String,
    },
    /// A CUDA library is missing on this machine.
    #[error("{library} is missing, and CUDA needs it: {origin}")]
    Library {
        /// The library's name.
        library: String,
        /// What it is part of.
        origin: &'static str,
    },
    /// A number is out of range.
    #[error("{op}: {argument} must be {rule}, got {value}")]
    Argument {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The range it must be in.
        rule: &'static str,
        /// The value given.
        value: String,
    },
    /// An environment variable holds an unknown value.
    #[error("{variable} must be one of {expected}, got {value:?}")]
    Environment {
        /// The variable's name.
        variable: &'static str,
        /// The values it may hold.
        expected: &'static str,
        /// The value it holds.
        value: String,
    },
    /// This processor does not support the selected instruction set.
    #[error("this processor does not support the instruction set {0:?}")]
    InstructionSet(crate::InstructionSet),
    /// An error of candle.
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
