//! Converts the hub's files to the layout of the published archive.

use std::path::Path;

use parquet::file::reader::FileReader;
use parquet::file::reader::SerializedFileReader;

use super::{CIFAR10, CIFAR100, CIFAR100_COARSE, Kind, SIZE, class_names, parquet as hub_layout};
use crate::{CHANNELS, Error, InMemory, Result};

/// Files of the archive's layout: name and bytes.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// The archive's folder and files with the content of `readers`; the larger part is the training part.
///
/// # Errors
/// [`Error::Parquet`] unless there are two parts; errors of reading them. `origin` replaces the path in messages.
pub(crate) fn archive_files(
    readers: &[SerializedFileReader<std::fs::File>],
    name: &str,
    origin: &Path,
) -> Result<(&'static str, Files)> {
    // Label columns in the order of their bytes in a record of the archive.
    let (kind, labels): (&Kind, &[&Kind]) =
        if name == CIFAR10.name { (&CIFAR10, &[&CIFAR10]) } else { (&CIFAR100, &[&CIFAR100_COARSE, &CIFAR100]) };
    let mut parts: Vec<&SerializedFileReader<std::fs::File>> = readers.iter().collect();
    parts.sort_by_key(|reader| std::cmp::Reverse(reader.metadata().file_metadata().num_rows()));
    let [train, valid] = parts[..] else {
        let problem = format!("{} files where a training and a test file were expected", parts.len());
        return Err(Error::Parquet { path: origin.to_path_buf(), problem });
    };
    let mut files = Files::new();
    for (reader, names) in [(train, kind.train_files), (valid, kind.valid_files)] {
        let sets = labels.iter().map(|kind| read(reader, kind, origin)).collect::<Result<Vec<InMemory>>>()?;
        let per_file = sets[0].labels().len().div_ceil(names.len());
        for (i, name) in names.iter().enumerate() {
            files.push((name, records(&sets, i * per_file, per_file)));
        }
    }
    Ok((kind.folder, files))
}

fn read(reader: &SerializedFileReader<std::fs::File>, kind: &Kind, origin: &Path) -> Result<InMemory> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    hub_layout::read_file(reader, origin, kind, &mut pixels, &mut labels)?;
    InMemory::new(kind.name, class_names(kind), SIZE, pixels, labels)
}

/// Records of `count` images from `start` on: the labels of all `sets`, then three planes of their common pixels.
fn records(sets: &[InMemory], start: usize, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * (sets.len() + SIZE.bytes()));
    let images = sets[0].pixels().chunks_exact(SIZE.bytes());
    for (i, image) in images.enumerate().skip(start).take(count) {
        bytes.extend(sets.iter().map(|set| set.labels()[i] as u8));
        for channel in 0..CHANNELS {
            bytes.extend(image.iter().skip(channel).step_by(CHANNELS));
        }
    }
    bytes
}
