//! One error per broken rule, with the offending value.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// One variant per broken rule. The message contains the offending value, name or path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter out of range, or NaN.
    #[error("{what} should be in {range}, but is {value}")]
    OutOfRange {
        /// The hyper-parameter.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        range: &'static str,
    },
    /// An optimizer without parameters.
    #[error("there are no parameters to optimize: the list of variables is empty")]
    NoParameters,
    /// A step in which no parameter has a gradient: the loss is probably another model's, or detached.
    #[error("none of the {parameters} parameters has a gradient: is the loss computed from these variables?")]
    NoGradient {
        /// Number of parameters.
        parameters: usize,
    },
    /// An operation that the optimizer does not support.
    #[error("{optimizer} cannot {operation}")]
    Unsupported {
        /// The optimizer.
        optimizer: &'static str,
        /// The requested operation.
        operation: &'static str,
    },
    /// The weights changed outside the optimizer after its last update, probably by loading a checkpoint. A step, a swap to the evaluation
    /// weights or saved state would mix the old weights with the new ones.
    #[error(
        "the weights of `{name}` were changed after the optimizer last saw them: call `adopt_weights` after loading weights, \
         or `accept_adjustment` after changing them by hand"
    )]
    WeightsChanged {
        /// The first such parameter in name order.
        name: String,
    },
    /// State of unnamed parameters cannot be saved or loaded, because files are keyed by name.
    #[error(
        "saved state is keyed by name, and the variables have no names: build the optimizer from a `VarMap` or from \
         (name, variable) pairs to save and load it"
    )]
    Unnamed,
    /// Two parameters or buffers with the same name.
    #[error("the name `{name}` is given twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// One variable under two names: it would be updated twice per step.
    #[error("`{first}` and `{second}` are the same variable: list a shared weight once")]
    SameVariable {
        /// The first of its names, in name order.
        first: String,
        /// The other name.
        second: String,
    },
    /// Only floating-point variables can be optimized.
    #[error("the parameter `{name}` has dtype {dtype:?}, but must be f64, f32, f16 or bf16")]
    NotFloat {
        /// The parameter.
        name: String,
        /// Its dtype.
        dtype: candle_core::DType,
    },
    /// A group pattern that matches nothing, probably misspelt.
    #[error("the group pattern `{pattern}` matches no {searched}")]
    UnmatchedGroup {
        /// The pattern.
        pattern: String,
        /// What it was compared with: every parameter, or a part of them under [`Muon`](crate::Muon).
        searched: &'static str,
    },
    /// A group of vectors among the groups of Muon's matrices, where it would select nothing.
    #[error("Muon's `groups` are of matrices, and a matrix is no vector: put the group of vectors into `adamw.groups`")]
    VectorsAmongMatrices,
    /// A gradient whose shape differs from its parameter's.
    #[error("the gradient of `{name}` has shape {found:?}, but the parameter has {expected:?}")]
    GradientShape {
        /// The parameter.
        name: String,
        /// The parameter's shape.
        expected: Vec<usize>,
        /// The gradient's shape.
        found: Vec<usize>,
    },
    /// A gradient that holds a NaN or an infinity, found by `check_finite`. Nothing was changed.
    #[error("the gradient of `{name}` holds a NaN or an infinity")]
    NonFiniteGradient {
        /// The first such parameter in name order.
        name: String,
    },
    /// A rule with more state than the fused loop supports.
    #[error("the rule {rule} has {count} slots, but the limit is {limit}")]
    TooManySlots {
        /// The rule's name.
        rule: &'static str,
        /// Number of slots of the rule.
        count: usize,
        /// Maximum number of slots.
        limit: usize,
    },
    /// Setting the momentum of an optimizer that has none, or none that a schedule may set.
    #[error("{optimizer} has no momentum that can be set")]
    NoMomentum {
        /// The optimizer.
        optimizer: &'static str,
    },
    /// The adaptive slow step size needs an inner optimizer that averages squared gradients.
    #[error(
        "an adaptive slow step size needs an inner optimizer that averages squared gradients: AdamW, RMSProp, RAdam, NAdam, \
         Adadelta or Schedule-Free AdamW"
    )]
    NoCurvature,
    /// Slow or averaged weights are swapped in, so the operation would act on the wrong weights.
    #[error("cannot {operation} while the evaluation weights are swapped in")]
    EvaluationWeightsInPlace {
        /// The operation.
        operation: &'static str,
    },
    /// The saved state belongs to another configuration; this is the first setting that differs.
    #[error("the saved state has {key} = {saved}, but here it is {here}")]
    StateSetting {
        /// The setting.
        key: String,
        /// Its value in the saved state.
        saved: String,
        /// Its value in the optimizer.
        here: String,
    },
    /// The saved state is incomplete.
    #[error("the saved state has no `{key}`")]
    StateMissing {
        /// The tensor, counter or setting.
        key: String,
    },
    /// The saved state has an entry that this optimizer does not have.
    #[error("the saved state has an unexpected `{key}`")]
    StateUnexpected {
        /// The tensor, counter or setting.
        key: String,
    },
    /// A saved tensor with another shape or dtype.
    #[error("the saved `{key}` is {saved}, but here it is {here}")]
    StateTensor {
        /// The tensor.
        key: String,
        /// Shape and dtype in the saved state.
        saved: String,
        /// Shape and dtype here.
        here: String,
    },
    /// A saved value that is not a number, or out of range.
    #[error("invalid saved value for `{key}`: `{value}`")]
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
        /// The cause.
        source: std::io::Error,
    },
    /// A file that is not a safetensors file of this crate.
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

/// Fails unless `ok`. Write `ok` so that a NaN makes it false.
pub(crate) fn in_range(ok: bool, what: &'static str, value: f64, range: &'static str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::OutOfRange { what, value, range }) }
}

/// Fails unless `value` is in (0, inf).
pub(crate) fn positive(what: &'static str, value: f64) -> Result<()> {
    in_range(value > 0.0 && value.is_finite(), what, value, "(0, inf)")
}

/// Fails unless `value` is in [0, 1].
pub(crate) fn at_most_one(what: &'static str, value: f64) -> Result<()> {
    in_range((0.0..=1.0).contains(&value), what, value, "[0, 1]")
}

/// Fails unless `value` is in [0, 1).
pub(crate) fn below_one(what: &'static str, value: f64) -> Result<()> {
    in_range((0.0..1.0).contains(&value), what, value, "[0, 1)")
}

/// Fails unless `value` is in [0, inf).
pub(crate) fn not_negative(what: &'static str, value: f64) -> Result<()> {
    in_range((0.0..f64::INFINITY).contains(&value), what, value, "[0, inf)")
}
