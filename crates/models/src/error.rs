use std::path::PathBuf;

use crate::Mismatch;

/// Why a network could not be built, loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No network of that name.
    #[error("unknown model {0:?}: the models are {list}", list = crate::ResNetConfig::NAMES.join(", "))]
    UnknownModel(String),

    /// A field of a configuration, or another argument, is out of range.
    #[error("{field} is {value}: it must be {rule}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// The value of the field.
        value: String,
        /// The rule it breaks.
        rule: &'static str,
    },

    /// Named tensors that do not match the network. The error holds every name; the message shows at most five of a kind.
    #[error(transparent)]
    Weights(#[from] Mismatch),

    /// A file in none of the formats that [`Weights::read`](crate::Weights::read) supports.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the file is instead, and what to do.
        problem: &'static str,
    },

    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: candle_core::Error,
    },

    /// A language model's saved state without one of its tensors.
    #[error("the saved state has no `{name}`: save all tensors of `LanguageState::tensors`")]
    StateMissing {
        /// The tensor.
        name: String,
    },

    /// The state of a language model with another number of layers.
    #[error("the state has {got} layers, but the model has {expected}: begin with the model's own `begin` or `resume`")]
    StateLayers {
        /// Number of layers of the model.
        expected: usize,
        /// Number of layers of the state.
        got: usize,
    },

    /// A variable that exists in a [`VarBuilder`](candle_nn::VarBuilder) with another dtype than the network needs.
    #[error("{name} is {got:?} in the VarBuilder, but the network needs {expected:?}: build both with the same dtype")]
    VarType {
        /// The variable, with the builder's prefix.
        name: String,
        /// The network's dtype.
        expected: candle_core::DType,
        /// The variable's dtype.
        got: candle_core::DType,
    },

    /// A layer rejected its input: usually images of the wrong shape, dtype or device.
    #[error(transparent)]
    Kernel(#[from] lookahead_kernels::Error),

    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            Error::Kernel(error) => error.into(),
            other => Self::wrap(other),
        }
    }
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
