//! Reads whole files, up to a limit.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::{Error, Result};

/// The bytes of a file of at most `limit`; `advice` says what to do about a larger one, which is not read.
pub(crate) fn read(path: &Path, limit: u64, advice: &'static str) -> Result<Vec<u8>> {
    let io = |e| Error::io(path, e);
    let too_large = || Error::TooLarge { path: path.to_path_buf(), limit, advice };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // One extra byte, so that the end is found without growing.
    bytes.try_reserve_exact(length as usize + 1).map_err(|e| io(e.into()))?;
    // A pipe has no length, and a file may grow.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_refused_before_memory_is_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"1234").unwrap();
        assert_eq!(read(&path, 4, "cut it").unwrap(), b"1234");
        assert!(read(&path, 3, "cut it").unwrap_err().to_string().ends_with("a: more than 3 bytes; cut it"));
        // More than any memory, and no room on the disk.
        let huge = 1 << 43;
        File::options().write(true).open(&path).unwrap().set_len(huge).unwrap();
        assert!(matches!(read(&path, huge - 1, ""), Err(Error::TooLarge { limit, .. }) if limit == huge - 1));
        assert!(matches!(read(&dir.path().join("b"), 3, ""), Err(Error::Io { .. })));
    }

    /// A pipe does not say its length.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_length_is_read_up_to_the_limit() {
        assert!(matches!(read(Path::new("/dev/zero"), 1000, ""), Err(Error::TooLarge { limit: 1000, .. })));
    }
}
