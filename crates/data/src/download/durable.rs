//! Writes files to the disk before they are put in place, so that a power cut leaves whole files there or none.

use std::fs::File;
use std::io::Result;
use std::path::Path;

/// Writes everything below the folder `dir` to the disk: one call for the whole file system, because one for each file takes a minute for
/// Imagenette.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn flush(dir: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// Writes everything below the folder `dir` to the disk, file by file.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn flush(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => flush(&entry.path())?,
            false => File::options().write(true).open(entry.path())?.sync_all()?,
        }
    }
    Ok(())
}
