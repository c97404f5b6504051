//! Finds the hub's parquet files in every build, so that a build that cannot read them reports it.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The train and test files below `dir`, each list sorted; `None` without parquet files.
pub(super) fn find(dir: &Path) -> Result<Option<(Vec<PathBuf>, Vec<PathBuf>)>> {
    for dir in [dir.to_path_buf(), dir.join("plain_text"), dir.join("cifar100")] {
        let (train, test) = (part(&dir, "train")?, part(&dir, "test")?);
        if !train.is_empty() && !test.is_empty() {
            return Ok(Some((train, test)));
        }
    }
    Ok(None)
}

/// `dir/NAME*.parquet`, or else `dir/NAME/*.parquet`.
fn part(dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let beside = parquet_files(dir, name)?;
    if beside.is_empty() { parquet_files(&dir.join(name), "") } else { Ok(beside) }
}

fn parquet_files(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))? {
        let name = entry.map_err(|e| Error::io(dir, e))?.file_name();
        let path = dir.join(&name);
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(".parquet") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
