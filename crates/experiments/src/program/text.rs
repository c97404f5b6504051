//! Opens a text by the name of its corpus or by its path.

use std::path::{Path, PathBuf};

use lookahead_data::{TextCorpus, TextFiles};

use super::data::{Place, present};
use crate::config::{Corpus, TextConfig};
use crate::error::{Error, Result};
use crate::parts::TextData;
use crate::screen::Progress;

/// Opens the text of `config`, or that of `--dataset-dir`. Downloads it if it is missing, and prints its counts.
///
/// # Errors
/// [`Error::DataMissing`], [`Error::Data`].
pub(super) fn open(config: &TextConfig, place: Place<'_>, progress: &Progress) -> Result<TextData> {
    let corpus = match (place.dataset_dir, config.corpus) {
        (Some(path), _) => read(path, config)?,
        (None, Corpus::Shakespeare) => TextCorpus::shakespeare_by(config.unit, config.least)?,
        (None, Corpus::Ptb) => read(&present(place.root, "ptb", progress)?, config)?,
    };
    let data = TextData::new(corpus, config);
    let about = &data.about;
    for part in [&about.train, &about.valid, &about.test].into_iter().filter(|part| !part.is_empty()) {
        progress.note(&format!("{}: {} tokens", part.name, part.count));
    }
    progress.note(&format!("vocabulary: {} tokens", data.vocabulary.len()));
    Ok(data)
}

/// The corpus in a folder, or in one file, of which a tenth is held out for validation.
fn read(path: &Path, config: &TextConfig) -> Result<TextCorpus> {
    let files = if path.is_file() {
        TextFiles { train: path.to_path_buf(), valid: None, test: None }
    } else {
        let part = |name| part(path, name);
        let train = part("train")?.ok_or_else(|| missing(path))?;
        TextFiles { train, valid: part("valid")?, test: part("test")? }
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(TextCorpus::read(&name, &files, config.unit, config.least)?)
}

/// The file of `folder` for a part: `train.txt`, or a name that ends in `.train.txt`, with or without `.gz`.
fn part(folder: &Path, part: &str) -> Result<Option<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Err(missing(folder)) };
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        stem.strip_suffix(".txt").is_some_and(|stem| stem == part || stem.ends_with(&format!(".{part}")))
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_part).collect();
    found.sort();
    if let [first, second, ..] = &found[..] {
        let hint = format!(
            "{} and {} could both be the {part} part; keep one corpus per folder",
            first.display(),
            second.display()
        );
        return Err(Error::DataMissing { hint });
    }
    Ok(found.pop())
}

fn missing(path: &Path) -> Error {
    Error::DataMissing {
        hint: format!(
            "--dataset-dir {}: no text found; give a text file, or a folder with train.txt and optionally valid.txt and test.txt",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_the_end_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let find = |name| part(folder.path(), name);
        assert!(find("train").unwrap().is_none());
        for name in ["ptb.train.txt", "valid.txt.gz", "contest.txt", "test.md"] {
            std::fs::write(path(name), "a b\n").unwrap();
        }
        assert_eq!(find("train").unwrap(), Some(path("ptb.train.txt")));
        assert_eq!((find("valid").unwrap(), find("test").unwrap()), (Some(path("valid.txt.gz")), None));
        std::fs::write(path("train.txt"), "a b\n").unwrap();
        let message = find("train").unwrap_err().to_string();
        assert!(message.contains("ptb.train.txt") && message.contains("one corpus per folder"), "{message}");
        let message = part(&path("nothing"), "train").unwrap_err().to_string();
        assert!(message.contains("nothing") && message.contains("train.txt"), "{message}");
    }
}
