//! Decoded photographs in one file: a JPEG takes far longer to decode than to read as bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, Image, ImageSize, Pipeline, Result, Sample, SampleRng, ShortSide, Transform};

/// Last bytes of a cache file; the number is that of the format.
const MAGIC: &[u8; 8] = b"LKCACHE1";

/// Bytes of one entry of the index: offset (8), height, width, label (4 each).
const ENTRY: usize = 20;

/// Bytes after the index: offset of the index, number of entries, [`MAGIC`].
const FOOTER: usize = 24;

/// Images decoded at once while the cache is written: a bound on memory.
const GROUP: usize = 256;

/// A data set whose images were decoded before, scaled down and stored as bytes.
///
/// The file holds, for each image, its pixels with the shorter side at most `short_side`, scaled as [`ShortSide`] does. It is keyed by the data set's digest and the side, may be deleted at any time, and may be read by any number of processes.
/// Reading goes through the system's page cache with positioned reads, one a sample: as fast as a memory map where the file is in
/// memory, and without the unsafe code that a map needs, which a file cut off by another process would turn into a crash.
///
/// The digest is that of the source with the side.
#[derive(Debug)]
pub struct DecodedCache {
    source: Arc<dyn Dataset>,
    short_side: usize,
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u64,
    size: ImageSize,
    label: u32,
}

impl DecodedCache {
    /// The cache of `source` in the folder `dir`, written first where it is not there yet or is damaged.
    ///
    /// A side a little over what training crops to (1.15 times) keeps the detail that matters. `progress` is told how many of how many
    /// images are decoded.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `short_side` is in 1..=8192; [`Error::Io`] where the file cannot be written; what reading `source` gives.
    pub fn open(
        source: Arc<dyn Dataset>,
        dir: &Path,
        short_side: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let scale = Pipeline::new(vec![Transform::ShortSide(ShortSide { size: short_side })])?;
        let mut key = Fingerprint::new("decoded-cache");
        key.text(&source.digest()?);
        key.number(short_side);
        let name = source.name().replace(['/', '\\'], "-");
        let path = dir.join(format!("{name}-{short_side}-{}.u8", &key.finish()[..16]));
        if let Some((file, entries)) = read_index(&path, source.as_ref()) {
            return Ok(Self { source, short_side, path, file, entries });
        }
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        // A name of its own for each process, renamed when whole: two that write at once do no harm.
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let written = write(&part, source.as_ref(), &scale, short_side, progress)
            .and_then(|()| std::fs::rename(&part, &path).map_err(|e| Error::io(&path, e)));
        if written.is_err() {
            // What is left of it is of no use; the first error says why.
            let _ = std::fs::remove_file(&part);
        }
        written?;
        let damaged = || Error::Layout { path: path.clone(), problem: "changed while it was written".to_string() };
        let (file, entries) = read_index(&path, source.as_ref()).ok_or_else(damaged)?;
        Ok(Self { source, short_side, path, file, entries })
    }

    /// The cache's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn entry(&self, index: usize) -> Result<Entry> {
        self.entries.get(index).copied().ok_or(Error::Index { index, len: self.entries.len() })
    }
}

impl Dataset for DecodedCache {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn classes(&self) -> &[String] {
        self.source.classes()
    }

    fn label(&self, index: usize) -> Result<u32> {
        Ok(self.entry(index)?.label)
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let entry = self.entry(index)?;
        let mut pixels = vec![0; entry.size.bytes()];
        read_at(&self.file, &mut pixels, entry.offset).map_err(|e| Error::io(&self.path, e))?;
        Ok(Sample { image: Image::new(entry.size, pixels)?, label: entry.label })
    }

    fn digest(&self) -> Result<String> {
        let mut hash = Fingerprint::new("decoded-cache");
        hash.text(&self.source.digest()?);
        hash.number(self.short_side);
        Ok(hash.finish())
    }
}

fn write(
    path: &Path,
    source: &dyn Dataset,
    scale: &Pipeline,
    short_side: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let io = |e| Error::io(path, e);
    let mut out = BufWriter::new(File::create(path).map_err(io)?);
    let (mut offset, mut index) = (0u64, Vec::with_capacity(source.len() * ENTRY));
    for start in (0..source.len()).step_by(GROUP) {
        let group = start..source.len().min(start + GROUP);
        let samples: Vec<Sample> =
            group.into_par_iter().map(|i| shrunk(source, i, scale, short_side)).collect::<Result<_>>()?;
        for sample in &samples {
            let size = sample.image.size();
            index.extend(offset.to_le_bytes());
            [size.height as u32, size.width as u32, sample.label].iter().for_each(|v| index.extend(v.to_le_bytes()));
            out.write_all(sample.image.pixels()).map_err(io)?;
            offset += size.bytes() as u64;
        }
        progress(start + samples.len(), source.len());
    }
    out.write_all(&index).map_err(io)?;
    out.write_all(&offset.to_le_bytes()).map_err(io)?;
    out.write_all(&(source.len() as u64).to_le_bytes()).map_err(io)?;
    out.write_all(MAGIC).map_err(io)?;
    out.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)
}

