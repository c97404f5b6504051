//! How far the run in a folder is, without opening it.

use std::fs;
use std::path::Path;

use toml::Table;

use crate::before::check_config;
use crate::error::Result;
use crate::folder::{CONFIG, DIVERGED, SUMMARY};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not begun, under way, or interrupted.
    ToDo,
    /// It has its summary.
    Done,
    /// Its loss became infinite or not a number: it would again.
    Diverged,
}

/// Looks at the folder `path` for a run of `config`, without a lock and without reading its data: what a sweep asks of thousands of folders.
///
/// # Errors
/// [`Error::ConfigChanged`](crate::Error::ConfigChanged) and [`Error::OtherVersion`](crate::Error::OtherVersion) where the run in the folder is
/// another one, [`Error::Damaged`](crate::Error::Damaged), [`Error::Output`](crate::Error::Output).
pub fn look(path: &Path, config: &Table) -> Result<Look> {
    let Ok(was) = fs::read_to_string(path.join(CONFIG)) else { return Ok(Look::ToDo) };
    // The same text is the same configuration, and quicker to tell.
    let is_same = toml::to_string(config).is_ok_and(|now| now == was);
    if !is_same {
        check_config(path, config)?;
    }
    if path.join(SUMMARY).exists() {
        return Ok(Look::Done);
    }
    Ok(if is_same && path.join(DIVERGED).exists() { Look::Diverged } else { Look::ToDo })
}

/// Whether a run in the folder `path` has come to its end, whatever its configuration.
pub fn has_ended(path: &Path) -> bool {
    path.join(SUMMARY).exists() || path.join(DIVERGED).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_folder_tells_how_far_its_run_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let config = |epochs: u32| format!("epochs = {epochs}\n").parse::<Table>().unwrap();
        assert_eq!(look(path, &config(3)).unwrap(), Look::ToDo);
        fs::write(path.join(CONFIG), "epochs = 3\n").unwrap();
        assert_eq!((look(path, &config(3)).unwrap(), has_ended(path)), (Look::ToDo, false));
        fs::write(path.join(DIVERGED), "{\"step\": 1}").unwrap();
        assert_eq!(look(path, &config(3)).unwrap(), Look::Diverged);
        assert_eq!(look(path, &config(4)).unwrap(), Look::ToDo, "another configuration may do better");
        fs::write(path.join(SUMMARY), "{}").unwrap();
        assert!(has_ended(path));
        assert_eq!(look(path, &config(3)).unwrap(), Look::Done);
        let error = look(path, &config(4)).unwrap_err();
        assert!(matches!(&error, Error::ConfigChanged { key, .. } if key == "epochs"), "{error}");
    }
}
