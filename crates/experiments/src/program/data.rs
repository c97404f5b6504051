//! From an experiment to its data set: found, downloaded, decoded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lookahead_data::{Dataset, DecodedCache, Splits};

use crate::config::{Config, Experiment};
use crate::error::{Error, Result};
use crate::screen::Progress;

/// Where data sets lie: `--data`, else `$LOOKAHEAD_DATA`, else `datasets`.
pub fn data_root(flag: Option<&Path>) -> PathBuf {
    match (flag, std::env::var_os("LOOKAHEAD_DATA")) {
        (Some(path), _) => path.to_path_buf(),
        (None, Some(path)) if !path.is_empty() => PathBuf::from(path),
        _ => PathBuf::from("datasets"),
    }
}

/// Opens the data set of `config` below `root`, or the folder of class folders `dataset_dir`; downloads what is missing, and decodes
/// photographs into the folder `.cache` there if the configuration wants them kept.
///
/// # Errors
/// [`Error::DataMissing`], naming the path and the ways to get the data, where they are not there and cannot be fetched;
/// [`Error::Data`] where they are damaged.
pub fn open(config: &Config, root: &Path, dataset_dir: Option<&Path>, progress: &Progress) -> Result<Splits> {
    let splits = find(config.experiment, root, dataset_dir, progress)?;
    if config.data.cache_side == 0 {
        return Ok(splits);
    }
    let cache = dataset_dir.unwrap_or(root).join(".cache");
    let decoded = |part: Arc<dyn Dataset>| -> Result<Arc<dyn Dataset>> {
        let bar = progress.images();
        bar.set_message(format!("decoding {}", part.name()));
        let decoded = DecodedCache::open(part, &cache, config.data.cache_side, &mut |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        Ok(Arc::new(decoded?))
    };
    Ok(Splits { train: decoded(splits.train)?, valid: decoded(splits.valid)?, ..splits })
}

fn find(experiment: Experiment, root: &Path, dataset_dir: Option<&Path>, progress: &Progress) -> Result<Splits> {
    if let Some(folder) = dataset_dir {
        if !folder.is_dir() {
            return Err(Error::DataMissing {
                hint: format!(
                    "--dataset-dir {}: there is no such folder; give one that holds train and val, each with a folder of images \
                     for each class",
                    folder.display()
                ),
            });
        }
        return Ok(lookahead_data::image_folder(folder)?);
    }
    let name = match experiment {
        Experiment::Demo => return Ok(lookahead_data::open(root, "shapes")?),
        Experiment::Cifar10 => "cifar10",
        Experiment::Cifar100 => "cifar100",
        Experiment::Imagenette => "imagenette2-320",
    };
    if !lookahead_data::is_present(root, name)? {
        fetch(root, name, progress)?;
    }
    Ok(lookahead_data::open(root, name)?)
}

fn fetch(root: &Path, name: &str, progress: &Progress) -> Result<()> {
    let path = root.join(name);
    if !root.is_dir() {
        return Err(Error::DataMissing {
            hint: format!(
                "the data folder {} does not exist; name the folder that holds `{name}` with --data or LOOKAHEAD_DATA, or \
                 make it with `just data {name} --data {}`, which downloads the data set",
                root.display(),
                root.display()
            ),
        });
    }
    progress.note(&format!("{} is missing; downloading", path.display()));
    download(root, name, progress).map(drop)
}

/// Downloads `name` below `root`; does nothing where it is there. Returns its folder.
///
/// # Errors
/// [`Error::DataMissing`] where it cannot be had, with what to do by hand.
#[cfg(feature = "hub")]
pub(crate) fn download(root: &Path, name: &str, progress: &Progress) -> Result<PathBuf> {
    let bar = progress.bytes();
    let downloaded = lookahead_data::download(root, name, &mut |state| {
        bar.set_length(state.total.unwrap_or(state.done));
        bar.set_position(state.done);
        bar.set_message(format!("{} {:?}", state.name, state.phase).to_lowercase());
    });
    bar.finish_and_clear();
    downloaded.map_err(|error| match error {
        lookahead_data::Error::Name { .. } | lookahead_data::Error::Unpublished { .. } => error.into(),
        reason => Error::DataMissing {
            hint: format!(
                "{} is missing and cannot be downloaded here: {reason} (datasets/README.md says which, and where to get them)",
                root.join(name).display()
            ),
        },
    })
}

/// Without the feature `hub` there is no network code.
#[cfg(not(feature = "hub"))]
pub(crate) fn download(root: &Path, name: &str, _progress: &Progress) -> Result<PathBuf> {
    let path = root.join(name);
    if lookahead_data::is_present(root, name)? {
        return Ok(path);
    }
    Err(Error::DataMissing {
        hint: format!(
            "{} is missing and cannot be downloaded here: this build has no `hub` feature; put the files there by hand as \
             datasets/README.md says",
            path.display()
        ),
    })
}
