//! A minute of random damage for every reader of files: a result or an error, in bounded time, never a panic. Labels that are read must be
//! classes; whether pixels are right, the other tests say.
//!
//! The sound files are those of `fuzz/corpus`, which the fuzz targets start from too; what a fuzzer or this test finds is put there. The
//! damage is drawn from fixed seeds, so a failure comes again. `LOOKAHEAD_MUTATIONS=10` does ten times as much.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[cfg(feature = "parquet")]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use lookahead_data::SampleRng;

/// No file of these sizes may take longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Largest file that damage may grow.
const MOST: usize = 1 << 16;

/// Numbers at which readers go wrong.
const EDGES: [u32; 12] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff];

/// One to six changes of `bytes`; `other` is another file of the corpus.
fn damage(bytes: &mut Vec<u8>, other: &[u8], rng: &mut SampleRng) {
    for _ in 0..=rng.below(6) {
        let at = rng.below(bytes.len() as u32) as usize;
        let length = (rng.below(16) as usize + 1).min(bytes.len() - at);
        match rng.below(9) {
            _ if bytes.is_empty() => bytes.push(rng.below(256) as u8),
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.below(256) as u8,
            2 | 3 => {
                let edge = EDGES[rng.below(EDGES.len() as u32) as usize];
                let width = [1, 2, 4][rng.below(3) as usize].min(bytes.len() - at);
                let number = if rng.coin(0.5) { edge.to_be_bytes() } else { edge.to_le_bytes() };
                let number = if rng.coin(0.5) { &number[4 - width..] } else { &number[..width] };
                bytes[at..at + width].copy_from_slice(number);
            }
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let part = bytes[at..at + length].to_vec();
                let to = rng.below(bytes.len() as u32) as usize;
                bytes.splice(to..to, part);
            }
            6 => bytes.truncate(at.max(1)),
            7 if !other.is_empty() => {
                let from = rng.below(other.len() as u32) as usize;
                let end = other.len().min(from + rng.below(256) as usize);
                bytes.splice(at..at + length, other[from..end].iter().copied());
            }
            _ => {
                let noise: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
                bytes.splice(at..at, noise);
            }
        }
        bytes.truncate(MOST);
    }
}

/// The sound files of `target`.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Reads every file of `corpus`, then `count` damaged ones. A finding is stored with the corpus of `target`.
fn run(target: &str, corpus: &[Vec<u8>], count: usize, mut read: impl FnMut(&[u8])) {
    assert!(!corpus.is_empty(), "{target}");
    let times = std::env::var("LOOKAHEAD_MUTATIONS").map_or(1, |times| times.parse::<usize>().unwrap());
    let begun = Instant::now();
    for number in 0..corpus.len() + count * times {
        let mut bytes = corpus[number % corpus.len()].clone();
        if number >= corpus.len() {
            let rng = &mut SampleRng::new(20, 26, number);
            let other = rng.below(corpus.len() as u32) as usize;
            damage(&mut bytes, &corpus[other], rng);
        }
        let start = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| read(&bytes))).is_ok();
        if !ended || start.elapsed() > LONGEST {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
            std::fs::create_dir_all(&folder).unwrap();
            let found = folder.join(format!("found-{number}"));
            std::fs::write(&found, &bytes).unwrap();
            panic!("{target}: input {number} is a finding, stored as {}", found.display());
        }
    }
    println!("{target}: {} inputs in {:.1} s", corpus.len() + count * times, begun.elapsed().as_secs_f64());
}

fn labels_are_classes(set: &dyn lookahead_data::Dataset) {
    (0..set.len()).for_each(|index| assert!((set.label(index).unwrap() as usize) < set.classes().len()));
}

#[test]
fn image() {
    run("image", &corpus("image"), 300_000, |bytes| drop(lookahead_data::Image::decode(bytes, "damaged".as_ref())));
}

