//! Decoded photographs in one file: decoding a JPEG takes far longer than reading its pixels.

mod format;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::{Entry, read_at, read_index};

use crate::fingerprint::Fingerprint;
use crate::report::Report;
use crate::{Dataset, Error, Image, ImageSize, Pipeline, Result, Sample, ShortSide, Transform};

/// A data set whose images were decoded and scaled down in advance, and stored as bytes.
///
/// The file holds the pixels of each image with the shorter side at most `short_side`, scaled as by [`ShortSide`]. It is keyed by the data
/// set's digest and the side, may be deleted at any time, and may be read by any number of processes. To cache part of a data set, pass a
/// subset ([`limit`](crate::limit)).
///
/// Reading uses the system's page cache, with one positioned read per sample. If the file is in memory, this is as fast as a memory map. It
/// avoids the map's unsafe code, which would crash if another process truncated the file.
///
/// The digest combines the source's digest and the side.
#[derive(Debug)]
#[doc(alias = "FFCV")]
#[doc(alias = "beton")]
pub struct DecodedCache {
    source: Arc<dyn Dataset>,
    digest: String,
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
    /// The size of all images, if they share one.
    size: Option<ImageSize>,
}

/// A cache that exists or is still to be written: its location and size.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("lookahead-plan-{}", std::process::id()));
/// use std::ops::ControlFlow;
/// use lookahead_data::{CachePlan, Dataset, Shapes, ShapesConfig};
///
/// let shapes = Shapes::draw(&ShapesConfig { train: 20, valid: 1, ..ShapesConfig::default() })?;
/// let plan = CachePlan::new(shapes.train, &dir, 16, &mut |_, _| ControlFlow::Continue(()))?;
/// assert!(!plan.is_written());
/// assert_eq!(plan.bytes(), 20 * 16 * 16 * 3);
/// let cache = plan.open(&mut |_, _| ControlFlow::Continue(()))?;
/// assert_eq!(cache.len(), 20);
/// # std::fs::remove_dir_all(dir).unwrap();
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug)]
pub struct CachePlan {
    source: Arc<dyn Dataset>,
    short_side: usize,
    digest: String,
    path: PathBuf,
    found: Option<(File, Vec<Entry>)>,
}

/// Number of images whose sizes are used to estimate the total.
const SIZED: usize = 64;

impl CachePlan {
    /// The cache of `source` in the folder `dir`, with the shorter side at most `short_side`. `report` receives the progress of `source`'s
    /// digest.
    ///
    /// A side slightly above the training crop (1.15 times) keeps the detail that matters.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `short_side` is in 1..=8192; errors of `source`'s digest.
    pub fn new(source: Arc<dyn Dataset>, dir: &Path, short_side: usize, report: &mut Report<'_>) -> Result<Self> {
        Pipeline::new(vec![Transform::ShortSide(ShortSide { size: short_side })])?;
        let mut key = Fingerprint::new("decoded-cache");
        key.text(&source.digest_of(None, report)?);
        key.number(short_side);
        let digest = key.finish();
        let name = source.name().replace(['/', '\\'], "-");
        let path = dir.join(format!("{name}-{short_side}-{}.u8", &digest[..16]));
        let found = read_index(&path, source.as_ref());
        Ok(Self { source, short_side, digest, path, found })
    }

    /// Path of the cache file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if the file exists and is complete.
    pub fn is_written(&self) -> bool {
        self.found.is_some()
    }

    /// Size of the file in bytes, without its index, estimated from 64 evenly spaced images. Images that cannot be read do not count.
    pub fn bytes(&self) -> u64 {
        let sizes = |index: usize| self.source.image_size().or_else(|| Some(self.source.get(index).ok()?.image.size()));
        let count = self.source.len().min(SIZED);
        let each: Vec<u64> = (0..count)
            .filter_map(|i| sizes(i * self.source.len() / count))
            .map(|size| match size.height.min(size.width) {
                short if short <= self.short_side => size.bytes() as u64,
                _ => ShortSide { size: self.short_side }.output_size(size).bytes() as u64,
            })
            .collect();
        let sum: u64 = each.iter().sum();
        (u128::from(sum) * self.source.len() as u128 / each.len().max(1) as u128) as u64
    }

    /// Number of those bytes that an interrupted [`open`](Self::open) has left, which the next one need not write; 0 if there are none.
    pub fn bytes_begun(&self) -> u64 {
        std::fs::metadata(write::part(&self.path)).map_or(0, |part| part.len())
    }

    /// Opens the cache. Missing images are decoded and written first; `report` receives the number decoded and the total.
    ///
    /// This resumes the work of a process that was killed or stopped. If another process writes the same file, this one waits for it, and
    /// `report` receives 0 a few times per second.
    ///
    /// # Errors
    /// [`Error::Broken`] with the first image that cannot be read and the number of others; [`Error::Io`] if the file cannot be written;
    /// [`Error::Stopped`].
    pub fn open(self, report: &mut Report<'_>) -> Result<DecodedCache> {
        let (file, entries) = match self.found {
            Some(found) => found,
            None => {
                write::write(&self.path, self.source.as_ref(), self.short_side, report)?;
                let changed =
                    || Error::Layout { path: self.path.clone(), problem: "changed while it was written".to_string() };
                read_index(&self.path, self.source.as_ref()).ok_or_else(changed)?
            }
        };
        let first = entries.first().map(|entry| entry.size);
        let size = first.filter(|&first| entries.iter().all(|entry| entry.size == first));
        Ok(DecodedCache { source: self.source, digest: self.digest, path: self.path, file, entries, size })
    }
}

impl DecodedCache {
    /// [`CachePlan::new`] and [`CachePlan::open`] in one call. `report` receives only the progress of decoding.
    ///
    /// # Errors
    /// Errors of both.
    pub fn open(source: Arc<dyn Dataset>, dir: &Path, short_side: usize, report: &mut Report<'_>) -> Result<Self> {
        CachePlan::new(source, dir, short_side, &mut crate::report::quiet)?.open(report)
    }

    /// Path of the cache file.
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

    fn image_size(&self) -> Option<ImageSize> {
        self.size
    }

    fn file(&self, index: usize) -> Option<&Path> {
        self.source.file(index)
    }

    fn digest(&self) -> Result<String> {
        Ok(self.digest.clone())
    }
}
