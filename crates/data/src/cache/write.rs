//! Writes a cache, or resumes an interrupted one.
//!
//! Pixels are appended to `NAME.part`. Once they are on the disk, their entries are appended to `NAME.part.index`, so every entry of the
//! index has its pixels. At the end, the index is appended to the pixels and the file is renamed.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::format::{ENTRY, Entry, tail};
use crate::dataset::{checked_label, origin};
use crate::report::{Report, tell};
use crate::turn::Turn;
use crate::{Dataset, Error, Image, Pipeline, Result, Sample, SampleRng, ShortSide, Transform};

/// Images decoded in parallel; bounds the memory.
const GROUP: usize = 256;

/// Groups between two writes of the index: a killed process repeats at most this many.
const GROUPS_A_SAVE: usize = 8;

/// The pixels of the cache file `path` while it is written.
pub(super) fn part(path: &Path) -> PathBuf {
    path.with_added_extension("part")
}

/// Writes `path`, or waits for another process that writes it.
pub(super) fn write(path: &Path, source: &dyn Dataset, short_side: usize, report: &mut Report<'_>) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    }
    let turn = Turn::take(path.with_added_extension("lock"), &mut || tell(report, 0, Some(source.len())))?;
    if super::format::read_index(path, source).is_some() {
        return Ok(());
    }
    // Without locks, each process writes its own file, so that two do not corrupt one.
    let part = match turn.is_alone() {
        true => part(path),
        false => path.with_added_extension(format!("{}.part", std::process::id())),
    };
    let index = part.with_added_extension("index");
    let written = Writing::resume(&part, &index, source)
        .and_then(|writing| writing.go_on(source, short_side, report))
        .and_then(|()| std::fs::rename(&part, path).map_err(|e| Error::io(path, e)));
    // Keep the files if the next call can resume them: after a stop, or on a full disk.
    if !matches!(written, Err(Error::Stopped { .. } | Error::Io { .. })) {
        let _ = std::fs::remove_file(&index);
    }
    if matches!(&written, Err(error) if !matches!(error, Error::Stopped { .. } | Error::Io { .. })) {
        let _ = std::fs::remove_file(&part);
    }
    written
}

struct Writing<'a> {
    part: &'a Path,
    pixels: BufWriter<File>,
    index: File,
    index_path: &'a Path,
    entries: Vec<Entry>,
    saved: usize,
}

impl<'a> Writing<'a> {
    /// Resumes the files of an earlier process, up to the last intact entry.
    fn resume(part: &'a Path, index_path: &'a Path, source: &dyn Dataset) -> Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
            file.map_err(|e| Error::io(path, e))
        };
        let (mut pixels, mut index) = (open(part)?, open(index_path)?);
        let there = pixels.metadata().map_err(|e| Error::io(part, e))?.len();
        let known = std::fs::read(index_path).map_err(|e| Error::io(index_path, e))?;
        let mut entries: Vec<Entry> = Vec::new();
        for bytes in known.as_chunks::<ENTRY>().0.iter().take(source.len()) {
            let expected = entries.last().map_or(0, Entry::end);
            match Entry::read(bytes, there, source.classes().len()) {
                Some(entry) if entry.offset == expected => entries.push(entry),
                _ => break,
            }
        }
        let end = entries.last().map_or(0, Entry::end);
        let cut = |file: &mut File, path: &Path, length: u64| {
            let cut = file.set_len(length).and_then(|()| file.seek(std::io::SeekFrom::End(0)));
            cut.map(|_| ()).map_err(|e| Error::io(path, e))
        };
        cut(&mut pixels, part, end)?;
        cut(&mut index, index_path, (entries.len() * ENTRY) as u64)?;
        let saved = entries.len();
        Ok(Self { part, pixels: BufWriter::new(pixels), index, index_path, entries, saved })
    }

    fn go_on(mut self, source: &dyn Dataset, short_side: usize, report: &mut Report<'_>) -> Result<()> {
        let scale = Pipeline::new(vec![Transform::ShortSide(ShortSide { size: short_side })])?;
        let total = source.len();
        let mut broken = Broken::default();
        for (number, start) in (self.entries.len()..total).step_by(GROUP).enumerate() {
            let group = start..total.min(start + GROUP);
            let end = group.end;
            let samples: Vec<Result<Sample>> =
                group.into_par_iter().map(|i| shrunk(source, i, &scale, short_side)).collect();
            for sample in samples {
                match sample {
                    // With a broken image there is no cache; the rest is read only to count broken images.
                    Ok(sample) if broken.count == 0 => self.append(&sample)?,
                    Ok(_) => {}
                    Err(error) => broken.add(error),
                }
            }
            if number % GROUPS_A_SAVE == GROUPS_A_SAVE - 1 && broken.count == 0 {
                self.save()?;
            }
            if let Err(stopped) = tell(report, end, Some(total)) {
                if broken.count == 0 {
                    self.save()?;
                }
                return Err(stopped);
            }
        }
        broken.into_result(total)?;
        let io = |e| Error::io(self.part, e);
        let end = self.entries.last().map_or(0, Entry::end);
        self.pixels.write_all(&tail(&self.entries, end)).map_err(io)?;
        self.pixels.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)
    }

    fn append(&mut self, sample: &Sample) -> Result<()> {
        let offset = self.entries.last().map_or(0, Entry::end);
        self.pixels.write_all(sample.image.pixels()).map_err(|e| Error::io(self.part, e))?;
        self.entries.push(Entry { offset, size: sample.image.size(), label: sample.label });
        Ok(())
    }

    /// Writes pixels first, then their entries.
    fn save(&mut self) -> Result<()> {
        let io = |e| Error::io(self.part, e);
        self.pixels.flush().map_err(io)?;
        self.pixels.get_ref().sync_data().map_err(io)?;
        let new: Vec<u8> = self.entries[self.saved..].iter().flat_map(|entry| entry.to_bytes()).collect();
        self.index.write_all(&new).map_err(|e| Error::io(self.index_path, e))?;
        self.saved = self.entries.len();
        Ok(())
    }
}

/// Sample `index`, its shorter side at most `short_side`.
pub(super) fn shrunk(source: &dyn Dataset, index: usize, scale: &Pipeline, short_side: usize) -> Result<Sample> {
    let sample = source.get(index)?;
    checked_label(source, index, sample.label)?;
    let size = sample.image.size();
    if size.height.min(size.width) <= short_side {
        return Ok(sample);
    }
    // Scaling draws nothing from the stream.
    let scaled: Result<Image> = scale.apply(sample.image.view(), &mut SampleRng::new(0, 0, index));
    let named = |error| Error::Sample { origin: origin(source, index), source: Box::new(error) };
    Ok(Sample { image: scaled.map_err(named)?, label: sample.label })
}

/// The error of the first image that cannot be read, and the number of such images.
#[derive(Debug, Default)]
struct Broken {
    first: Option<Box<Error>>,
    count: usize,
}

impl Broken {
    fn add(&mut self, error: Error) {
        self.first.get_or_insert(Box::new(error));
        self.count += 1;
    }

    fn into_result(self, checked: usize) -> Result<()> {
        match self.first {
            Some(first) => Err(Error::Broken { first, others: self.count - 1, checked }),
            None => Ok(()),
        }
    }
}
