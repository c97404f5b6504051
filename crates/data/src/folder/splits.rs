//! A folder with a part to train on and one to validate on.

use std::path::Path;
use std::sync::Arc;

use super::ImageFolder;
use super::list::layout;
use crate::report::{Report, quiet};
use crate::{Error, Normalize, Result, Splits};

/// Reads a data set laid out as Imagenette is: `dir/train/CLASS/*` and `dir/val/CLASS/*` (or `valid`, or `test`).
///
/// Normalisation is ImageNet's.
///
/// # Errors
/// [`Error::Missing`] where `dir` is no folder, [`Error::Layout`] where a part is missing, and those of [`ImageFolder::open`].
#[doc(alias = "ImageNet")]
#[doc(alias = "Imagenette")]
pub fn image_folder(dir: &Path) -> Result<Splits> {
    let (train, valid) = image_folder_parts(dir, &mut quiet)?;
    let name = name_of(dir);
    Ok(Splits { name, train: Arc::new(train), valid: Arc::new(valid), normalize: Normalize::IMAGENET })
}

/// The parts of [`image_folder`] as the types they are, to train on and to validate on; `report` hears of the files that are listed.
///
/// # Errors
/// As [`image_folder`], and [`Error::Stopped`].
pub fn image_folder_parts(dir: &Path, report: &mut Report<'_>) -> Result<(ImageFolder, ImageFolder)> {
    let name = name_of(dir);
    if !dir.is_dir() {
        return Err(Error::Missing { name, path: dir.to_path_buf() });
    }
    let valid = ["val", "valid", "test"].iter().map(|part| dir.join(part)).find(|part| part.is_dir());
    let (true, Some(valid)) = (dir.join("train").is_dir(), valid) else {
        return Err(layout(dir, "needs the folders train and val, with a folder for each class in them"));
    };
    let train = ImageFolder::open_reporting(format!("{name}/train"), &dir.join("train"), None, report)?;
    let listed = train.files.len();
    let mut both = |done: usize, total| report(listed + done, total);
    let valid = ImageFolder::open_reporting(format!("{name}/valid"), &valid, Some(&train.classes), &mut both)?;
    Ok((train, valid))
}

fn name_of(dir: &Path) -> String {
    dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
