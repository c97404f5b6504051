//! The state of a run folder, without opening it.

use std::fs;
use std::path::Path;

use toml::Table;

use crate::before::check_config;
use crate::error::Result;
use crate::folder::{CONFIG, DIVERGED, SUMMARY};

/// The state of a run, as [`look()`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not begun, running, or interrupted.
    ToDo,
    /// Finished: it has a `summary.json`.
    Done,
    /// Its loss became infinite or NaN with this configuration; another attempt would repeat that.
    Diverged,
}

/// The state of the run of `config` in the folder `path`. Takes no lock and compares no data, so it is quick enough for
/// a sweep with thousands of folders.
///
/// # Errors
/// [`Error::ConfigChanged`](crate::Error::ConfigChanged) or [`Error::OtherVersion`](crate::Error::OtherVersion) if the
/// folder holds a different run, [`Error::Damaged`](crate::Error::Damaged) if its configuration cannot be parsed,
/// [`Error::Output`](crate::Error::Output) if it cannot be read.
pub fn look(path: &Path, config: &Table) -> Result<Look> {
    let Ok(was) = fs::read_to_string(path.join(CONFIG)) else { return Ok(Look::ToDo) };
    // Comparing the text first is quicker: the same text is the same configuration.
    let is_same = toml::to_string(config).is_ok_and(|now| now == was);
    if !is_same {
        check_config(path, config)?;
    }
    if path.join(SUMMARY).exists() {
        return Ok(Look::Done);
    }
    Ok(if is_same && path.join(DIVERGED).exists() { Look::Diverged } else { Look::ToDo })
}

/// As [`look()`], with any value of the setting `key` in the folder's configuration: a run that is only read, such as on a
/// machine without its `device`, need not have the reader's.
///
/// # Errors
/// As [`look()`].
pub fn look_except(path: &Path, config: &Table, key: &str) -> Result<Look> {
    // A configuration that cannot be parsed is reported by `look`.
    let was: Option<Table> = fs::read_to_string(path.join(CONFIG)).ok().and_then(|text| text.parse().ok());
    let mut config = config.clone();
    config.extend(was.and_then(|mut was| was.remove_entry(key)));
    look(path, &config)
}

/// True if the run in the folder `path` is done or diverged, with any configuration.
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

    #[test]
    fn one_setting_may_differ() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let config: Table = "device = \"cpu\"\nepochs = 3\n".parse().unwrap();
        fs::write(path.join(CONFIG), toml::to_string(&config).unwrap().replace("cpu", "cuda:0")).unwrap();
        fs::write(path.join(DIVERGED), "{\"step\": 1}").unwrap();
        assert_eq!(look(path, &config).unwrap(), Look::ToDo);
        assert_eq!(look_except(path, &config, "device").unwrap(), Look::Diverged);
        fs::write(path.join(SUMMARY), "{}").unwrap();
        assert!(look(path, &config).is_err());
        assert_eq!(look_except(path, &config, "device").unwrap(), Look::Done);
        assert!(look_except(path, &config, "epochs").is_err(), "the device differs, too");
    }
}
