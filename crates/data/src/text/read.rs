//! Reads text from files, plain or gzip.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result, whole_file};

/// Maximum size of a text in bytes: ten times WikiText-103.
const MAX_BYTES: u64 = 5 << 30;

const ADVICE: &str = "cut the text into smaller files";

/// The text of a file; one whose name ends in `.gz` is unpacked.
pub(super) fn text(path: &Path) -> Result<String> {
    if path.extension().is_none_or(|ending| ending != "gz") {
        return utf8(whole_file::read(path, MAX_BYTES, ADVICE)?, path);
    }
    let io = |e| Error::io(path, e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    MultiGzDecoder::new(file).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_path_buf(), limit: MAX_BYTES, advice: ADVICE });
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
