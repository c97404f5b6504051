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
    missing: Option<io::Error>,
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

    /// A warning if the file system of the locked folder `run` has no locks.
    pub(crate) fn notice(&self, run: &Path) -> Option<String> {
        let reason = self.missing.as_ref()?;
        Some(format!(
            "this file system has no locks ({reason}): make sure that no other process trains in {}",
            run.display()
        ))
    }
}

/// True if a process trains in the run folder `run`. False if the file system has no locks, where nothing shows it.
pub fn is_in_use(run: &Path) -> bool {
    let file = File::options().write(true).open(run.join(NAME));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// A warning if the file system of the run folder `run` has no locks, without opening the run: creates the folder and
/// its lock file, and changes no other file.
///
/// # Errors
/// [`Error::Locked`] if a process trains in the folder, [`Error::Output`] if it or the file cannot be created.
pub fn without_locks(run: &Path) -> Result<Option<String>> {
    std::fs::create_dir_all(run).map_err(Error::output("create", run))?;
    Ok(Lock::take(run)?.notice(run))
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
        assert!(is_in_use(folder.path()) && matches!(without_locks(folder.path()), Err(Error::Locked { .. })));
        drop(first);
        Lock::take(folder.path()).unwrap();
        assert!(!is_in_use(folder.path()));
    }

    #[test]
    fn asking_for_locks_makes_nothing_but_the_lock_file() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("sgd-s1");
        assert!(!is_in_use(&run) && !run.exists());
        assert_eq!(without_locks(&run).unwrap(), None);
        let names: Vec<_> = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [NAME]);
    }
}
