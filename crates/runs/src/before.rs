//! Checks whether a run folder of an earlier process can be resumed.

use std::fs;
use std::path::Path;

use toml::Table;

use crate::dataset::DataSet;
use crate::difference::first_difference;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::folder::{CONFIG, DATA, SUMMARY};
use crate::row::RowId;
use crate::summary::RunSummary;
use crate::{atomic, checkpoint};

/// Compares the configurations. A run without checkpoint and summary may restart with any configuration: nothing is
/// lost. One with them but without a configuration could be any run.
pub(crate) fn check_config(path: &Path, now: &Table) -> Result<()> {
    let file = path.join(CONFIG);
    let worth_keeping = path.join(SUMMARY).exists() || checkpoint::any(path);
    if !worth_keeping {
        return Ok(());
    }
    let damaged = |reason: String| Error::Damaged { path: file.clone(), reason };
    if !file.exists() {
        return Err(damaged("it is missing, while the run's results are there".to_owned()));
    }
    let text = fs::read_to_string(&file).map_err(Error::output("read", &file))?;
    let was: Table = text.parse().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
    if RowId::of_config(&was).is_none() && RowId::of_old_config(&was).is_some() {
        let environment = Environment::read(path).unwrap_or_default();
        let version = environment.map(|environment| environment.version).filter(|version| !version.is_empty());
        return Err(Error::OtherVersion {
            path: path.to_path_buf(),
            version: version.unwrap_or_else(|| "0.1".to_owned()),
        });
    }
    match first_difference(&was, now) {
        None => Ok(()),
        Some((key, was, now)) => Err(Error::ConfigChanged { path: path.to_path_buf(), key, was, now }),
    }
}

/// Compares the data. A run without checkpoint may restart on any data.
pub(crate) fn check_data(path: &Path, now: &DataSet) -> Result<()> {
    // A damaged file is rewritten: checkpoints and summaries hold the digest, too.
    let was: Option<DataSet> = atomic::read_json(&path.join(DATA)).unwrap_or_default();
    match was {
        Some(was) if checkpoint::any(path) && was.sha256 != now.sha256 => {
            Err(Error::DataChanged { path: path.to_path_buf(), was: was.sha256, now: now.sha256.clone() })
        }
        _ => Ok(()),
    }
}

/// The summary of a run that is done; `None` if it is not.
pub(crate) fn read_done(path: &Path, data_sha256: &str) -> Result<Option<RunSummary>> {
    let Some(summary) = RunSummary::read(path)? else { return Ok(None) };
    match &summary.details {
        Some(details) if details.data_sha256 == data_sha256 => Ok(Some(summary)),
        Some(details) => Err(Error::DataChanged {
            path: path.to_path_buf(),
            was: details.data_sha256.clone(),
            now: data_sha256.to_owned(),
        }),
        None => Err(Error::Damaged { path: path.join(SUMMARY), reason: "it lacks the run's details".to_owned() }),
    }
}
