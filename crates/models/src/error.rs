use std::path::PathBuf;

use crate::Mismatch;

/// Why a network could not be built, filled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No network of that name.
    #[error("unknown model {0:?}: the models are {list}", list = crate::ResNetConfig::NAMES.join(", "))]
    UnknownModel(String),

    /// A field of [`ResNetConfig`](crate::ResNetConfig) that describes no network.
    #[error("{field} is {value}: it must be {rule}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// What it held.
        value: String,
        /// What it may hold.
        rule: &'static str,
    },

    /// Named tensors that are not those of this network. It holds every name; the message at most five of a kind.
    #[error(transparent)]
    Weights(#[from] Mismatch),

    /// A file whose content is none of the formats that [`Weights::read`](crate::Weights::read) knows.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is instead, and what to do.
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

    /// A variable of a [`VarBuilder`](candle_nn::VarBuilder) that is there already, in another type than the network needs.
    #[error("{name} is {got:?} in the VarBuilder, the network's is {expected:?}: build both with the same dtype")]
    VarType {
        /// The variable, with the builder's prefix.
        name: String,
        /// The network's type.
        expected: candle_core::DType,
        /// The variable's.
        got: candle_core::DType,
    },

    /// A layer refused its input: usually images of the wrong shape, dtype or device.
    #[error(transparent)]
    Kernel(#[from] lookahead_kernels::Error),

    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
