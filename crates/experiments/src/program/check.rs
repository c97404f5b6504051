//! `data --check`: reads all images of a folder and lists those that are broken.

use std::path::Path;

use lookahead_data::{Dataset, Error as DataError, ImageFolder, image_folder_parts};
use lookahead_report::console::{one_line, print};

use crate::error::{Error, Result};
use crate::screen::{Counting, Progress};

/// Reads all images of `folder`, which contains `train` and `val`, class folders, or unsorted images; prints a line for
/// each broken image.
///
/// # Errors
/// [`Error::BrokenImages`] if there are any; [`Error::Data`] if the folder cannot be listed.
pub(super) fn check(folder: &Path, progress: &Progress) -> Result<()> {
    let mut listing = Counting::new(progress, format!("listing {}", folder.display()));
    let parts = if folder.join("train").is_dir() {
        let (train, valid) = image_folder_parts(folder, &mut |done, total| listing.at(done, total))?;
        vec![train, valid]
    } else {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        vec![match has_folders(folder) {
            true => ImageFolder::open_reporting(name, folder, None, &mut |done, total| listing.at(done, total))?,
            false => ImageFolder::open_unsorted(name, folder)?,
        }]
    };
    drop(listing);
    let (mut broken, mut checked, mut printed) = (0, 0, Ok(()));
    for part in &parts {
        let mut counting = Counting::new(progress, format!("checking {}", part.name()));
        let mut list = |error: DataError| {
            broken += 1;
            if printed.is_ok() {
                printed = print(&format!("{}\n", one_line(&error.to_string())));
            }
        };
        lookahead_data::check(part, &mut list, &mut |done, total| counting.at(done, total))?;
        drop(counting);
        checked += part.len();
        let left_out = part.left_out();
        let without = if left_out.is_empty() { String::new() } else { format!(" (left out: {left_out})") };
        progress.note(&format!("{}: {} images of {} classes{without}", part.name(), part.len(), part.classes().len()));
    }
    printed?;
    match broken {
        0 => progress.note(&format!("all {checked} images can be read")),
        broken => return Err(Error::BrokenImages { broken, checked, folder: folder.display().to_string() }),
    }
    Ok(())
}

/// Whether the folder has subfolders. True for a folder that cannot be read: listing it then reports the error.
fn has_folders(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |entries| {
        entries.flatten().any(|entry| entry.path().is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b"."))
    })
}
