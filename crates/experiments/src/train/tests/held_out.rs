//! The test images are read once, by a run that is done, and never by what tunes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lookahead_data::{Dataset, ImageSize, ImageView, Sample};
use lookahead_runs::{Position, Split};

use super::*;
use crate::error::Error;
use crate::train::{Setup, Unwatched, train};

/// Counts who reads images, labels or digests.
#[derive(Debug)]
struct Counted {
    whole: Arc<dyn Dataset>,
    images: Arc<AtomicUsize>,
    digests: Arc<AtomicUsize>,
}

impl Dataset for Counted {
    fn name(&self) -> &str {
        "counted"
    }
    fn len(&self) -> usize {
        self.whole.len()
    }
    fn classes(&self) -> &[String] {
        self.whole.classes()
    }
    fn label(&self, index: usize) -> lookahead_data::Result<u32> {
        self.whole.label(index)
    }
    fn get(&self, index: usize) -> lookahead_data::Result<Sample> {
        self.images.fetch_add(1, Ordering::SeqCst);
        self.whole.get(index)
    }
    fn view(&self, _index: usize) -> Option<ImageView<'_>> {
        None
    }
    fn image_size(&self) -> Option<ImageSize> {
        self.whole.image_size()
    }
    fn file(&self, _index: usize) -> Option<&Path> {
        None
    }
    fn digest(&self) -> lookahead_data::Result<String> {
        self.digests.fetch_add(1, Ordering::SeqCst);
        self.whole.digest()
    }
}

/// Shapes whose test images are counted.
fn counted(train: usize, test: usize) -> (Splits, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (images, digests) = (Arc::default(), Arc::default());
    let splits = shapes(train, test);
    let counted = Counted { whole: splits.valid, images: Arc::clone(&images), digests: Arc::clone(&digests) };
    (Splits { valid: Arc::new(counted), ..splits }, images, digests)
}

fn holding_out(config: &mut Config) {
    config.data.images_mut().unwrap().held_out = 0.2;
    config.train.epochs = 3.0;
}

#[test]
fn what_tunes_cannot_read_the_test_images() {
    let run = run(row("sgd"), |config| {
        holding_out(config);
        config.data.set_test(false);
    });
    let (splits, read, digests) = counted(40, 20);
    let data = data(&run, splits);
    assert!(images(&data).test.is_none() && !Setup::new(&run, &data, &CPU).unwrap().task.has_test());
    let root = tempfile::tempdir().unwrap();
    let summary = train(&run, &data, &CPU, &open(root.path(), &run, &data), &options(), &mut Unwatched).unwrap();
    assert_eq!((read.load(Ordering::SeqCst), digests.load(Ordering::SeqCst)), (0, 0));
    assert_eq!(summary.split, Split::Valid);
    let details = summary.details.unwrap();
    assert_eq!(
        (details.valid, details.class_images.iter().sum::<u64>()),
        (None, 10),
        "one of five, at least one a class"
    );
}

#[test]
fn a_run_that_is_done_reads_the_test_images_once() {
    let run = run(row("sgd"), holding_out);
    let (splits, read, _) = counted(40, 20);
    let data = data(&run, splits);
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let summary = train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap();
    assert_eq!(read.load(Ordering::SeqCst), 20, "three epochs, and each test image once");
    let details = summary.details.unwrap();
    assert_eq!((summary.split, details.class_images.iter().sum::<u64>()), (Split::Test, 20));
    // The curve is of the held-out images, and its end is kept beside the figures of the test images.
    let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(details.valid.unwrap().loss, log.epochs[2].valid_loss);
    assert_ne!(details.valid.unwrap().loss, summary.figures.valid_loss);
    let about = data.about();
    assert_eq!((about.train.count, about.valid.count, about.test.count), (30, 10, 20));
}

#[test]
fn a_seal_holds_until_the_last_epoch() {
    let run = run(row("sgd"), holding_out);
    let data = data(&run, shapes(40, 20));
    let at = |epoch| images(&data).test.as_ref().unwrap().open(&run.config, &Position { epoch, ..Position::default() });
    assert!(matches!(at(2), Err(Error::TestTooEarly { done: 2, epochs: 3 })));
    assert_eq!(at(3).unwrap().len(), 20);
}

/// Where nothing is held out, a run is the run that it was before images could be held out.
#[test]
fn without_held_out_images_all_are_trained_on() {
    let run = run(row("sgd"), |_| ());
    let data = data(&run, shapes(40, 20));
    assert!(images(&data).test.is_none() && !data.about().held_out);
    assert_eq!((images(&data).train.len(), images(&data).valid.len()), (40, 20));
}
