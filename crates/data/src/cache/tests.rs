use std::ops::ControlFlow;

use super::format::{ENTRY, FOOTER};
use super::*;
use crate::{ImageSize, InMemory, SampleRng};

fn source() -> Arc<dyn Dataset> {
    let pixels = (0..3 * 8 * 6 * 3usize).map(|i| (i * 7 % 256) as u8).collect();
    let classes = vec!["a".to_string(), "b".to_string()];
    Arc::new(InMemory::new("x/train", classes, ImageSize::new(8, 6), pixels, vec![1, 0, 1]).unwrap())
}

fn open(dir: &Path, side: usize) -> (DecodedCache, usize) {
    let mut decoded = 0;
    let mut report = |done, _| {
        decoded = done;
        ControlFlow::Continue(())
    };
    let cache = DecodedCache::open(source(), dir, side, &mut report).unwrap();
    (cache, decoded)
}

fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
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
    assert_eq!((cache.image_size(), smaller.image_size()), (Some(ImageSize::new(8, 6)), Some(ImageSize::new(4, 3))));
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
    assert_eq!(count(dir.path()), 1, "no parts left over");
}

/// 5,000 images of one pixel each, numbered; number 4,700 is broken where asked for, and reads are counted.
#[derive(Debug)]
struct Many {
    broken: bool,
    label: u32,
    reads: std::sync::atomic::AtomicUsize,
    classes: Vec<String>,
}

impl Many {
    fn new(broken: bool) -> Arc<Self> {
        Arc::new(Self { broken, label: 0, reads: Default::default(), classes: vec!["a".into()] })
    }
}

impl Dataset for Many {
    fn name(&self) -> &str {
        "many"
    }
    fn len(&self) -> usize {
        5000
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, _: usize) -> Result<u32> {
        Ok(0)
    }
    fn get(&self, index: usize) -> Result<Sample> {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.broken && index.is_multiple_of(1000) && index > 2000 {
            return Err(Error::Decode { path: format!("{index}.jpg").into(), row: None, problem: "broken".into() });
        }
        let image = Image::new(ImageSize::square(1), vec![index as u8, (index >> 8) as u8, 7])?;
        Ok(Sample { image, label: self.label })
    }
    fn digest(&self) -> Result<String> {
        Ok("many".into())
    }
}

#[test]
fn what_was_stopped_is_gone_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let stop_at = |limit: usize| {
        let mut report = move |done, _| if done >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        DecodedCache::open(Many::new(false), dir.path(), 1, &mut report)
    };
    assert!(matches!(stop_at(2500), Err(Error::Stopped { done: 2560, total: 5000 })));
    assert_eq!(count(dir.path()), 2, "a part and its index");
    let begun = || CachePlan::new(Many::new(false), dir.path(), 1, &mut crate::report::quiet).unwrap().bytes_begun();
    assert_eq!(begun(), 2560 * 3);
    // A process that was killed between the two: pixels that the index does not know, and half an entry.
    let append = |ending: &str, bytes: &[u8]| {
        use std::io::Write as _;
        let path = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let path = path.into_iter().find(|path| path.to_string_lossy().ends_with(ending)).unwrap();
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
    };
    append(".part", &[9; 500]);
    append(".index", &[9; 30]);
    let rest = Many::new(false);
    let cache = DecodedCache::open(rest.clone(), dir.path(), 1, &mut crate::report::quiet).unwrap();
    assert_eq!(rest.reads.load(std::sync::atomic::Ordering::Relaxed), 5000 - 2560);
    for index in [0, 2559, 2560, 4999] {
        assert_eq!(cache.get(index).unwrap().image.pixels()[..2], [index as u8, (index >> 8) as u8]);
    }
    assert_eq!((count(dir.path()), begun()), (1, 0));
}

#[cfg(unix)]
#[test]
fn files_lie_in_the_folder_given_whatever_its_name() {
    use std::os::unix::ffi::OsStrExt as _;

    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    assert_eq!(open(&dir, 6).1, 3);
    assert_eq!((count(&dir), count(root.path())), (1, 1));
}

#[test]
fn broken_images_are_counted_and_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let error = DecodedCache::open(Many::new(true), dir.path(), 1, &mut crate::report::quiet).unwrap_err();
    assert!(matches!(&error, Error::Broken { others: 1, checked: 5000, .. }), "{error}");
    assert!(error.to_string().starts_with("3000.jpg: ") && error.to_string().contains("1 more"), "{error}");
    assert_eq!(count(dir.path()), 0);
}

/// The cache must be able to read back what it writes.
#[test]
fn labels_that_are_no_class_are_refused_and_any_label_is_taken_without_classes() {
    let labelled = |label, classes| {
        let dir = tempfile::tempdir().unwrap();
        let set = Many { broken: false, label, reads: Default::default(), classes };
        DecodedCache::open(Arc::new(set), dir.path(), 1, &mut crate::report::quiet)
    };
    let error = labelled(1, vec!["a".into()]).unwrap_err();
    assert!(error.to_string().starts_with("many: label 1 in row 0 is out of range"), "{error}");
    assert_eq!(labelled(1, vec![]).unwrap().label(4999).unwrap(), 1);
}
