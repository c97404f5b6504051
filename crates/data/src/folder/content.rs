//! Digests of file contents, stored between starts.
//!
//! Reading a data set of 100 GB takes minutes; querying the times and lengths of its files takes seconds. A file's digest is therefore
//! computed once, and again only if its length, change time or modification time differs.

use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::report::{Report, tell};
use crate::{Error, Result};

/// The first half of a file's SHA-256.
pub(super) type Content = [u8; 16];

/// First bytes of a stored list; the last character is the format's version.
const MAGIC: &[u8; 8] = b"LKFILES1";

/// Bytes of an entry after the file's name: length, two times, digest.
const ENTRY: usize = 8 + 8 + 8 + 16;

/// Files between two reports.
const GROUP: usize = 1024;

/// Files changed within this time before they are read may change again with the same timestamp, so they are not stored.
const LATELY: Duration = Duration::from_secs(2);

/// The state of a file: length and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    length: u64,
    modified: i64,
    changed: i64,
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: nanoseconds(metadata.modified().ok()), changed: changed(metadata) }
    }

    fn is_settled(&self, now: i64) -> bool {
        now.saturating_sub(self.modified.max(self.changed)) > LATELY.as_nanos() as i64
    }
}

fn nanoseconds(time: Option<SystemTime>) -> i64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The time of the last change of name, owner or content, which copies do not preserve.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_metadata: &Metadata) -> i64 {
    0
}

/// The content digests of `files` below `root`, in order. Files that are unchanged in the list `kept` are not read again; the list is
/// rewritten if any file was read. `now` is the time of the call, which may read for minutes.
pub(super) fn digests(
    root: &Path,
    files: &[&Path],
    kept: Option<&Path>,
    now: SystemTime,
    report: &mut Report<'_>,
) -> Result<Vec<Content>> {
    let before = kept.and_then(read_kept).unwrap_or_default();
    let known: std::collections::HashMap<&[u8], (State, Content)> =
        before.iter().map(|(name, state, content)| (&name[..], (*state, *content))).collect();
    let mut found = Vec::with_capacity(files.len());
    let mut read = 0;
    for group in files.chunks(GROUP) {
        // Every result, because rayon collects into the error that came first in time, not in order.
        let part: Vec<Result<(State, Content, bool)>> = group
            .par_iter()
            .map(|path| {
                let state = State::of(&std::fs::metadata(path).map_err(|e| Error::io(path, e))?);
                match known.get(name_below(root, path)) {
                    Some((before, content)) if *before == state => Ok((state, *content, false)),
                    _ => Ok((state, content(path)?, true)),
                }
            })
            .collect();
        let part = part.into_iter().collect::<Result<Vec<_>>>()?;
        read += part.iter().filter(|(_, _, read)| *read).count();
        found.extend(part.into_iter().map(|(state, content, _)| (state, content)));
        tell(report, found.len(), Some(files.len()))?;
    }
    if let (Some(path), true) = (kept, read > 0) {
        // Only for speed: if the list cannot be written, the files are read again next time.
        let here: std::collections::HashSet<&[u8]> = files.iter().map(|file| name_below(root, file)).collect();
        let others = before.iter().filter(|(name, ..)| !here.contains(&name[..]));
        let others = others.map(|(name, state, content)| (&name[..], (*state, *content)));
        let read = files.iter().map(|file| name_below(root, file)).zip(found.iter().copied());
        let _ = write_kept(path, now, read.chain(others));
    }
    Ok(found.into_iter().map(|(_, content)| content).collect())
}

fn name_below<'a>(root: &Path, path: &'a Path) -> &'a [u8] {
    path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes()
}

fn content(path: &Path) -> Result<Content> {
    let io = |e| Error::io(path, e);
    let (mut file, mut hash) = (File::open(path).map_err(io)?, Sha256::new());
    let mut buffer = [0; 1 << 15];
    loop {
        let count = file.read(&mut buffer).map_err(io)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let mut half = Content::default();
    half.copy_from_slice(&hash.finalize()[..16]);
    Ok(half)
}

type Kept = Vec<(Vec<u8>, State, Content)>;

/// Reads a stored list; `None` if it is missing, damaged or of another version.
fn read_kept(path: &Path) -> Option<Kept> {
    let bytes = std::fs::read(path).ok()?;
    let (entries, sum) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(entries)[..] != sum[..] {
        return None;
    }
    let mut rest = entries.strip_prefix(MAGIC)?;
    let mut kept = Kept::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (entry, after) = after.split_first_chunk::<ENTRY>()?;
        let number = |at: usize| Some(i64::from_le_bytes(*entry[at..at + 8].as_array()?));
        let state = State { length: number(0)? as u64, modified: number(8)?, changed: number(16)? };
        kept.push((name.to_vec(), state, *entry[24..].as_array()?));
        rest = after;
    }
    Some(kept)
}

