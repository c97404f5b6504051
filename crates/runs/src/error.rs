//! What can go wrong with a run folder.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate's functions.
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

    /// Another process works in the run folder.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
    },

    /// The run folder holds a run of another configuration.
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

    /// The run folder was written by a version whose configuration has another form.
    #[error("{} was written by version {version}, whose configuration this version can read but not continue", path.display())]
    OtherVersion {
        /// The run folder.
        path: PathBuf,
        /// The version in its `env.json`.
        version: String,
    },

    /// A file of a run folder cannot be what was written there.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A data set differs from the one the run was started on.
    #[error("the data changed since {} was started (digest {was}, now {now})", path.display())]
    DataChanged {
        /// The run folder.
        path: PathBuf,
        /// Digest in the folder.
        was: String,
        /// Digest of the data as they are.
        now: String,
    },
}

impl Error {
    /// Whether the disk, a quota or a limit on the size of files leaves no room to write.
    pub fn is_out_of_room(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Output { source, .. } if [StorageFull, QuotaExceeded, FileTooLarge].contains(&source.kind()))
    }

    /// An [`Error::Output`] for `path`, to be given to `map_err`.
    pub fn output(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Output { action, path, source }
    }
}