fn shrunk(source: &dyn Dataset, index: usize, scale: &Pipeline, short_side: usize) -> Result<Sample> {
    let sample = source.get(index)?;
    let size = sample.image.size();
    if size.height.min(size.width) <= short_side {
        return Ok(sample);
    }
    // Scaling draws nothing from the stream.
    let image = scale.apply(sample.image.view(), &mut SampleRng::new(0, 0, index))?;
    Ok(Sample { image, label: sample.label })
}

/// The index of a cache file that fits `source`; none where there is no file, or one that is not whole.
fn read_index(path: &Path, source: &dyn Dataset) -> Option<(File, Vec<Entry>)> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut footer = [0; FOOTER];
    read_at(&file, &mut footer, length.checked_sub(FOOTER as u64)?).ok()?;
    let start = u64::from_le_bytes(*footer[..8].as_array()?);
    let count = u64::from_le_bytes(*footer[8..16].as_array()?);
    let whole = start.checked_add(count.checked_mul(ENTRY as u64)?)?.checked_add(FOOTER as u64)?;
    if footer[16..] != *MAGIC || count != source.len() as u64 || whole != length {
        return None;
    }
    let mut index = vec![0; count as usize * ENTRY];
    read_at(&file, &mut index, start).ok()?;
    let classes = source.classes().len();
    let entries = index.as_chunks::<ENTRY>().0.iter().map(|entry| {
        let number = |at: usize| Some(u32::from_le_bytes(*entry[at..at + 4].as_array()?));
        let offset = u64::from_le_bytes(*entry[..8].as_array()?);
        let size = ImageSize::new(number(8)? as usize, number(12)? as usize);
        let label = number(16)?;
        let bytes = size.height.checked_mul(size.width)?.checked_mul(crate::CHANNELS)? as u64;
        let inside = bytes > 0 && offset.checked_add(bytes)? <= start && (label as usize) < classes;
        inside.then_some(Entry { offset, size, label })
    });
    Some((file, entries.collect::<Option<Vec<_>>>()?))
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        offset += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InMemory;

    fn source() -> Arc<dyn Dataset> {
        let pixels = (0..3 * 8 * 6 * 3usize).map(|i| (i * 7 % 256) as u8).collect();
        let classes = vec!["a".to_string(), "b".to_string()];
        Arc::new(InMemory::new("x/train", classes, ImageSize::new(8, 6), pixels, vec![1, 0, 1]).unwrap())
    }

    fn open(dir: &Path, side: usize) -> (DecodedCache, usize) {
        let mut decoded = 0;
        let cache = DecodedCache::open(source(), dir, side, &mut |done, _| decoded = done).unwrap();
        (cache, decoded)
    }

    #[test]
    fn small_images_come_back_as_they_are_and_large_ones_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, decoded) = open(dir.path(), 6);
        assert_eq!(decoded, 3);
        for index in 0..3 {
            assert_eq!(cache.get(index).unwrap(), source().get(index).unwrap());
        }
        let (smaller, _) = open(dir.path(), 3);
        let expected = ShortSide { size: 3 };
        let pipeline = Pipeline::new(vec![Transform::ShortSide(expected)]).unwrap();
        let image = pipeline.apply(source().view(2).unwrap(), &mut SampleRng::new(0, 0, 0)).unwrap();
        assert_eq!(smaller.get(2).unwrap(), Sample { image, label: 1 });
        assert!(matches!(cache.get(3), Err(Error::Index { index: 3, len: 3 })));
    }

    #[test]
    fn a_second_opening_decodes_nothing_and_a_damaged_file_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = open(dir.path(), 6).0.path;
        assert_eq!(open(dir.path(), 6).1, 0);
        let whole = std::fs::read(&path).unwrap();
        let mut wrong_size = whole.clone();
        let index = whole.len() - FOOTER - ENTRY;
        wrong_size[index + 8] = 200;
        for damaged in [&whole[..whole.len() - 1], &whole[1..], b"", &wrong_size] {
            std::fs::write(&path, damaged).unwrap();
            let (cache, decoded) = open(dir.path(), 6);
            assert_eq!((decoded, cache.get(2).unwrap()), (3, source().get(2).unwrap()));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no parts left over");
    }
}
