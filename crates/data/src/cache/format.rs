//! The file of a cache: pixels, then an index, then a footer.

use std::fs::File;
use std::path::Path;

use crate::dataset::is_class;
use crate::{Dataset, ImageSize};

/// Last bytes of a cache file; the number is that of the format.
const MAGIC: &[u8; 8] = b"LKCACHE1";

/// Bytes of one entry of the index: offset (8), height, width, label (4 each).
pub(super) const ENTRY: usize = 20;

/// Bytes after the index: offset of the index, number of entries, [`MAGIC`].
pub(super) const FOOTER: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) size: ImageSize,
    pub(super) label: u32,
}

impl Entry {
    pub(super) fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        for (slot, value) in
            bytes[8..].chunks_exact_mut(4).zip([self.size.height as u32, self.size.width as u32, self.label])
        {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// Reads an entry; `None` unless it ends by `end` and its class exists.
    pub(super) fn read(entry: &[u8; ENTRY], end: u64, classes: usize) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(*entry[at..at + 4].as_array()?));
        let offset = u64::from_le_bytes(*entry[..8].as_array()?);
        let size = ImageSize::new(number(8)? as usize, number(12)? as usize);
        let label = number(16)?;
        let bytes = size.checked_bytes()? as u64;
        let inside = bytes > 0 && offset.checked_add(bytes)? <= end && is_class(label, classes);
        inside.then_some(Self { offset, size, label })
    }

    /// Offset of the end of its pixels.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.size.bytes() as u64
    }
}

/// The bytes after the pixels: index and footer.
pub(super) fn tail(entries: &[Entry], pixels: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
    bytes.extend(pixels.to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend(MAGIC);
    bytes
}

/// The index of a cache file that matches `source`; `None` if the file is missing or incomplete.
pub(super) fn read_index(path: &Path, source: &dyn Dataset) -> Option<(File, Vec<Entry>)> {
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
    let entries = index.as_chunks::<ENTRY>().0.iter().map(|entry| Entry::read(entry, start, classes));
    Some((file, entries.collect::<Option<Vec<_>>>()?))
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
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
