//! Lists the samples in a folder of class folders.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::LeftOut;
use crate::decode::is_image;
use crate::report::{Report, tell};
use crate::{Error, Result};

/// Maximum depth of folders below a class folder; stops links that lead back up.
const MAX_DEPTH: usize = 8;

/// Class folders listed between two reports.
const GROUP: usize = 64;

/// Folders that never hold samples: thumbnails, recycle bins and the like of network storage, macOS, Windows and ext4.
const SYSTEM_FOLDERS: [&str; 8] =
    ["@eaDir", "@tmp", "#recycle", "#snapshot", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// Files with the index of their class.
pub(super) type Files = Vec<(Box<Path>, u32)>;

/// Class folders, their files in order, and everything else.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) classes: Vec<String>,
    pub(super) files: Files,
    pub(super) left_out: LeftOut,
}

/// Lists `dir` as the only class.
pub(super) fn unsorted(dir: &Path) -> Result<Listing> {
    let named = std::path::absolute(dir).map_err(|e| Error::io(dir, e))?;
    let (files, left_out) = class_folder(dir, 0)?;
    Ok(Listing { classes: vec![file_name(&named)?], files, left_out })
}

/// Lists `dir`; with `classes`, no others, in that order.
pub(super) fn list(dir: &Path, classes: Option<&[String]>, report: &mut Report<'_>) -> Result<Listing> {
    let mut left_out = LeftOut::default();
    let mut found = Vec::new();
    for entry in entries(dir, &mut left_out)? {
        match entry {
            Entry::Folder(path) => found.push((file_name(&path)?, path)),
            Entry::File(_) | Entry::Other(_) => left_out.beside += 1,
        }
    }
    if found.is_empty() {
        let flat = if left_out.beside > 1 {
            format!(
                "{} files and no class folders; move each file to a folder of its class (ImageNet publishes its validation images \
                 like this, with a separate list of classes)",
                left_out.beside
            )
        } else {
            "no class folders in it".to_string()
        };
        return Err(layout(dir, &flat));
    }
    let classes = match classes {
        Some(classes) => classes.to_vec(),
        None => found.iter().map(|(class, _)| class.clone()).collect(),
    };
    let folders = in_order(found, &classes)?;
    let mut files = Vec::new();
    for group in folders.chunks(GROUP) {
        let listed: Vec<Result<(Files, LeftOut)>> =
            group.par_iter().map(|(place, path)| class_folder(path, *place)).collect();
        for listed in listed {
            let (mut of_class, without) = listed?;
            files.append(&mut of_class);
            left_out.add(without);
        }
        tell(report, files.len(), None)?;
    }
    files.shrink_to_fit();
    Ok(Listing { classes, files, left_out })
}

/// The folders `found` by the index of their class.
fn in_order(found: Vec<(String, PathBuf)>, classes: &[String]) -> Result<Vec<(u32, PathBuf)>> {
    let places = places(classes)?;
    let mut folders = Vec::with_capacity(found.len());
    for (class, path) in found {
        match places.get(class.as_str()) {
            Some(place) => folders.push((*place, path)),
            None => return Err(layout(&path, "this class is not in the training part")),
        }
    }
    folders.sort();
    Ok(folders)
}

/// The index of each class.
///
/// # Errors
/// [`Error::Setting`] if two have one name.
pub(super) fn places(classes: &[String]) -> Result<HashMap<&str, u32>> {
    let mut places = HashMap::with_capacity(classes.len());
    for (place, class) in classes.iter().enumerate() {
        if places.insert(class.as_str(), place as u32).is_some() {
            return Err(Error::setting("classes", format!("a list with `{class}` twice"), "a list of different names"));
        }
    }
    Ok(places)
}

fn class_folder(path: &Path, label: u32) -> Result<(Files, LeftOut)> {
    let (mut files, mut left_out) = (Vec::new(), LeftOut::default());
    images(path, label, &mut files, &mut left_out, MAX_DEPTH)?;
    if !files.is_empty() {
        return Ok((files, left_out));
    }
    let problem = match left_out.is_empty() {
        true => "a class folder without files".to_string(),
        false => format!("a class folder without JPEG or PNG images (in it: {left_out})"),
    };
    Err(layout(path, &problem))
}

fn images(dir: &Path, label: u32, files: &mut Files, left_out: &mut LeftOut, depth: usize) -> Result<()> {
    for entry in entries(dir, left_out)? {
        match entry {
            Entry::Folder(path) if depth == 0 => {
                return Err(layout(&path, "folders are nested too deep, or a link leads to a folder above"));
            }
            Entry::Folder(path) => images(&path, label, files, left_out, depth - 1)?,
            Entry::File(path) if is_sample(&path) => files.push((path.into_boxed_path(), label)),
            Entry::File(path) | Entry::Other(path) => left_out.file(&path),
        }
    }
    Ok(())
}

pub(super) enum Entry {
    Folder(PathBuf),
    /// A file, or a link that leads nowhere, which is an error when it is read.
    File(PathBuf),
    /// A pipe, a socket or a device: reading it could block for ever.
    Other(PathBuf),
}

/// The entries of a folder in byte order of their names, without hidden entries and system folders.
pub(super) fn entries(dir: &Path, left_out: &mut LeftOut) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))? {
        let entry = entry.map_err(|e| Error::io(dir, e))?;
        // The type from the listing, without another query; links are followed.
        let kind = entry.file_type().map_err(|e| Error::io(entry.path(), e))?;
        let kind =
            if kind.is_symlink() { std::fs::metadata(entry.path()).ok().map(|m| m.file_type()) } else { Some(kind) };
        entries.push((entry.path(), kind));
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut kept = Vec::with_capacity(entries.len());
    for (path, kind) in entries {
        let name = path.file_name().unwrap_or_default();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        match (kind.is_some_and(|kind| kind.is_dir()), hidden) {
            (true, false) if SYSTEM_FOLDERS.iter().all(|known| name != *known) => kept.push(Entry::Folder(path)),
            (true, _) => left_out.folders.push(path),
            (false, true) => left_out.hidden += 1,
            (false, false) if kind.is_none_or(|kind| kind.is_file()) => kept.push(Entry::File(path)),
            (false, false) => kept.push(Entry::Other(path)),
        }
    }
    Ok(kept)
}

/// True for an [`Entry::File`] that is an image by extension or content.
pub(super) fn is_sample(path: &Path) -> bool {
    has_image_ending(path) || has_image_content(path)
}

/// True for an image's extension. Such a file is a sample even if it cannot be read; reading it reports the error.
fn has_image_ending(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["jpg", "jpeg", "png", "jpe", "jfif"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn has_image_content(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|count| is_image(&start[..count]))
}

pub(super) fn layout(path: &Path, problem: &str) -> Error {
    Error::Layout { path: path.to_path_buf(), problem: problem.to_string() }
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_string).ok_or_else(|| layout(path, "a class folder whose name is not UTF-8"))
}
