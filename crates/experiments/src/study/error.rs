//! What can be wrong with a study's file.

use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a study cannot be made of its file.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A file that is no study: unreadable, no TOML, or with a key that there is not.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's or the parser's report.
        reason: String,
    },
    /// An axis that has nothing to try.
    #[error("axis `{key}`: {reason}")]
    Axis {
        /// The axis.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A row's trials.
    #[error("row `{row}`: {reason}")]
    Trials {
        /// The row.
        row: String,
        /// What is wrong with their number.
        reason: String,
    },
    /// A key that a study may not set, or sets twice.
    #[error("`{key}`: {reason}")]
    Key {
        /// The key.
        key: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// Two cells of one name.
    #[error("two cells are called {name}: their values look alike when rounded")]
    Twins {
        /// The folder's name.
        name: String,
    },
    /// A setting that no configuration takes.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