#[test]
fn binary() {
    let dir = tempfile::tempdir().unwrap();
    run("binary", &corpus("binary"), 10_000, |bytes| {
        for part in ["train.bin", "test.bin"] {
            std::fs::write(dir.path().join(part), bytes).unwrap();
        }
        for labels in [lookahead_data::CifarLabels::Fine, lookahead_data::CifarLabels::Coarse] {
            if let Ok(splits) = lookahead_data::cifar100(dir.path(), labels) {
                labels_are_classes(&*splits.train);
            }
        }
    });
}

#[test]
fn cache() {
    use lookahead_data::{Dataset, DecodedCache, ImageSize, InMemory};
    use std::ops::ControlFlow;

    let dir = tempfile::tempdir().unwrap();
    let classes = vec!["a".to_string(), "b".to_string()];
    let set = InMemory::new("set", classes, ImageSize::new(4, 3), (0..108).collect(), vec![1, 0, 1]).unwrap();
    let set: std::sync::Arc<dyn Dataset> = std::sync::Arc::new(set);
    let open = || DecodedCache::open(set.clone(), dir.path(), 8, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let path = open().path().to_path_buf();
    run("cache", &corpus("cache"), 3_000, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let cache = open();
        labels_are_classes(&cache);
        (0..cache.len()).for_each(|index| drop(cache.get(index)));
    });
}

/// The index of a cache that was not finished, beside pixels of any kind: gone on from, or begun anew.
#[test]
fn part_of_a_cache() {
    use lookahead_data::{Dataset, DecodedCache, ImageSize, InMemory};
    use std::ops::ControlFlow;

    let dir = tempfile::tempdir().unwrap();
    let set =
        InMemory::new("set", vec!["a".into(), "b".into()], ImageSize::new(4, 3), (0..108).collect(), vec![1, 0, 1]);
    let set: std::sync::Arc<dyn Dataset> = std::sync::Arc::new(set.unwrap());
    let open = || DecodedCache::open(set.clone(), dir.path(), 8, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let path = open().path().to_path_buf();
    run("cache", &corpus("cache"), 3_000, |bytes| {
        std::fs::remove_file(&path).unwrap();
        let (pixels, index) = bytes.split_at(bytes.len().min(108));
        std::fs::write(format!("{}.part", path.display()), pixels).unwrap();
        std::fs::write(format!("{}.part.index", path.display()), index).unwrap();
        let cache = open();
        assert_eq!(cache.len(), 3);
        labels_are_classes(&cache);
        (0..3).for_each(|index| drop(cache.get(index).unwrap()));
    });
}

#[cfg(feature = "download")]
#[test]
fn archive() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    run("archive", &corpus("archive"), 5_000, |bytes| {
        let dir = tempfile::tempdir().unwrap();
        let (archive, root) = (dir.path().join("a.tgz"), dir.path().join("root"));
        // The first byte says whether the rest is compressed already or is the tar file to compress.
        let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let packed = if first % 2 == 0 {
            rest.to_vec()
        } else {
            let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
            gz.write_all(rest).and_then(|()| gz.finish()).unwrap()
        };
        std::fs::write(&archive, packed).unwrap();
        let _ = lookahead_data::unpack_archive("set", &archive, &root, &mut |_| {});
        assert!(std::fs::read_dir(dir.path()).unwrap().count() <= 2, "something was written outside the folder");
    });
}

#[cfg(feature = "parquet")]
#[test]
fn parquet() {
    let dir = tempfile::tempdir().unwrap();
    // The parquet crate's own panics are caught by the reader; they would fill the log.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        if !["/parquet-", "/bytes-", "/library/"].iter().any(|part| file.contains(part)) {
            usual(panic);
        }
    }));
    let images: Vec<Vec<u8>> = (0..3).map(support::png).collect();
    let whole = dir.path().join("whole");
    support::hub::write(&whole, &support::hub::schema(&["label"]), &images, &[vec![0, 9, 5]]);
    let seeds = [std::fs::read(&whole).unwrap()];
    run("parquet", &seeds, 5_000, |bytes| {
        for part in ["train.parquet", "test.parquet"] {
            std::fs::write(dir.path().join(part), bytes).unwrap();
        }
        if let Ok(splits) = lookahead_data::cifar10(dir.path()) {
            labels_are_classes(&*splits.train);
        }
    });
}
