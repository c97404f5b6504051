//! What can be wrong with a call, each rule its own variant.

use candle_core::DType;

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
#[non_exhaustive]
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
    /// Two arguments of one call lie on different devices.
    #[error("{op}: {argument} must be on {expected}, as {partner} is, got {got}")]
    Devices {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The argument it must lie beside.
        partner: &'static str,
        /// Where that one lies, as candle names it.
        expected: String,
        /// Where the argument lies.
        got: String,
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
