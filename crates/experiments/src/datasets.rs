//! From an experiment to its data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lookahead_data::{Dataset, DecodedCache, Loader, LoaderConfig, Normalize, Pipeline, Splits};

use crate::config::{Augmentation, Config, Mixing, Normalization};
use crate::digest;
use crate::error::{Error, Result};
use crate::names::Experiment;
use crate::progress::Progress;

/// Training and validation images as a configuration wants them.
#[derive(Debug, Clone)]
pub struct Data {
    /// Training images.
    pub train: Arc<dyn Dataset>,
    /// Validation images.
    pub valid: Arc<dyn Dataset>,
    /// Bytes to numbers.
    pub normalize: Normalize,
    /// Digest of both.
    pub sha256: String,
}

impl Data {
    /// Cuts `splits` to the limits of `config` and takes the digest.
    ///
    /// # Errors
    /// Those of reading the data.
    pub fn new(splits: Splits, config: &Config) -> Result<Self> {
        let limited = |dataset: Arc<dyn Dataset>, count| match count {
            0 => dataset,
            count => lookahead_data::limit(dataset, count),
        };
        let train = limited(splits.train, config.data.limit_train);
        let valid = limited(splits.valid, config.data.limit_valid);
        let normalize = match config.data.normalize {
            Normalization::Dataset => splits.normalize,
            Normalization::UnitRange => Normalize::UNIT,
        };
        let sha256 = digest::of_pieces([train.digest()?.as_bytes(), valid.digest()?.as_bytes()]);
        Ok(Self { train, valid, normalize, sha256 })
    }

    /// The loader of training images for `seed`. A batch is one part of `train.accumulate`.
    ///
    /// # Errors
    /// Those of the pipeline and the loader, such as an image size they cannot make.
    pub fn train_loader(&self, config: &Config, seed: u64) -> Result<Loader> {
        let mixing = match config.data.mixing {
            Mixing::None => lookahead_data::Mixing::None,
            Mixing::Mixup => lookahead_data::Mixing::Mixup { alpha: config.data.mixing_alpha },
            Mixing::MixupPerSample => lookahead_data::Mixing::MixupPerSample { alpha: config.data.mixing_alpha },
            Mixing::Cutmix => lookahead_data::Mixing::CutMix { alpha: config.data.mixing_alpha },
        };
        let loader = LoaderConfig {
            batch_size: config.train.batch_size / config.train.accumulate,
            seed,
            mixing,
            ..LoaderConfig::default()
        };
        Ok(Loader::new(Arc::clone(&self.train), train_pipeline(config)?, loader)?)
    }

    /// The loader of validation images, in order.
    ///
    /// # Errors
    /// As [`Data::train_loader`].
    pub fn valid_loader(&self, config: &Config) -> Result<Loader> {
        let loader = LoaderConfig::evaluation(config.train.batch_size / config.train.accumulate);
        Ok(Loader::new(Arc::clone(&self.valid), valid_pipeline(config)?, loader)?)
    }
}

/// The side that pipelines which resize must be given.
fn side(config: &Config) -> usize {
    match (config.data.image_size, config.experiment) {
        (0, Experiment::Imagenette) => 224,
        (0, _) => 32,
        (size, _) => size,
    }
}

fn train_pipeline(config: &Config) -> Result<Pipeline> {
    Ok(match config.data.augmentation {
        Augmentation::None => valid_pipeline(config)?,
        Augmentation::PadCropFlip => Pipeline::cifar(),
        Augmentation::OriginalCrop => Pipeline::cifar_original(false),
        Augmentation::OriginalCropFlip => Pipeline::cifar_original(true),
        Augmentation::RandomResizedCrop => Pipeline::imagenet_train(side(config), config.data.min_scale)?,
        Augmentation::FastaiV1 => Pipeline::fastai_train(side(config))?,
    })
}

fn valid_pipeline(config: &Config) -> Result<Pipeline> {
    let size = side(config);
    Ok(match (config.data.augmentation, config.experiment, config.data.image_size) {
        (Augmentation::FastaiV1, ..) => Pipeline::fastai_eval(size)?,
        // The usual margin: 256 for 224.
        (Augmentation::RandomResizedCrop, ..) | (_, Experiment::Imagenette, _) | (_, _, 1..) => {
            Pipeline::imagenet_eval(size * 8 / 7, size)?
        }
        _ => Pipeline::default(),
    })
}

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
