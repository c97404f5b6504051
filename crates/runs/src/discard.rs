//! Starting runs over: what earlier ones wrote is removed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint;
use crate::error::{Error, Result};
use crate::folder::{CONFIG, DATA, DIVERGED, ENVIRONMENT, METRICS, SUMMARY, remove_if_there};
use crate::lock::{self, Lock};

/// Discards what earlier runs wrote in the folders `runs`, even finished ones. Other files stay. Locks all folders
/// before it empties the first: if one is in use, all stay as they are.
///
/// # Errors
/// [`Error::Locked`] if another process trains in one of the folders, [`Error::Output`] if a file cannot be removed.
pub fn discard(runs: &[PathBuf]) -> Result<()> {
    let there = || runs.iter().filter(|run| run.is_dir());
    let locks: Vec<Lock> = there().map(|run| Lock::take(run)).collect::<Result<_>>()?;
    there().try_for_each(|run| empty(run))?;
    drop(locks);
    Ok(())
}

/// Removes the files that a run writes. Other files in the folder stay.
///
/// What counts as a result goes first and the configuration last: a process that is killed in between leaves no old
/// result that could pass for one of another configuration.
fn empty(path: &Path) -> Result<()> {
    remove_if_there(&path.join(SUMMARY))?;
    checkpoint::forget(path)?;
    for entry in fs::read_dir(path).map_err(Error::output("read", path))? {
        let entry = entry.map_err(Error::output("read", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let file = entry.path();
        let ours = [DATA, ENVIRONMENT, METRICS, DIVERGED].contains(&name.as_str())
            || name.starts_with("events.out.tfevents.")
            || name.ends_with(".tmp");
        let removed = match name.as_str() {
            checkpoint::FOLDER => fs::remove_dir_all(&file),
            lock::NAME => Ok(()),
            _ if ours => fs::remove_file(&file),
            _ => Ok(()),
        };
        removed.map_err(Error::output("remove", &file))?;
    }
    remove_if_there(&path.join(CONFIG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_wrote_is_discarded_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sgd-s1");
        discard(std::slice::from_ref(&folder)).unwrap();
        assert!(!folder.exists(), "there was nothing to discard");
        fs::create_dir_all(folder.join("checkpoint")).unwrap();
        for name in [SUMMARY, METRICS, DIVERGED, "notes.txt", "checkpoint/latest.json"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        discard(std::slice::from_ref(&folder)).unwrap();
        assert!(folder.join("notes.txt").exists());
        assert!([SUMMARY, METRICS, DIVERGED, "checkpoint"].iter().all(|name| !folder.join(name).exists()));
    }

    #[test]
    fn all_folders_are_discarded_or_none() {
        let root = tempfile::tempdir().unwrap();
        let runs = ["a-s1", "b-s1"].map(|name| root.path().join(name));
        for run in &runs {
            fs::create_dir(run).unwrap();
            fs::write(run.join(SUMMARY), "{}").unwrap();
        }
        let held = Lock::take(&runs[1]).unwrap();
        assert!(matches!(discard(&runs), Err(Error::Locked { path }) if path == runs[1]));
        assert!(runs.iter().all(|run| run.join(SUMMARY).exists()));
        drop(held);
        discard(&runs).unwrap();
        assert!(!runs.iter().any(|run| run.join(SUMMARY).exists()));
    }

    #[test]
    fn a_folder_emptied_half_way_holds_no_result() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sgd-s1");
        fs::create_dir_all(folder.join("checkpoint")).unwrap();
        for name in [SUMMARY, CONFIG, "checkpoint/latest.json", "checkpoint/previous.json"] {
            fs::write(folder.join(name), "{}").unwrap();
        }
        // A folder where a file should be cannot be removed as one: emptying ends there.
        fs::create_dir(folder.join(METRICS)).unwrap();
        assert!(matches!(discard(std::slice::from_ref(&folder)), Err(Error::Output { action: "remove", .. })));
        assert!(!folder.join(SUMMARY).exists() && !checkpoint::any(&folder));
        assert!(folder.join(CONFIG).exists(), "the configuration goes last");
    }
}
