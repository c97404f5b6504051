//! The hub's parquet files: a struct column `img` with encoded images in `bytes`, and a column of labels.
//!
//! candle-datasets reads the same files but returns every image transposed (rows and columns exchanged), still in 0.11.1; this reader keeps
//! them upright.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use rayon::prelude::*;

use super::{Kind, SIZE, class_names};
use crate::decode::{Origin, decode};
use crate::error::one_line;
use crate::{Error, InMemory, Result};

/// Column of the encoded images.
const IMAGES: &str = "img.bytes";

/// Maximum declared size of a file's columns in bytes: eight times CIFAR as PNG.
const MAX_BYTES: i64 = 1 << 30;

/// Maximum declared number of rows: 2^17, 400 MB of pixels. CIFAR has 50,000; run-length encoding can store many rows in few bytes.
const MAX_ROWS: i64 = 1 << 17;

/// Reads all rows of `paths`, in order.
pub(super) fn read(paths: &[PathBuf], kind: &Kind) -> Result<InMemory> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let reader = caught(path, || SerializedFileReader::new(file).map_err(|e| damaged(path, e)))?;
        read_file(&reader, path, kind, &mut pixels, &mut labels)?;
    }
    InMemory::new(kind.name, class_names(kind), SIZE, pixels, labels)
}

fn damaged(path: &Path, problem: impl ToString) -> Error {
    Error::Parquet { path: path.to_path_buf(), problem: one_line(problem) }
}

/// The result of `read`. The parquet crate panics on some damaged files: that is an error, after which the partial result must be dropped.
fn caught<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged(path, "the parquet reader panicked")))
}

/// Appends all rows of one open file; `path` names it in errors. After an error, a part of them may be appended.
pub(super) fn read_file(
    reader: &dyn FileReader,
    path: &Path,
    kind: &Kind,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    caught(path, || {
        let (images, label) = columns(reader, path, kind)?;
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(|e| damaged(path, e))?;
            read_group(group.as_ref(), path, kind, (images, label), pixels, labels)?;
        }
        Ok(())
    })
}

/// Positions of the image and the label column, after a check of the file's metadata.
fn columns(reader: &dyn FileReader, path: &Path, kind: &Kind) -> Result<(usize, usize)> {
    let metadata = reader.metadata();
    // Check the row groups, not the file's totals: reading uses the groups, and a damaged file may contain both.
    let (mut rows, mut bytes) = (0i64, 0i64);
    for group in metadata.row_groups() {
        rows = rows.saturating_add(group.num_rows());
        bytes = bytes.saturating_add(group.total_byte_size());
        if group.num_rows() < 0 || rows > MAX_ROWS || !(0..=MAX_BYTES).contains(&bytes) {
            return Err(damaged(path, format!("its metadata declares {rows} rows in {bytes} bytes")));
        }
    }
    let names: Vec<String> =
        metadata.file_metadata().schema_descr().columns().iter().map(|column| column.path().string()).collect();
    let position = |name: &str| names.iter().position(|n| n == name);
    match (position(IMAGES), position(kind.label_column)) {
        (Some(images), Some(label)) => Ok((images, label)),
        _ => Err(Error::Columns {
            path: path.to_path_buf(),
            expected: format!("{IMAGES}, {}", kind.label_column),
            found: names.join(", "),
        }),
    }
}

fn read_group(
    group: &dyn RowGroupReader,
    path: &Path,
    kind: &Kind,
    (images, label): (usize, usize),
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let rows = usize::try_from(group.metadata().num_rows()).map_err(|e| damaged(path, e))?;
    let first_row = labels.len();
    let wrong = |name: &str| Error::Columns {
        path: path.to_path_buf(),
        expected: format!("{IMAGES} of bytes and {} of 64-bit integers", kind.label_column),
        found: format!("{name} of another type"),
    };
    let found: Vec<i64> = match group.get_column_reader(label).map_err(|e| damaged(path, e))? {
        ColumnReader::Int64ColumnReader(column) => values::<Int64Type>(column, rows, path)?,
        _ => return Err(wrong(kind.label_column)),
    };
    let encoded: Vec<ByteArray> = match group.get_column_reader(images).map_err(|e| damaged(path, e))? {
        ColumnReader::ByteArrayColumnReader(column) => values::<ByteArrayType>(column, rows, path)?,
        _ => return Err(wrong(IMAGES)),
    };
    for (i, &label) in found.iter().enumerate() {
        let row = first_row + i;
        let known = u32::try_from(label).ok().filter(|&label| (label as usize) < kind.classes.len());
        let out_of_range = || Error::Label { path: path.to_path_buf(), row, label, classes: kind.classes.len() };
        labels.push(known.ok_or_else(out_of_range)?);
    }
    let start = pixels.len();
    pixels.resize(start + rows * SIZE.bytes(), 0);
    let decode_row = |(i, (out, bytes)): (usize, (&mut [u8], &ByteArray))| {
        let row = Some(first_row + i);
        let image = decode(bytes.data(), Origin { path, row })?;
        if image.size() != SIZE {
            return Err(Error::Size { path: path.to_path_buf(), row, expected: SIZE, found: image.size() });
        }
        out.copy_from_slice(image.pixels());
        Ok(())
    };
    // Every result, because rayon stops at the error that came first in time, not in order.
    let decoded: Vec<Result<()>> =
        pixels[start..].par_chunks_exact_mut(SIZE.bytes()).zip(&encoded).enumerate().map(decode_row).collect();
    decoded.into_iter().collect()
}

/// All `rows` values of a column; a missing value is an error.
fn values<T: DataType>(mut column: ColumnReaderImpl<T>, rows: usize, path: &Path) -> Result<Vec<T::T>> {
    let mut values = Vec::new();
    let mut levels = Vec::new();
    let mut read = 0;
    while read < rows {
        let (records, _, _) =
            column.read_records(rows - read, Some(&mut levels), None, &mut values).map_err(|e| damaged(path, e))?;
        if records == 0 {
            break;
        }
        read += records;
    }
    if values.len() != rows {
        return Err(damaged(path, format!("{} values in a column of {rows} rows", values.len())));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use parquet::errors::Result as ParquetResult;
    use parquet::file::metadata::ParquetMetaData;
    use parquet::record::reader::RowIter;
    use parquet::schema::types::Type;

    use super::super::CIFAR10;
    use super::*;

    /// As the parquet crate does for some damaged files.
    struct Panics;

    impl FileReader for Panics {
        fn metadata(&self) -> &ParquetMetaData {
            panic!("an offset is negative")
        }
        fn num_row_groups(&self) -> usize {
            1
        }
        fn get_row_group(&self, _: usize) -> ParquetResult<Box<dyn RowGroupReader + '_>> {
            panic!("an offset is negative")
        }
        fn get_row_iter(&self, _: Option<Type>) -> ParquetResult<RowIter<'_>> {
            panic!("an offset is negative")
        }
    }

    /// Whoever opened the file: this module, or the hub's client.
    #[test]
    fn a_panic_of_the_parquet_crate_is_an_error() {
        let error = read_file(&Panics, Path::new("x.parquet"), &CIFAR10, &mut vec![], &mut vec![]).unwrap_err();
        assert_eq!(error.to_string(), "x.parquet: the parquet file is damaged: the parquet reader panicked");
    }
}
