//! A safetensors file with text entries in its metadata.

use crate::{Error, Result};
use candle_core::{Device, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The file's contents: tensors, and text entries in the metadata.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) lines: BTreeMap<String, String>,
}

/// The only metadata entry. safetensors keeps metadata in an unordered hash map; with one entry, equal contents give equal bytes.
const ENTRY: &str = "lookahead-optim";
const FORMAT: &str = "1";

impl Archive {
    /// An empty archive.
    pub(super) fn new() -> Self {
        Self { tensors: BTreeMap::new(), lines: BTreeMap::from([("format".to_string(), FORMAT.to_string())]) }
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let text: String = self.lines.iter().map(|(k, v)| format!("{}\t{}\n", escape(k), escape(v))).collect();
        let bytes = safetensors::serialize(&self.tensors, Some(HashMap::from([(ENTRY.to_string(), text)])))
            .map_err(|error| Error::Format { path: path.to_path_buf(), reason: error.to_string() })?;
        replace(path, &bytes)
    }

    pub(super) fn load(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        let format = |reason: String| Error::Format { path: path.to_path_buf(), reason };
        let (_, metadata) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let text = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(ENTRY))
            .ok_or_else(|| format("was not written by lookahead-optim: its metadata lacks our entry".into()))?;
        let lines: BTreeMap<String, String> = text
            .lines()
            .map(|line| line.split_once('\t').map(|(k, v)| (unescape(k), unescape(v))))
            .collect::<Option<_>>()
            .ok_or_else(|| format("its metadata is damaged: a line has no value".into()))?;
        match lines.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => return Err(format(format!("has format {other}, but this version reads {FORMAT}"))),
            None => return Err(format("its metadata is damaged: it names no format".into())),
        }
        let tensors = candle_core::safetensors::load_buffer(&bytes, device)?.into_iter().collect();
        Ok(Self { tensors, lines })
    }
}

/// Writes a temporary file next to `path`, then renames it, so a crash leaves the old file intact. A failure leaves no temporary file.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".partial");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    });
    written.map_err(|source| {
        // The disk may be full; do not leave a partial file.
        let _ = std::fs::remove_file(&temporary);
        Error::Io { path: path.to_path_buf(), source }
    })
}

/// The entries whose key starts with `prefix`, with the prefix removed.
pub(super) fn under<V: Clone>(prefix: &str, map: &BTreeMap<String, V>) -> BTreeMap<String, V> {
    map.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_string(), v.clone()))).collect()
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escape, replace, unescape};

    #[test]
    fn a_file_that_cannot_take_its_name_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest.safetensors");
        std::fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"whole").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_text_survives_a_line() {
        for text in ["", "plain", "a\tb\nc\\d\re", "\\n", "trailing\\", "\u{e9}\u{2028}"] {
            let line = escape(text);
            assert!(!line.contains(['\n', '\t', '\r']));
            assert_eq!(unescape(&line), text);
        }
    }
}
