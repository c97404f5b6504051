//! A folder with a training and a validation part.

use std::path::Path;
use std::sync::Arc;

use super::list::layout;
use super::{ImageFolder, flat};
use crate::report::{Report, quiet};
use crate::{Error, Normalize, Result, Splits};

/// Reads a data set laid out like Imagenette or ImageNet: `dir/train/CLASS/*` and `dir/val/CLASS/*` (or `valid`, or `test`).
///
/// `val` may hold its images without class folders, as ImageNet is published. Their classes are then read from `LOC_val_solution.csv` or, if
/// there is none, from `val.txt`, both looked for in `dir`, then in `dir/val`: see [`ImageFolder::open_listed`].
///
/// The normalisation is ImageNet's.
///
/// # Errors
/// [`Error::Missing`] if `dir` is not a folder, [`Error::Layout`] if a part or the list of classes is missing, and those of
/// [`ImageFolder::open`] and [`ImageFolder::open_listed`].
#[doc(alias = "ImageNet")]
#[doc(alias = "Imagenette")]
pub fn image_folder(dir: &Path) -> Result<Splits> {
    let (train, valid) = image_folder_parts(dir, &mut quiet)?;
    let name = name_of(dir);
    Ok(Splits { name, train: Arc::new(train), valid: Arc::new(valid), normalize: Normalize::IMAGENET })
}

/// The training and validation parts of [`image_folder`] as [`ImageFolder`]s. `report` receives the number of files listed.
///
/// # Errors
/// Those of [`image_folder`], and [`Error::Stopped`].
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
    // `val`, `valid` or `test`, as the folder spells it.
    let valid_name = format!("{name}/{}", name_of(&valid));
    let valid = match flat::is_flat(&valid)? {
        true => ImageFolder::open_listed(valid_name, &valid, &flat::list_for(&valid)?, &train.classes)?,
        false => ImageFolder::open_reporting(valid_name, &valid, Some(&train.classes), &mut both)?,
    };
    Ok((train, valid))
}

fn name_of(dir: &Path) -> String {
    dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
