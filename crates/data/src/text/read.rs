//! Reads text from files, plain or gzip.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Maximum size of a text in bytes: ten times WikiText-103.
const MAX_BYTES: u64 = 5 << 30;

/// The text of a file; one whose name ends in `.gz` is unpacked.
pub(super) fn text(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut bytes = Vec::new();
    let read = match path.extension().is_some_and(|ending| ending == "gz") {
        true => MultiGzDecoder::new(file).take(MAX_BYTES + 1).read_to_end(&mut bytes),
        false => file.take(MAX_BYTES + 1).read_to_end(&mut bytes),
    };
    read.map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("more than {MAX_BYTES} bytes; cut it into smaller files");
        return Err(Error::Text { path: path.to_path_buf(), problem });
    }
    utf8(bytes, path)
}

/// The text of embedded gzip bytes.
pub(super) fn unpacked(bytes: &[u8], name: &str) -> Result<String> {
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut text).map_err(|e| Error::io(name, e))?;
    utf8(text, Path::new(name))
}

fn utf8(bytes: Vec<u8>, path: &Path) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let problem = format!("byte {at} is not valid UTF-8; convert the file to UTF-8");
        Error::Text { path: path.to_path_buf(), problem }
    })
}
