//! One process a run folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Held while a run is worked on. The operating system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    /// Why nothing is held, on a file system that has no locks, as those of some clusters have none.
    pub(crate) missing: Option<io::Error>,
}

impl Lock {
    /// Locks `folder`, which exists.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process has it, [`Error::Output`] where the lock file cannot be made.
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
            // The file could be made, so the folder is sound: to train without a lock is better than not to train.
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
