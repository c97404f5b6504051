//! Keeps processes that write the same data set apart.

use std::path::Path;

use super::{Phase, Progress, Report};
use crate::turn::Turn;
use crate::{Error, Result};

/// Runs `fill` while no other process downloads or unpacks `name` to `root`, which is created. `fill` gets a folder for hidden files.
pub(super) fn in_turn(
    name: &str,
    root: &Path,
    progress: &mut dyn FnMut(Progress),
    fill: impl FnOnce(&Path, &mut Report<'_>) -> Result<()>,
) -> Result<()> {
    let new_root = !root.exists();
    std::fs::create_dir_all(root).map_err(|e| Error::io(root, e))?;
    let mut report = |phase, done, total| progress(Progress { name: name.to_string(), phase, done, total });
    let lock = root.join(format!(".{name}.lock"));
    let turn = Turn::take(lock, &mut || {
        report(Phase::Wait, 0, None);
        Ok(())
    });
    let done = turn.and_then(|turn| in_work_folder(name, root, turn.is_alone(), |work| fill(work, &mut report)));
    if done.is_err() && new_root {
        // Removes only an empty folder: a partial download is kept.
        let _ = std::fs::remove_dir(root);
    }
    done
}

/// Runs `fill` with a folder for hidden files: `root`, where a later call resumes them, or, on a file system without locks, one of this
/// process, so that two do not write the same files.
fn in_work_folder(name: &str, root: &Path, is_alone: bool, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if is_alone {
        return fill(root);
    }
    let own = root.join(format!(".{name}.{}", std::process::id()));
    std::fs::create_dir_all(&own).map_err(|e| Error::io(&own, e))?;
    let done = fill(&own);
    // Nobody else looks for what is left.
    let _ = std::fs::remove_dir_all(&own);
    done
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn without_locks_a_process_works_in_a_folder_of_its_own_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(".set.unpacking")).unwrap();
        let write = |work: &Path| {
            assert!(work != root.path() && work.starts_with(root.path()));
            fs::create_dir(work.join(".set.unpacking")).unwrap();
        };
        in_work_folder("set", root.path(), false, |work| {
            write(work);
            fs::rename(work.join(".set.unpacking"), root.path().join("set")).unwrap();
            Ok(())
        })
        .unwrap();
        let failed = in_work_folder("set", root.path(), false, |work| {
            write(work);
            Err(Error::Index { index: 0, len: 0 })
        });
        assert!(failed.is_err());
        // What another process unpacks is still there, and the data set.
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
        in_work_folder("set", root.path(), true, |work| {
            assert_eq!(work, root.path());
            Ok(())
        })
        .unwrap();
    }
}
