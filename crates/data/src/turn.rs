//! A lock between processes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Result};

/// The longest pause between two attempts to lock: short for a user, long for the processor.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A lock file that one process at a time holds. It is removed when the turn ends; the system releases the lock of a process that dies.
///
/// On a file system without locks, [`take`](Self::take) succeeds at once, and [`is_alone`](Self::is_alone) is false.
#[derive(Debug)]
pub(crate) struct Turn {
    path: PathBuf,
    alone: bool,
    _file: File,
}

impl Turn {
    /// Waits for the lock. While another process holds it, calls `waiting` a few times per second; an error from it ends the wait.
    pub(crate) fn take(path: PathBuf, waiting: &mut dyn FnMut() -> Result<()>) -> Result<Self> {
        let mut pause = Duration::from_millis(1);
        loop {
            let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
            let alone = match file.try_lock() {
                Ok(()) => true,
                Err(std::fs::TryLockError::WouldBlock) => {
                    waiting()?;
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(std::fs::TryLockError::Error(_)) => false,
            };
            // The previous holder has removed the file; then lock a new one.
            if !alone || is_at(&file, &path) {
                return Ok(Self { path, alone, _file: file });
            }
        }
    }

    /// True if no other process can hold the lock.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A file that cannot be removed is empty and harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let (Ok(held), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn turns_do_not_overlap_and_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, most, waits) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let path = dir.path().join("lock");
                        let turn = Turn::take(path, &mut || {
                            waits.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        })
                        .unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_wait_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _held = Turn::take(path.clone(), &mut || Ok(())).unwrap();
        let mut calls = 0;
        let stopped = Turn::take(path, &mut || {
            calls += 1;
            if calls < 3 { Ok(()) } else { Err(Error::Stopped { done: 0, total: 7 }) }
        });
        assert!(matches!(stopped, Err(Error::Stopped { done: 0, total: 7 })));
        assert_eq!(calls, 3);
    }
}
