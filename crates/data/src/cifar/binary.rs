//! The binary files of the published archives: records of one or two label bytes, then 1024 red, 1024 green, 1024 blue values.

use std::path::{Path, PathBuf};

use super::{Kind, SIZE, class_names};
use crate::{CHANNELS, Error, InMemory, Result, whole_file};

const PLANE: usize = SIZE.height * SIZE.width;

/// Maximum size of a file in bytes: CIFAR-100's training file has 154 million.
const MAX_BYTES: u64 = 1 << 28;

/// Reads all records of `paths`, in order.
pub(super) fn read(paths: &[PathBuf], kind: &Kind) -> Result<InMemory> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let bytes = whole_records(path, kind)?;
        pixels.reserve(bytes.len());
        decode(&bytes, path, kind, &mut pixels, &mut labels)?;
    }
    InMemory::new(kind.name, class_names(kind), SIZE, pixels, labels)
}

fn whole_records(path: &Path, kind: &Kind) -> Result<Vec<u8>> {
    let bytes = whole_file::read(path, MAX_BYTES, "use a file of the published archive")?;
    let record = (kind.label_bytes + SIZE.bytes()) as u64;
    let found = bytes.len() as u64;
    if found == 0 || !found.is_multiple_of(record) {
        let expected = found.max(1).next_multiple_of(record);
        return Err(Error::Length { path: path.to_path_buf(), expected, found });
    }
    Ok(bytes)
}

fn decode(bytes: &[u8], path: &Path, kind: &Kind, pixels: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<()> {
    for (row, record) in bytes.chunks_exact(kind.label_bytes + SIZE.bytes()).enumerate() {
        let label = record[kind.label_byte];
        if usize::from(label) >= kind.classes.len() {
            let (path, label) = (path.to_path_buf(), i64::from(label));
            return Err(Error::Label { path, row, label, classes: kind.classes.len() });
        }
        labels.push(u32::from(label));
        let planes = &record[kind.label_bytes..];
        let start = pixels.len();
        pixels.resize(start + SIZE.bytes(), 0);
        for (i, pixel) in pixels[start..].as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
            *pixel = [planes[i], planes[PLANE + i], planes[2 * PLANE + i]];
        }
    }
    Ok(())
}
