//! Unpacks a `.tar.gz` from an untrusted source.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Phase, Report, durable};
use crate::{Error, Result};

/// Maximum unpacked size in bytes: full Imagenette has 1.5 GB.
const MAX_BYTES: u64 = 1 << 34;

/// Maximum number of members: Imagenette has 13,500.
const MAX_MEMBERS: u64 = 1 << 20;

/// Maximum bytes between two files' contents: headers, long names and extensions, which the tar reader holds in memory.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Unpacks `archive` to a hidden folder in `work`, then renames it to `target`, which must be missing or empty and on the same file system.
///
/// If the archive holds a folder with the data set's name, that folder becomes `target`, otherwise the whole hidden folder. Only files and
/// folders with plain relative names are unpacked.
pub(super) fn unpack(name: &str, archive: &Path, work: &Path, target: &Path, report: &mut Report<'_>) -> Result<()> {
    // Only an empty folder can be removed.
    missing_or(fs::remove_dir(target), target)?;
    let hidden = work.join(format!(".{name}.unpacking"));
    missing_or(fs::remove_dir_all(&hidden), &hidden)?;
    fs::create_dir_all(&hidden).map_err(|e| Error::io(&hidden, e))?;
    let unpacked = members(archive, &hidden, report).and_then(|()| place(name, &hidden, target));
    unpacked.and(missing_or(fs::remove_dir_all(&hidden), &hidden))
}

/// The result of removing `dir`, which may have been missing.
fn missing_or(removed: std::io::Result<()>, dir: &Path) -> Result<()> {
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(dir, e)),
        _ => Ok(()),
    }
}

fn members(archive: &Path, into: &Path, report: &mut Report<'_>) -> Result<()> {
    let io = |e| Error::io(archive, e);
    let file = File::open(archive).map_err(io)?;
    let allowance = Cell::new(MAX_HEADER_BYTES);
    let unpacked = Metered { inner: MultiGzDecoder::new(BufReader::new(file)), allowance: &allowance };
    let mut tar = tar::Archive::new(unpacked);
    let (mut count, mut done) = (0, 0);
    for member in tar.entries().map_err(io)? {
        let mut member = member.map_err(io)?;
        allowance.set(MAX_BYTES);
        let path = member.path().map_err(io)?.into_owned();
        let refused = |problem| Error::Member {
            archive: archive.to_path_buf(),
            member: path.to_string_lossy().into_owned(),
            problem,
        };
        count += 1;
        done = member.size().saturating_add(done);
        if count > MAX_MEMBERS || done > MAX_BYTES {
            return Err(refused("the archive is larger than any known data set"));
        }
        let place =
            plain(&path).map(|path| into.join(path)).ok_or_else(|| refused("its name leads outside the folder"))?;
        match member.header().entry_type() {
            tar::EntryType::Directory => fs::create_dir_all(&place).map_err(|e| Error::io(&place, e))?,
            tar::EntryType::Regular | tar::EntryType::Continuous => write(&mut member, archive, &place)?,
            tar::EntryType::XGlobalHeader => {}
            _ => return Err(refused("neither a file nor a folder")),
        }
        report(Phase::Unpack, done, None);
        allowance.set(MAX_HEADER_BYTES);
    }
    // Read to the end of the stream, where its checksum is.
    allowance.set(MAX_BYTES);
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(io)?;
    Ok(())
}

/// A reader with a changing limit: a few megabytes of gzip can hold a name of many gigabytes.
struct Metered<'a, R> {
    inner: R,
    allowance: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let allowed = usize::try_from(self.allowance.get()).map_or(buffer.len(), |allowed| allowed.min(buffer.len()));
        if allowed == 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("it is larger than any known data set"));
        }
        let count = self.inner.read(&mut buffer[..allowed])?;
        self.allowance.set(self.allowance.get() - count as u64);
        Ok(count)
    }
}

/// The path without `.` parts, which may be empty; `None` if a part is `..`, a root or a drive.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(plain)
}

fn write(member: &mut impl Read, archive: &Path, place: &Path) -> Result<()> {
    let io = |e| Error::io(place, e);
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    // Create a new file, never write through one from an earlier member.
    let mut out = File::create_new(place).map_err(io)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        // A read error is the archive's, a write error the disk's.
        let count = member.read(&mut buffer).map_err(|e| Error::io(archive, e))?;
        if count == 0 {
            return Ok(());
        }
        std::io::Write::write_all(&mut out, &buffer[..count]).map_err(io)?;
    }
}

/// Moves everything with one rename: a process or a machine that is stopped here leaves the whole data set or none of it. With one rename
/// per entry, it could leave `train` without `val`, which would count as present.
fn place(name: &str, hidden: &Path, target: &Path) -> Result<()> {
    let own = hidden.join(name);
    let whole = if own.is_dir() { &own } else { hidden };
    durable::flush(whole).map_err(|e| Error::io(whole, e))?;
    fs::rename(whole, target).map_err(|e| Error::io(target, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever entry cannot be moved, the others must not be there, as if the process had been stopped between two of them.
    #[test]
    fn a_data_set_is_put_in_place_as_a_whole_or_not_at_all() {
        for blocked in ["train", "val"] {
            let dir = tempfile::tempdir().unwrap();
            let (hidden, target) = (dir.path().join("hidden"), dir.path().join("set"));
            for part in ["train", "val"] {
                fs::create_dir_all(hidden.join(part)).unwrap();
            }
            fs::create_dir_all(target.join(blocked)).unwrap();
            fs::write(target.join(blocked).join("a file"), "").unwrap();
            assert!(place("set", &hidden, &target).is_err());
            assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "{blocked}");
            fs::remove_dir_all(&target).unwrap();
            place("set", &hidden, &target).unwrap();
            assert!(target.join("train").is_dir() && target.join("val").is_dir());
        }
    }
}
