//! SHA-256 digests of files and of byte strings.

use std::fmt::Write as _;
use std::io::{Read, Result as IoResult};
use std::path::Path;

use sha2::{Digest, Sha256};

/// SHA-256 of a list of byte strings, in lowercase hexadecimal. Each is preceded by its length (u64, little endian), so
/// that different splits of the same bytes differ.
pub fn of_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update((piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    hexadecimal(&hasher.finalize())
}

/// SHA-256 of a file, in lowercase hexadecimal as `sha256sum` prints it.
///
/// # Errors
/// The operating system's error if the file cannot be read.
pub fn of_file(path: &Path) -> IoResult<String> {
    let mut hasher = Sha256::new();
    let mut file = std::fs::File::open(path)?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            read => hasher.update(&chunk[..read]),
        }
    }
}

/// `bytes` as lowercase hexadecimal digits, two per byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_the_published_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(of_file(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn pieces_are_told_apart() {
        assert_ne!(of_pieces([&b"ab"[..], b"c"]), of_pieces([&b"a"[..], b"bc"]));
    }
}
