//! Atomic file writes: a file holds the old content or the new one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Writes `bytes` to a temporary file beside `path`, syncs it and renames it to `path`. Whenever the program or the
/// machine stops, `path` holds the old content or the new one, never a part of either.
///
/// # Errors
/// [`Error::Output`] if the file cannot be written or renamed; the temporary file is then removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_name(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let written = written.map_err(Error::output("write", path)).and_then(|()| rename(&temporary, path));
    if written.is_err() {
        // The disk may be full, and a partial file is useless.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Renames `from` to `to` within one file system, replacing `to`.
///
/// # Errors
/// [`Error::Output`] if the file cannot be renamed.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::output("rename", to))
}

/// Writes `value` as indented JSON, atomically.
///
/// # Errors
/// [`Error::Output`] if `value` cannot be serialized or the file cannot be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = to_json(path, value)?;
    text.push('\n');
    write(path, text.as_bytes())
}

fn to_json(path: &Path, value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Error::Output {
        action: "write",
        path: path.to_path_buf(),
        source: error.into(),
    })
}

/// Reads a JSON file; `None` if it does not exist.
///
/// # Errors
/// [`Error::Damaged`] if the content is not JSON of this type, [`Error::Output`] if the file cannot be read.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Output { action: "read", path: path.to_path_buf(), source }),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::Damaged { path: path.to_path_buf(), reason: error.to_string() })
}

/// A name that no other write uses, in this process or another: two commands may write the same file.
fn temporary_name(path: &Path) -> PathBuf {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        // The longest name that a file may have: the temporary one is longer, so the write fails before the rename.
        let path = folder.path().join("a".repeat(255));
        fs::write(&path, "[1, 2]").unwrap();
        let error = write_json(&path, &[3]).unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error}");
        assert_eq!(read_json::<Vec<i32>>(&path).unwrap(), Some(vec![1, 2]));
    }

    #[test]
    fn nothing_is_left_where_the_name_is_taken_by_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::create_dir(&path).unwrap();
        let error = write_json(&path, &[3]).unwrap_err();
        assert!(error.to_string().starts_with("cannot rename"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// With one temporary name for all, a writer would rename the half-written file of another, or find none.
    #[test]
    fn writers_of_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write_json(path, &vec![writer; 10_000]).unwrap()));
            }
        });
        let read: Vec<i32> = read_json(&path).unwrap().unwrap();
        assert!(read.len() == 10_000 && read.iter().all(|writer| *writer == read[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn absence_is_no_error_and_damage_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert_eq!(read_json::<i32>(&path).unwrap(), None);
        fs::write(&path, "[1, 2").unwrap();
        assert!(matches!(read_json::<Vec<i32>>(&path), Err(Error::Damaged { .. })));
    }
}
