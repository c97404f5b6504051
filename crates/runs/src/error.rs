//! Errors of run folders, with the path and the offending value.

use std::io;
use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Output {
        /// `write`, `read`, `create`, `rename` or `remove`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// Another process trains in the run folder.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
    },

    /// The run folder holds a run with a different configuration.
    #[error("{} was started with another configuration: `{key}` was {was}, now {now}", path.display())]
    ConfigChanged {
        /// The run folder.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the folder.
        was: String,
        /// Its value now.
        now: String,
    },

    /// The run folder was written by an older version, whose configuration has a different form.
    #[error("{} was written by version {version}: this version can read the run, but cannot resume it", path.display())]
    OtherVersion {
        /// The run folder.
        path: PathBuf,
        /// The version in its `env.json`.
        version: String,
    },

    /// A file does not hold what was written to it.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The data differ from those that the run was started on.
    #[error("the data changed since {} was started (digest {was}, now {now})", path.display())]
    DataChanged {
        /// The run folder.
        path: PathBuf,
        /// SHA-256 of the data in the folder's files.
        was: String,
        /// SHA-256 of the current data.
        now: String,
    },
}

impl Error {
    /// True if a write failed because the disk is full or a limit is reached: a quota, or the maximum size of a file.
    pub fn is_out_of_room(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Output { source, .. } if [StorageFull, QuotaExceeded, FileTooLarge].contains(&source.kind()))
    }

    /// A closure for `map_err` that makes an [`Error::Output`] for `path`.
    pub fn output(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Output { action, path, source }
    }
}
