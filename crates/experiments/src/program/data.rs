//! The data set of an experiment: found, downloaded, listed, decoded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lookahead_data::{
    CachePlan, Dataset, Error as DataError, ImageFolder, Normalize, Splits, image_folder_parts, limit,
};

use super::download::download;
use super::text;
use crate::config::{Config, Experiment, ImagesConfig};
use crate::error::{Error, Result};
use crate::parts::{Data, ImageData};
use crate::screen::{Counting, Progress};

/// The folder of the data sets: `--data`, else `$LOOKAHEAD_DATA`, else `datasets`.
pub fn data_root(flag: Option<&Path>) -> PathBuf {
    match (flag, std::env::var_os("LOOKAHEAD_DATA")) {
        (Some(path), _) => path.to_path_buf(),
        (None, Some(path)) if !path.is_empty() => PathBuf::from(path),
        _ => PathBuf::from("datasets"),
    }
}

/// Where to look for data, and where to store decoded photographs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The folder of data sets.
    pub root: &'a Path,
    /// `--dataset-dir`: a data set to use instead.
    pub dataset_dir: Option<&'a Path>,
    /// The folder for decoded photographs; by default `.cache` in the data folder.
    pub cache: Option<&'a Path>,
}

/// Data sets of at least this many images have the digests of their files stored. Reading smaller ones again takes less
/// than ten seconds.
const KEPT_FROM: usize = 10_000;

/// Opens the data set of `config`. Downloads it if it is missing, prints its counts, and fills the cache of decoded
/// photographs if the configuration has one: with the images that `data.limit_train` and `data.limit_valid` leave.
///
/// # Errors
/// [`Error::DataMissing`], with the path and the ways to get the data, if it is missing and cannot be downloaded;
/// [`Error::Data`] if it is damaged.
pub fn open(config: &Config, place: Place<'_>, progress: &Progress) -> Result<Data> {
    if config.experiment == Experiment::Language {
        return Ok(text::open(config.text()?, place, progress)?.into());
    }
    let images = config.images()?;
    Ok(ImageData::new(splits(config.experiment, images, place, progress)?, images)?.into())
}

fn splits(experiment: Experiment, images: &ImagesConfig, place: Place<'_>, progress: &Progress) -> Result<Splits> {
    let folder = match (experiment, place.dataset_dir) {
        (_, Some(folder)) => existing(folder)?,
        (Experiment::Demo | Experiment::Language, None) => {
            return said(lookahead_data::open(place.root, "shapes")?, progress);
        }
        (Experiment::Cifar10, None) => return published(place.root, "cifar10", progress),
        (Experiment::Cifar100, None) => return published(place.root, "cifar100", progress),
        (Experiment::Imagenette, None) => present(place.root, "imagenette2-320", progress)?,
        (Experiment::Imagenet, None) => imagenet(place.root)?,
    };
    photographs(images, place, &folder, progress)
}

fn published(root: &Path, name: &str, progress: &Progress) -> Result<Splits> {
    present(root, name, progress)?;
    said(lookahead_data::open(root, name)?, progress)
}

/// The folder of data set `name`, which is downloaded if it is missing.
pub(super) fn present(root: &Path, name: &str, progress: &Progress) -> Result<PathBuf> {
    let path = root.join(name);
    if lookahead_data::is_present(root, name)? {
        return Ok(path);
    }
    if !root.is_dir() {
        return Err(Error::DataMissing {
            hint: format!(
                "the data folder {} does not exist; set --data or LOOKAHEAD_DATA to the folder that contains `{name}`, \
                 or download the data set with `just data {name} --data {}`",
                root.display(),
                root.display()
            ),
        });
    }
    progress.note(&format!("{} is missing; downloading", path.display()));
    download(root, name, progress)
}

/// The folder of ImageNet. Downloading it takes an account, so it is never downloaded here.
fn imagenet(root: &Path) -> Result<PathBuf> {
    if lookahead_data::is_present(root, "imagenet")? {
        return Ok(root.join("imagenet"));
    }
    let missing = DataError::Missing { name: "imagenet".to_owned(), path: root.join("imagenet") };
    let hint = format!(
        "{missing}; an account at image-net.org or kaggle.com is needed to download it, see docs/IMAGENET.md; set --data or \
         LOOKAHEAD_DATA to the folder that contains `imagenet`, or give --dataset-dir"
    );
    Err(Error::DataMissing { hint })
}

fn existing(folder: &Path) -> Result<PathBuf> {
    if folder.is_dir() {
        return Ok(folder.to_path_buf());
    }
    Err(Error::DataMissing {
        hint: format!(
            "--dataset-dir {}: there is no such folder; give one that contains train and val, each with one folder of \
             images per class",
            folder.display()
        ),
    })
}

