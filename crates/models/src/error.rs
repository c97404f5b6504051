/// Why a network could not be built or run.
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

    /// Named tensors that are not those of this network.
    #[error("{name}: {problem}")]
    State {
        /// The first name, in sorted order, at which the two differ.
        name: String,
        /// How they differ.
        problem: String,
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
