//! Errors in a study's file.

use std::path::PathBuf;

use crate::config::ConfigError;

/// The longest name of a file, in bytes, on the usual file systems.
pub(super) const MOST_BYTES: usize = 255;

/// Why a study's file is rejected.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A file that is not a study: unreadable, not valid TOML, or with an unknown key.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's or the parser's report.
        reason: String,
    },
    /// An invalid axis.
    #[error("axis `{key}`: {reason}")]
    Axis {
        /// The axis.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A row with the wrong number of trials.
    #[error("row `{row}`: {reason}")]
    Trials {
        /// The row.
        row: String,
        /// What is wrong with the number.
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
    /// Two cells with the same name.
    #[error("two cells have the same name, {name}: rename a row, or use values that differ when rounded")]
    Twins {
        /// The folder's name.
        name: String,
    },
    /// A cell whose name is longer than that of a file may be.
    #[error(
        "the cell {name} has a name of {} bytes, but that of a folder has at most {}: give its row a shorter `name`, or \
         vary fewer keys",
        .name.len(),
        MOST_BYTES
    )]
    LongName {
        /// The folder's name.
        name: String,
    },
    /// A setting that the configuration rejects.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
