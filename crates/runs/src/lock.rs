//! Locks: one process per run folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// A lock on a run folder, held while the run trains. The operating system releases it when the process ends or
/// crashes.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    /// Why there is no lock: the error of a file system without locks, as on some clusters.
    pub(crate) missing: Option<io::Error>,
}

impl Lock {
    /// Locks `folder`, which must exist.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process holds the lock, [`Error::Output`] if the lock file cannot be created.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::output("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file, missing: None }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: folder.to_path_buf() }),
            // The file was created, so the folder is usable: train without a lock.
            Err(TryLockError::Error(reason)) => Ok(Self { _file: file, missing: Some(reason) }),
        }
    }
}

/// The lock file's name.
pub(crate) const NAME: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        assert!(matches!(Lock::take(folder.path()), Err(Error::Locked { .. })));
        drop(first);
        Lock::take(folder.path()).unwrap();
    }
}
