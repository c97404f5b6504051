//! Digests: of files, of weights, of data.

use std::fmt::Write as _;
use std::io::{Read, Result as IoResult};
use std::path::Path;

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal of several pieces, each preceded by its length so that no two lists of pieces agree by chance.
pub(crate) fn of_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update((piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    hexadecimal(&hasher.finalize())
}

/// SHA-256 of a file, as `sha256sum` prints it.
pub(crate) fn of_file(path: &Path) -> IoResult<String> {
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

/// Digest of named tensors in the order of their names: name, shape and values (f32, little-endian) of each.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use lookahead_experiments::weights_digest;
/// let one = |x: f32| Tensor::new(&[x], &Device::Cpu);
/// let forward = weights_digest(&[("a".into(), one(1.0)?), ("b".into(), one(2.0)?)])?;
/// let backward = weights_digest(&[("b".into(), one(2.0)?), ("a".into(), one(1.0)?)])?;
/// assert_eq!(forward, backward);
/// assert_ne!(forward, weights_digest(&[("a".into(), one(1.0)?), ("b".into(), one(2.5)?)])?);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Those of reading a tensor from its device.
pub fn weights_digest(tensors: &[(String, Tensor)]) -> candle_core::Result<String> {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by_key(|(name, _)| name);
    let mut hasher = Sha256::new();
    for (name, tensor) in sorted {
        hasher.update(format!("{name}\0{:?}\0", tensor.dims()));
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let mut bytes = Vec::with_capacity(values.len() * 4);
        values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        hasher.update(&bytes);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
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
