//! Every rule that can be broken, with the value that broke it.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, one variant a rule. The message carries the offending value, name or path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter outside its range, or not a number.
    #[error("{what} should be in {range}, but is {value}")]
    OutOfRange {
        /// The hyper-parameter.
        what: &'static str,
        /// What it was given.
        value: f64,
        /// The values it may take.
        range: &'static str,
    },
    /// An optimizer of nothing.
    #[error("there are no parameters to optimize: the list of variables is empty")]
    NoParameters,
    /// A step in which no parameter has a gradient: most likely those of another model, or of a detached loss.
    #[error("none of the {parameters} parameters has a gradient: is the loss computed from these variables?")]
    NoGradient {
        /// How many parameters there are.
        parameters: usize,
    },
    /// What an optimizer that is not of this crate does not offer.
    #[error("{optimizer} cannot {operation}")]
    Unsupported {
        /// The optimizer.
        optimizer: &'static str,
        /// What was asked of it.
        operation: &'static str,
    },
    /// Somebody else changed the weights after the optimizer last did: most likely a checkpoint was loaded.
    #[error(
        "the weights of `{name}` were changed after the optimizer last saw them: call `adopt_weights` after loading weights, \
         or `accept_adjustment` after changing them by hand"
    )]
    WeightsChanged {
        /// The first such parameter in name order.
        name: String,
    },
    /// State of parameters without names is not written to files, where positions would stand for names.
    #[error(
        "the variables came without names, and positions are no names: build the optimizer from a `VarMap` or from \
         (name, variable) pairs to save and load it"
    )]
    Unnamed,
    /// Two parameters of one name.
    #[error("the parameter name `{name}` is given twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// One variable under two names: it would be updated twice a step.
    #[error("`{first}` and `{second}` are one variable: list a shared weight once")]
    SameVariable {
        /// The name that comes first in name order.
        first: String,
        /// The other.
        second: String,
    },
    /// Only floating-point variables can be optimized.
    #[error("the parameter `{name}` has dtype {dtype:?}, which is none of f64, f32, f16, bf16")]
    NotFloat {
        /// The parameter.
        name: String,
        /// Its dtype.
        dtype: candle_core::DType,
    },
    /// A group whose pattern is likely misspelt.
    #[error("the group pattern `{pattern}` matches no parameter")]
    UnmatchedGroup {
        /// The pattern.
        pattern: String,
    },
    /// A gradient of another shape than its parameter.
    #[error("the gradient of `{name}` has shape {found:?}, the parameter {expected:?}")]
    GradientShape {
        /// The parameter.
        name: String,
        /// The parameter's shape.
        expected: Vec<usize>,
        /// The gradient's.
        found: Vec<usize>,
    },
    /// A gradient that holds a NaN or an infinity, where `check_finite` asks for a look. Nothing was changed.
    #[error("the gradient of `{name}` holds a NaN or an infinity")]
    NonFiniteGradient {
        /// The first such parameter in name order.
        name: String,
    },
    /// A rule with more state than the fused loop carries along.
    #[error("the rule {rule} has {count} slots, but at most {limit} are possible")]
    TooManySlots {
        /// The rule's name.
        rule: &'static str,
        /// How many slots it asks for.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A momentum for an optimizer that has none.
    #[error("{optimizer} was built without momentum, so none can be set")]
    NoMomentum {
        /// The optimizer.
        optimizer: &'static str,
    },
    /// The adaptive slow step size needs an inner optimizer that averages squared gradients.
    #[error("an adaptive slow step size needs an inner optimizer with second moments (AdamW, RMSProp)")]
    NoCurvature,
    /// Slow or averaged weights are swapped in; the operation would act on the wrong ones.
    #[error("cannot {operation} while the evaluation weights are swapped in")]
    EvaluationWeightsInPlace {
        /// What was asked for.
        operation: &'static str,
    },
    /// The saved state belongs to something else: the first setting that differs.
    #[error("the saved state has {key} = {saved}, but here it is {here}")]
    StateSetting {
        /// The setting.
        key: String,
        /// Its value in the saved state.
        saved: String,
        /// Its value in the optimizer.
        here: String,
    },
    /// The saved state lacks something.
    #[error("the saved state has no `{key}`")]
    StateMissing {
        /// The tensor, counter or setting.
        key: String,
    },
    /// The saved state holds something unknown here.
    #[error("the saved state has `{key}`, which does not belong here")]
    StateUnexpected {
        /// The tensor, counter or setting.
        key: String,
    },
    /// A saved tensor of another shape or dtype.
    #[error("the saved `{key}` is {saved}, but here it is {here}")]
    StateTensor {
        /// The tensor.
        key: String,
        /// Shape and dtype in the saved state.
        saved: String,
        /// Shape and dtype here.
        here: String,
    },
    /// A saved number that is none, or is out of range.
    #[error("the saved `{key}` is `{value}`, which it cannot be")]
    StateValue {
        /// The counter or setting.
        key: String,
        /// Its text.
        value: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no safetensors file of this crate.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            other => Self::wrap(other),
        }
    }
}

/// Fails unless `ok`, which the caller writes so that a NaN makes it false.
pub(crate) fn in_range(ok: bool, what: &'static str, value: f64, range: &'static str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::OutOfRange { what, value, range }) }
}

/// Fails unless `value` is in [0, 1).
pub(crate) fn below_one(what: &'static str, value: f64) -> Result<()> {
    in_range((0.0..1.0).contains(&value), what, value, "[0, 1)")
}

/// Fails unless `value` is in [0, inf).
pub(crate) fn not_negative(what: &'static str, value: f64) -> Result<()> {
    in_range((0.0..f64::INFINITY).contains(&value), what, value, "[0, inf)")
}