/// Writes the list of those `files` that were settled at the time `now`.
fn write_kept<'a>(
    path: &Path,
    now: SystemTime,
    files: impl Iterator<Item = (&'a [u8], (State, Content))>,
) -> std::io::Result<()> {
    let now = nanoseconds(Some(now));
    let mut bytes = MAGIC.to_vec();
    for (name, (state, content)) in files {
        let Ok(length) = u16::try_from(name.len()) else { continue };
        if state.is_settled(now) {
            bytes.extend(length.to_le_bytes());
            bytes.extend(name);
            bytes.extend(state.length.to_le_bytes());
            bytes.extend(state.modified.to_le_bytes());
            bytes.extend(state.changed.to_le_bytes());
            bytes.extend(content);
        }
    }
    let sum = Sha256::digest(&bytes);
    bytes.extend(sum);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let part = path.with_added_extension(format!("{}.part", std::process::id()));
    let written = File::create(&part).and_then(|mut file| file.write_all(&bytes));
    let placed = written.and_then(|()| std::fs::rename(&part, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::quiet;

    /// Only the system sets the time of the last change, so the test's calls come a minute after it.
    #[cfg(unix)]
    #[test]
    fn unchanged_files_are_not_read_again_and_changed_ones_are_whatever_length_and_modification_say() {
        let dir = tempfile::tempdir().unwrap();
        let (file, kept) = (dir.path().join("a.jpg"), dir.path().join("kept"));
        let begun = SystemTime::now();
        let minute_later = begun + Duration::from_secs(60);
        let digest = |now| digests(dir.path(), &[&file], Some(&kept), now, &mut quiet).unwrap()[0];
        let write = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            let modified = begun - Duration::from_secs(100);
            File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        };
        write(b"one");
        let one = digest(minute_later);
        // A stored digest that is wrong comes back: the file was not read.
        let wrong = |now| {
            let stored = read_kept(&kept).unwrap();
            let files = stored.iter().map(|(name, state, _)| (&name[..], (*state, [7; 16])));
            write_kept(&kept, now, files).unwrap();
        };
        wrong(minute_later);
        assert_eq!(digest(minute_later), [7; 16]);

        // The clock of a file system may tick a hundred times per second.
        std::thread::sleep(Duration::from_millis(50));
        write(b"two");
        let two = digest(begun);
        assert!(two != one && two != [7; 16]);
        // It changed while the files were read, so it is not stored.
        assert_eq!(read_kept(&kept), Some(vec![]));
        assert_eq!(digest(minute_later), two);
        wrong(minute_later);
        std::fs::write(&file, b"three").unwrap();
        assert!(![one, two, [7; 16]].contains(&digest(minute_later)));
    }

    #[test]
    fn a_kept_list_is_used_and_a_damaged_one_is_not() {
        let state = State { length: 3, modified: 5, changed: 7 };
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("deep/kept");
        let now = SystemTime::now();
        let fresh = State { modified: nanoseconds(Some(now)), ..state };
        let files = [(&b"a/0.jpg"[..], (state, [1; 16])), (b"a/1.jpg", (fresh, [2; 16]))];
        write_kept(&kept, now, files.into_iter()).unwrap();
        // The file that was changed just now is not trusted the next time.
        assert_eq!(read_kept(&kept), Some(vec![(b"a/0.jpg".to_vec(), state, [1; 16])]));
        let whole = std::fs::read(&kept).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&kept, &damaged).unwrap();
            assert_eq!(read_kept(&kept), None, "{at}");
            std::fs::write(&kept, &whole[..at]).unwrap();
            assert_eq!(read_kept(&kept), None, "{at}");
        }
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).unwrap().count(), 1);
    }
}
