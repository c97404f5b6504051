//! Downloads of the published data sets.

mod durable;
mod fetch;
#[cfg(feature = "hub")]
mod hub;
mod in_turn;
mod text;
mod unpack;

use std::path::{Path, PathBuf};

use in_turn::in_turn;
pub use text::{PublishedText, published_texts};

use crate::catalog::{folder, is_present};
use crate::{Error, Result};

/// A data set that its authors publish as an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published<'a> {
    /// Name of the data set, and of its folder.
    pub name: &'a str,
    /// Address of the archive (.tar.gz).
    pub url: &'a str,
    /// MD5 sum of the archive in hexadecimal.
    pub md5: &'a str,
    /// Length of the archive in bytes, if published.
    pub bytes: Option<u64>,
    /// The same images on the hub, which [`download`] uses if the archive is unavailable (feature `hub`).
    pub hub: Option<&'a str>,
}

/// All archives that [`download`] supports. For texts, see [`published_texts`].
pub fn published() -> &'static [Published<'static>] {
    &PUBLISHED
}

const PUBLISHED: [Published<'static>; 5] = [
    Published {
        name: "cifar10",
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
        bytes: Some(170_052_171),
        hub: Some("uoft-cs/cifar10"),
    },
    Published {
        name: "cifar100",
        url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5: "03b5dce01913d631647c71ecec9e9cb8",
        bytes: Some(168_513_733),
        hub: Some("uoft-cs/cifar100"),
    },
    Published {
        name: "imagenette2-160",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
        md5: "e793b78cc4c9e9a4ccc0c1155377a412",
        bytes: None,
        hub: None,
    },
    Published {
        name: "imagenette2-320",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
        md5: "3df6f0d01a2c9592104656642f5e78a3",
        bytes: None,
        hub: None,
    },
    Published {
        name: "imagenette2",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
        md5: "fe2fc210e6bb7c5664d602c3cd71e612",
        bytes: None,
        hub: None,
    },
];

/// The progress of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Name of the data set.
    pub name: String,
    /// Current phase.
    pub phase: Phase,
    /// Bytes processed in this phase.
    pub done: u64,
    /// Bytes in total, if known.
    pub total: Option<u64>,
}

/// The steps of a download, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Another process downloads the same data set; this one waits for it.
    Wait,
    /// The bytes are downloaded.
    Download,
    /// The checksum is verified.
    Verify,
    /// The archive is unpacked.
    Unpack,
}

/// Ensures that the data set `name` is below `root`, and returns its folder. If it exists, nothing is done.
///
/// An archive is downloaded to a hidden file, checked against its published checksum, unpacked to a hidden folder and renamed, so a
/// half-written data set never looks complete. An interrupted download resumes, also in a later call. If two processes request the same
/// data set, the second waits and finds it done. `progress` is called about once per megabyte, and a few times per second while this
/// call waits. Only the data set is left at the end or, after a failure, the part of the archive that was downloaded.
///
/// On a file system without locks, each process downloads for itself, and nothing is left to resume.
///
/// # Errors
/// [`Error::Unpublished`] for a name that is neither in [`published`] nor in [`published_texts`]; [`Error::Occupied`], before any download,
/// if the folder holds something else; [`Error::Download`] without a network, with the files to place by hand; [`Error::Checksum`],
/// [`Error::Member`] or [`Error::Io`] for an archive that is damaged or cannot be stored.
pub fn download(root: &Path, name: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let name = if name == "cifar100-coarse" { "cifar100" } else { name };
    if let Some(text) = published_texts().iter().find(|text| text.name == name) {
        return download_text(text, root, progress);
    }
    let set =
        PUBLISHED.iter().find(|set| set.name == name).ok_or_else(|| Error::Unpublished { name: name.to_string() })?;
    download_from(set, root, progress)
}

/// Like [`download`], for a text from any address.
///
/// # Errors
/// Those of [`download_from`].
pub fn download_text(text: &PublishedText<'_>, root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    placed(text.name, root, progress, |work, target, report| text::fetch_files(text, work, target, report))
}

/// Like [`download`], for any archive of the same kind, published or your own.
///
/// # Errors
/// [`Error::Name`] if the name is not a plain folder name, and those of [`download`].
pub fn download_from(set: &Published<'_>, root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    placed(set.name, root, progress, |work, target, report| match fetch_archive(set, work, target, report) {
        #[cfg(feature = "hub")]
        Err(error @ Error::Download { .. }) => match set.hub {
            // If the hub fails too, report the archive's error: it names an address that users can open.
            Some(id) => {
                hub::fetch(id, set.name, work, target).map_err(|_| error)?;
                // Nobody needs the part of the archive any more. Without one there is nothing to remove.
                let _ = std::fs::remove_file(part(set, work));
                Ok(())
            }
            None => Err(error),
        },
        other => other,
    })
}

/// The folder of `name` below `root`, filled by `fetch` if it is missing: see [`in_turn`](in_turn::in_turn).
fn placed(
    name: &str,
    root: &Path,
    progress: &mut dyn FnMut(Progress),
    fetch: impl FnOnce(&Path, &Path, &mut Report<'_>) -> Result<()>,
) -> Result<PathBuf> {
    let target = folder(root, name)?;
    if is_present(root, name)? {
        return Ok(target);
    }
    vacate(&target, name)?;
    let done = in_turn(name, root, progress, |work, report| match is_present(root, name)? {
        true => Ok(()),
        false => fetch(work, &target, report),
    });
    match done {
        // Without locks, another process may have been faster.
        Err(_) if is_present(root, name)? => Ok(target),
        done => done.map(|()| target),
    }
}

/// Removes the target folder if it is empty. What cannot be removed, such as a link or a mount point, could not be replaced after the
/// download either.
fn vacate(target: &Path, name: &str) -> Result<()> {
    let refused = match std::fs::remove_dir(target) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => e,
        _ => return Ok(()),
    };
    let is_filled = std::fs::read_dir(target).is_ok_and(|entries| entries.count() > 0);
    let problem = if is_filled {
        format!("it should hold {}", crate::catalog::belongs_there(name))
    } else if target.is_file() {
        "it is a file".to_string()
    } else {
        format!("it is empty, but the data set cannot take its place ({refused})")
    };
    Err(Error::Occupied { name: name.to_string(), path: target.to_path_buf(), problem })
}

/// Unpacks an archive that you downloaded yourself to `root/NAME`, like [`download`]. Members that lead out of that folder are rejected. While
/// another process downloads or unpacks the same data set, this call waits.
///
/// # Errors
/// [`Error::Name`] if `name` is not a plain folder name; [`Error::Io`], before anything is unpacked, if the folder holds something;
/// [`Error::Member`] or [`Error::Io`] for an archive that is malicious, damaged or cannot be stored.
pub fn unpack_archive(name: &str, archive: &Path, root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let target = folder(root, name)?;
    in_turn(name, root, progress, |work, report| unpack::unpack(name, archive, work, &target, report))?;
    Ok(target)
}

type Report<'a> = dyn FnMut(Phase, u64, Option<u64>) + 'a;

/// The part of an archive that was downloaded.
fn part(set: &Published<'_>, work: &Path) -> PathBuf {
    work.join(format!(".{}.part", set.name))
}

fn fetch_archive(set: &Published<'_>, work: &Path, target: &Path, report: &mut Report<'_>) -> Result<()> {
    let archive = part(set, work);
    fetch::fetch(set, &archive, target, report)?;
    fetch::verify(set, &archive, report)?;
    unpack::unpack(set.name, &archive, work, target, report)?;
    std::fs::remove_file(&archive).map_err(|e| Error::io(&archive, e))
}