/// A folder of class folders.
fn photographs(images: &ImagesConfig, place: Place<'_>, folder: &Path, progress: &Progress) -> Result<Splits> {
    let mut listing = Counting::new(progress, format!("listing {}", folder.display()));
    let (train, valid) = image_folder_parts(folder, &mut |done, total| listing.at(done, total))?;
    drop(listing);
    let cache = place.cache.map_or_else(|| place.dataset_dir.unwrap_or(place.root).join(".cache"), Path::to_path_buf);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts = [(train, images.limit_train), (valid, images.limit_valid)];
    let [train, valid] = parts.map(|(part, count)| chosen(part, count, &cache, progress));
    let splits = Splits { name, train: train?, valid: valid?, normalize: Normalize::IMAGENET };
    if images.cache_side == 0 {
        return Ok(splits);
    }
    let decoded = |part| decoded(part, &cache, images.cache_side, progress);
    Ok(Splits { train: decoded(splits.train)?, valid: decoded(splits.valid)?, ..splits })
}

/// The images of `part` that are used. Their digest is taken, which may require reading them all.
fn chosen(mut part: ImageFolder, count: usize, cache: &Path, progress: &Progress) -> Result<Arc<dyn Dataset>> {
    let left_out = part.left_out();
    let without = if left_out.is_empty() { String::new() } else { format!(" (left out: {left_out})") };
    progress.note(&format!("{}{without}", counts(&part)));
    if part.len() >= KEPT_FROM {
        part.keep_digests(cache.join(format!("{}.files", part.name().replace(['/', '\\'], "-"))));
    }
    let mut reading = Counting::new(progress, format!("reading {}", part.name()));
    let part: Arc<dyn Dataset> = Arc::new(part);
    let part = if count == 0 { part } else { limit(part, count) };
    part.digest_of(None, &mut |done, total| reading.at(done, total))?;
    Ok(part)
}

fn decoded(part: Arc<dyn Dataset>, cache: &Path, side: usize, progress: &Progress) -> Result<Arc<dyn Dataset>> {
    let (name, images) = (part.name().to_owned(), part.len());
    let plan = CachePlan::new(part, cache, side, &mut |_, _| std::ops::ControlFlow::Continue(()))?;
    if !plan.is_written() {
        let megabytes = plan.bytes() as f64 / 1e6;
        progress.note(&format!("{name}: decoding {images} images to {}, {megabytes:.0} MB", plan.path().display()));
        has_room(&plan, images)?;
    }
    let mut decoding = Counting::new(progress, format!("decoding {name}"));
    Ok(Arc::new(plan.open(&mut |done, total| decoding.at(done, total))?))
}

/// Checks the free space before hours of decoding. Images that an earlier process decoded need no more space.
fn has_room(plan: &CachePlan, images: usize) -> Result<()> {
    let needed = plan.bytes().saturating_sub(plan.bytes_begun());
    let folder = plan.path().parent().unwrap_or(plan.path());
    match free(folder) {
        Some(free) if free < needed => Err(Error::NoRoom {
            folder: folder.display().to_string(),
            images,
            needed_mb: needed.div_ceil(1_000_000),
            free_mb: free / 1_000_000,
        }),
        _ => Ok(()),
    }
}

/// Free bytes for this user in `folder`, which need not exist; `None` if the system does not report them.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let there = std::path::absolute(folder).ok()?;
    let system = there.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(system.f_bavail * system.f_frsize)
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

fn said(splits: Splits, progress: &Progress) -> Result<Splits> {
    progress.note(&counts(splits.train.as_ref()));
    progress.note(&counts(splits.valid.as_ref()));
    Ok(splits)
}

fn counts(part: &dyn Dataset) -> String {
    format!("{}: {} images of {} classes", part.name(), part.len(), part.classes().len())
}

/// Time limit for counting images that cannot be read.
const COUNTING: std::time::Duration = std::time::Duration::from_secs(60);

/// If `error` is an image that cannot be read, adds the number of other such images in the data.
pub(super) fn count_broken(error: Error, data: &Data, progress: &Progress) -> Error {
    let Error::Data(first @ (DataError::Decode { row: None, .. } | DataError::Io { .. })) = error else { return error };
    let Data::Images(data) = data else { return first.into() };
    if data.train.file(0).is_none() {
        return first.into();
    }
    progress.note("an image cannot be read; counting all such images");
    let (begun, mut broken, mut checked) = (std::time::Instant::now(), 0, 0);
    for part in [&data.train, &data.valid] {
        let mut counting = Counting::new(progress, format!("checking {}", part.name()));
        let before = checked;
        let mut report = |done, total| {
            checked = before + done;
            if begun.elapsed() > COUNTING { std::ops::ControlFlow::Break(()) } else { counting.at(done, total) }
        };
        // After the time limit, report the count so far.
        let _ = lookahead_data::check(part.as_ref(), &mut |_| broken += 1, &mut report);
    }
    DataError::Broken { first: Box::new(first), others: usize::saturating_sub(broken, 1), checked }.into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_still_to_be_made_has_the_room_of_the_one_it_will_be_in() {
        let root = tempfile::tempdir().unwrap();
        let [there, to_be] = [root.path().to_path_buf(), root.path().join("a/b")].map(|folder| free(&folder).unwrap());
        // Other processes may write meanwhile.
        assert!(there > 0 && there.abs_diff(to_be) < there / 2, "{there} {to_be}");
    }
}
