//! The same bytes on any number of threads, twice, and from the middle of an epoch.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use rayon::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;

use lookahead_data::{
    Augment, Batch, Batches, CHANNELS, ColorJitter, Dataset, DecodedCache, Error, ExampleLoader, Examples, Flip, Image,
    ImageFolder, ImageSize, InMemory, Loader, LoaderConfig, Mixing, Normalize, Order, OwnError, PadCrop, Pipeline,
    Result, Sample, SampleRng, Shapes, ShapesConfig, Transform,
};

fn shapes(count: usize) -> Arc<dyn Dataset> {
    Shapes::draw(&ShapesConfig { seed: 0, train: count, valid: 1 }).unwrap().train
}

fn busy() -> Pipeline {
    let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
    let mut steps = Pipeline::cifar().steps().to_vec();
    steps.push(Transform::ColorJitter(jitter));
    Pipeline::new(steps).unwrap()
}

fn batches(config: &LoaderConfig, epoch: usize, first: usize) -> Vec<Batch> {
    let loader = Loader::new(shapes(200), busy(), config.clone()).unwrap();
    loader.epoch(epoch, first).collect::<Result<Vec<_>>>().unwrap()
}

const MIXINGS: [Mixing; 4] =
    [Mixing::None, Mixing::Mixup { alpha: 1.0 }, Mixing::MixupPerSample { alpha: 0.4 }, Mixing::CutMix { alpha: 1.0 }];

#[test]
fn threads_and_prefetching_change_nothing() {
    for mixing in MIXINGS {
        let config = LoaderConfig { batch_size: 64, seed: 9, mixing, ..LoaderConfig::default() };
        let expected = batches(&config, 3, 0);
        assert_eq!(expected.len(), 3);
        for (threads, prefetch) in [(1, 0), (1, 2), (2, 1), (2, 2), (8, 0), (8, 5), (8, 2)] {
            let config = LoaderConfig { threads: Some(threads), prefetch, ..config.clone() };
            assert_eq!(batches(&config, 3, 0), expected, "{threads} threads, {prefetch} ahead, {mixing:?}");
        }
    }
}

/// Photographs of several sizes in a folder, read as they are and through a cache.
#[test]
fn photographs_are_the_same_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..24u32 {
        let class = dir.path().join(format!("class{}", i % 3));
        std::fs::create_dir_all(&class).unwrap();
        let (width, height) = (40 + i, 70 - i);
        let pixels = (0..width * height * 3).map(|j| ((i + 1) * j / 7 % 256) as u8).collect();
        let photo = support::encoded(pixels, width, height, image::ImageFormat::Jpeg);
        std::fs::write(class.join(format!("{i:02}.jpg")), photo).unwrap();
    }
    let folder: Arc<dyn Dataset> = Arc::new(ImageFolder::open("photos", dir.path(), None).unwrap());
    let pipelines = [Pipeline::imagenet_train(32, 0.35).unwrap(), Pipeline::fastai_train(32).unwrap()];
    for (pipeline, cached) in pipelines.iter().flat_map(|pipeline| [(pipeline, false), (pipeline, true)]) {
        let run = |threads: usize, first: usize| {
            let cache_dir = tempfile::tempdir().unwrap();
            let set: Arc<dyn Dataset> =
                match cached {
                    true => Arc::new(
                        DecodedCache::open(Arc::clone(&folder), cache_dir.path(), 36, &mut |_, _| {
                            ControlFlow::Continue(())
                        })
                        .unwrap(),
                    ),
                    false => Arc::clone(&folder),
                };
            let config = LoaderConfig { batch_size: 5, threads: Some(threads), ..LoaderConfig::default() };
            let loader = Loader::new(set, pipeline.clone(), config).unwrap();
            loader.epoch(1, first).collect::<Result<Vec<_>>>().unwrap()
        };
        let expected = run(1, 0);
        assert_eq!(expected.len(), 4);
        for threads in [1, 2, 8] {
            assert_eq!(run(threads, 0), expected, "{threads} threads, {pipeline}, cached {cached}");
        }
        assert_eq!(run(2, 2), expected[2..], "{pipeline}, cached {cached}");
    }
}

#[test]
fn an_epoch_taken_up_in_the_middle_goes_on_as_it_would_have() {
    for mixing in MIXINGS {
        let config = LoaderConfig { batch_size: 30, drop_last: false, mixing, ..LoaderConfig::default() };
        let whole = batches(&config, 1, 0);
        assert_eq!(whole.len(), 7);
        assert_eq!(whole[6].len(), 20);
        for first in [0, 1, 6, 7, 99] {
            assert_eq!(batches(&config, 1, first), whole[first.min(7)..]);
        }
    }
}

#[test]
fn epochs_and_seeds_differ() {
    let config = LoaderConfig { batch_size: 50, ..LoaderConfig::default() };
    let first = batches(&config, 0, 0);
    assert_ne!(first, batches(&config, 1, 0));
    assert_ne!(first, batches(&LoaderConfig { seed: 1, ..config }, 0, 0));
    let mut seen: Vec<u32> = first.iter().flat_map(|batch| batch.indices().to_vec()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn evaluation_is_in_order_and_complete() {
    let set = shapes(70);
    let loader = Loader::new(Arc::clone(&set), Pipeline::default(), LoaderConfig::evaluation(32)).unwrap();
    assert_eq!((loader.batches_per_epoch(), loader.samples_per_epoch()), (3, 70));
    let mut index = 0;
    for batch in loader.epoch(0, 0) {
        let batch = batch.unwrap();
        for (image, &label) in batch.images().chunks(32 * 32 * CHANNELS).zip(batch.labels()) {
            let sample = set.get(index).unwrap();
            assert_eq!((sample.image.pixels(), sample.label), (image, label));
            index += 1;
        }
    }
    assert_eq!(index, 70);
}

#[test]
fn mixed_targets_and_images_by_hand() {
    // Two images of one pixel: value 0 of class 0 and value 255 of class 2.
    let classes = vec!["a".into(), "b".into(), "c".into()];
    let pixels = vec![0, 0, 0, 255, 255, 255];
    let set = InMemory::new("two", classes, ImageSize::square(1), pixels, vec![0, 2]).unwrap();
    let config = LoaderConfig {
        batch_size: 2,
        shuffle: false,
        mixing: Mixing::MixupPerSample { alpha: 0.4 },
        ..LoaderConfig::default()
    };
    let loader = Loader::new(Arc::new(set), Pipeline::default(), config).unwrap();
    let mut swapped = false;
    for epoch in 0..20 {
        let batch = loader.epoch(epoch, 0).next().unwrap().unwrap();
        let mix = batch.mix().unwrap().clone();
        assert!(mix.weight.iter().all(|w| (0.5..=1.0).contains(w)));
        let ready = batch.to_device(&candle_core::Device::Cpu, &Normalize::UNIT).unwrap();
        let targets = ready.soft_targets.unwrap().to_vec2::<f32>().unwrap();
        let images = ready.images.flatten_all().unwrap().reshape((2, 3)).unwrap().to_vec2::<f32>().unwrap();
        if mix.partner == [1, 0] {
            swapped = true;
            let [w0, w1] = [mix.weight[0], mix.weight[1]];
            assert_eq!(targets, [[w0, 0.0, 1.0 - w0], [1.0 - w1, 0.0, w1]]);
            assert_eq!(images, [[1.0 - w0; 3], [w1; 3]]);
        } else {
            assert_eq!(targets[0][1], 0.0);
            assert!((targets[0][0] - 1.0).abs() < 1e-6 && (images[1][0] - 1.0).abs() < 1e-6);
        }
    }
    assert!(swapped);
}

#[test]
fn a_cutmix_weight_is_the_area_kept() {
    let config = LoaderConfig { batch_size: 40, mixing: Mixing::CutMix { alpha: 1.0 }, ..LoaderConfig::default() };
    let loader = Loader::new(shapes(200), Pipeline::default(), config).unwrap();
    let set = shapes(200);
    for batch in loader.epoch(0, 0) {
        let batch = batch.unwrap();
        let mix = batch.mix().unwrap();
        let cut = mix.pasted.unwrap();
        let area = (cut.bottom - cut.top) * (cut.right - cut.left);
        assert!((mix.weight[0] - (1.0 - area as f32 / 1024.0)).abs() < 1e-6);
        for (i, image) in batch.images().chunks(32 * 32 * CHANNELS).enumerate() {
            let own = set.get(batch.indices()[i] as usize).unwrap().image;
            let other = set.get(batch.indices()[mix.partner[i] as usize] as usize).unwrap().image;
            for (y, x) in (0..32).flat_map(|y| (0..32).map(move |x| (y, x))) {
                let inside = (cut.top..cut.bottom).contains(&y) && (cut.left..cut.right).contains(&x);
                let expected = if inside { &other } else { &own }.view().pixel(y, x);
                assert_eq!(image[(y * 32 + x) * 3..][..3], expected);
            }
        }
    }
}

/// Ten samples of which one cannot be read, and one is larger.
#[derive(Debug)]
struct Damaged {
    classes: Vec<String>,
    label: u32,
    bad: usize,
    panics: bool,
}

impl Dataset for Damaged {
    fn name(&self) -> &str {
        "damaged"
    }
    fn len(&self) -> usize {
        10
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, _: usize) -> Result<u32> {
        Ok(self.label)
    }
    fn get(&self, index: usize) -> Result<Sample> {
        assert!(!(self.panics && index == self.bad), "sample {index} is not what I thought");
        if index == self.bad {
            return Err(Error::Decode { path: "x.jpg".into(), row: None, problem: "broken".into() });
        }
        let size = ImageSize::square(if index == 8 { 9 } else { 8 });
        Ok(Sample { image: lookahead_data::Image::new(size, vec![0; size.bytes()])?, label: self.label })
    }
    fn digest(&self) -> Result<String> {
        Ok(String::new())
    }
}

#[test]
fn the_first_error_ends_an_epoch() {
    for prefetch in [0, 2] {
        let run = |bad, pipeline| {
            let set = Arc::new(Damaged { classes: vec!["a".into()], label: 0, bad, panics: false });
            let config = LoaderConfig { batch_size: 2, shuffle: false, prefetch, ..LoaderConfig::default() };
            let loader = Loader::new(set, pipeline, config).unwrap();
            loader.epoch(0, 0).collect::<Vec<_>>()
        };
        let seen = run(6, Pipeline::default());
        assert_eq!(seen.len(), 4);
        assert!(matches!(seen[3], Err(Error::Decode { .. })));
        let seen = run(99, Pipeline::default());
        assert!(
            matches!(&seen[4], Err(Error::UnequalSize { row: Some(9), found, .. }) if found.height == 8),
            "{:?}",
            seen[4]
        );
        assert!(seen[4].as_ref().is_err_and(|error| error.to_string().contains("end the pipeline with a step")));
        let crop = Transform::PadCrop(PadCrop { pad: 0, size: Some(8), ..PadCrop::default() });
        assert_eq!(run(99, Pipeline::new(vec![crop]).unwrap()).into_iter().filter(Result::is_ok).count(), 5);
    }
}

/// Every sample fails, the first of them last: whatever the threads do, the first is reported.
#[derive(Debug)]
struct AllFail(Vec<String>);

/// Time for all other threads.
fn dawdle(index: usize) {
    if index == 0 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

impl Dataset for AllFail {
    fn name(&self) -> &str {
        "all fail"
    }
    fn len(&self) -> usize {
        64
    }
    fn classes(&self) -> &[String] {
        &self.0
    }
    fn label(&self, _: usize) -> Result<u32> {
        Ok(0)
    }
    fn get(&self, index: usize) -> Result<Sample> {
        dawdle(index);
        Err(Error::Index { index, len: 0 })
    }
    /// Large, so that a task has a single image.
    fn image_size(&self) -> Option<ImageSize> {
        Some(ImageSize::square(200))
    }
    fn digest(&self) -> Result<String> {
        Ok(String::new())
    }
}

impl Examples for AllFail {
    type Item = ();

    fn len(&self) -> usize {
        64
    }
    fn get(&self, index: usize, _: &mut SampleRng) -> std::result::Result<(), OwnError> {
        dawdle(index);
        Err("broken".into())
    }
}

#[test]
fn of_several_errors_the_first_in_order_is_reported() {
    let config = LoaderConfig { threads: Some(4), ..LoaderConfig::evaluation(64) };
    let loader = Loader::new(Arc::new(AllFail(vec![])), Pipeline::default(), config.clone()).unwrap();
    let error = loader.epoch(0, 0).next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Index { index: 0, .. }), "{error}");
    let loader = ExampleLoader::new(Arc::new(AllFail(vec![])), config).unwrap();
    assert_eq!(loader.epoch(0, 0).next().unwrap().unwrap_err().to_string(), "example 0: broken");
}

/// Makes images of an eighth of the size.
#[derive(Debug)]
struct Eighth;

impl Augment for Eighth {
    fn name(&self) -> String {
        "eighth".to_string()
    }
    fn output_size(&self, input: ImageSize) -> ImageSize {
        ImageSize::new(input.height / 8, input.width / 8)
    }
    fn apply(&self, image: Image, _: &mut SampleRng) -> std::result::Result<Image, OwnError> {
        let size = self.output_size(image.size());
        Ok(Image::new(size, vec![0; size.bytes()])?)
    }
}

/// A data set that gives a wrong size.
#[derive(Debug)]
struct Sizeless(Arc<dyn Dataset>);

impl Dataset for Sizeless {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn classes(&self) -> &[String] {
        self.0.classes()
    }
    fn label(&self, index: usize) -> Result<u32> {
        self.0.label(index)
    }
    fn get(&self, index: usize) -> Result<Sample> {
        self.0.get(index)
    }
    fn image_size(&self) -> Option<ImageSize> {
        Some(ImageSize::new(0, 0))
    }
    fn digest(&self) -> Result<String> {
        self.0.digest()
    }
}

/// A batch of images without pixels would be empty, and training on it look complete.
#[test]
fn images_without_pixels_are_refused() {
    let small = InMemory::new("small", vec!["a".into()], ImageSize::square(4), vec![0; 2 * 48], vec![0; 2]).unwrap();
    let pipeline = Pipeline::new(vec![Transform::own(Eighth)]).unwrap();
    let refused = "output size is 0x0, but must be 1 to 2^26 pixels";
    let image = small.get(0).unwrap().image;
    assert_eq!(pipeline.apply(image.view(), &mut SampleRng::new(0, 0, 0)).unwrap_err().to_string(), refused);
    let small: Arc<dyn Dataset> = Arc::new(small);
    let sizeless: Arc<dyn Dataset> = Arc::new(Sizeless(Arc::clone(&small)));
    for (set, pipeline) in [(small, pipeline), (sizeless, Pipeline::cifar())] {
        let loader = Loader::new(set, pipeline, LoaderConfig::evaluation(2)).unwrap();
        let error = loader.epoch(0, 0).next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), format!("small sample 0: {refused}"));
    }
}

#[test]
fn a_panic_of_a_data_set_is_an_error() {
    let set = Damaged { classes: vec!["a".into()], label: 0, bad: 3, panics: true };
    let config = LoaderConfig { batch_size: 2, shuffle: false, ..LoaderConfig::default() };
    let seen: Vec<_> = Loader::new(Arc::new(set), Pipeline::default(), config).unwrap().epoch(0, 0).collect();
    assert_eq!(seen.len(), 2);
    assert!(
        matches!(&seen[1], Err(Error::Loader { problem }) if problem.ends_with("sample 3 is not what I thought")),
        "{:?}",
        seen[1]
    );
}

/// A label that is not a class would go on into a loss or, if mixed, past the end of the targets.
#[test]
fn labels_that_are_no_class_are_refused() {
    let set = |classes: &[&str]| {
        let classes = classes.iter().map(ToString::to_string).collect();
        Arc::new(Damaged { classes, label: 2, bad: 99, panics: false })
    };
    for mixing in MIXINGS {
        let config = LoaderConfig { batch_size: 4, shuffle: false, mixing, ..LoaderConfig::default() };
        let loader = Loader::new(set(&["a", "b"]), Pipeline::default(), config).unwrap();
        let error = loader.epoch(0, 0).next().unwrap().unwrap_err();
        assert!(matches!(&error, Error::Label { row: 0, label: 2, classes: 2, .. }), "{error}");
    }
    assert!(matches!(Batch::from_samples(&*set(&["a", "b"]), &[5]), Err(Error::Label { row: 5, .. })));
    // Without class names, any label may pass.
    let loader = Loader::new(set(&[]), Pipeline::default(), LoaderConfig::evaluation(4)).unwrap();
    assert_eq!(loader.epoch(0, 0).next().unwrap().unwrap().labels(), [2; 4]);
}

/// Each sample `0` times.
#[derive(Debug)]
struct Repeated(usize);

impl Order for Repeated {
    fn samples(&self, len: usize) -> usize {
        self.0 * len
    }
    fn epoch(&self, len: usize, _: usize, _: &mut SampleRng) -> std::result::Result<Vec<u32>, OwnError> {
        Ok((0..self.0).flat_map(|_| 0..len as u32).collect())
    }
}

#[derive(Debug)]
struct Numbers(usize);

impl Examples for Numbers {
    type Item = usize;

    fn len(&self) -> usize {
        self.0
    }
    fn get(&self, index: usize, _: &mut SampleRng) -> std::result::Result<usize, OwnError> {
        Ok(index)
    }
}

#[test]
fn an_epoch_of_which_all_samples_are_dropped_is_an_error() {
    let expected =
        "batch_size is 128, with 100 samples per epoch, but must be at most their number, unless `drop_last` is false";
    for prefetch in [0, 2] {
        let config = LoaderConfig { prefetch, ..LoaderConfig::default() };
        let loader = |config| Loader::new(shapes(100), Pipeline::default(), config).unwrap();
        let seen: Vec<_> = loader(config.clone()).epoch(0, 0).collect();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].as_ref().unwrap_err().to_string(), expected);
        let mut examples = ExampleLoader::new(Arc::new(Numbers(100)), config.clone()).unwrap().epoch(0, 0);
        assert_eq!(examples.next().unwrap().unwrap_err().to_string(), expected);
        assert!(examples.next().is_none());
        // An order may fill a batch, or leave one empty; no samples at all make no batches.
        let lengths = |batches: Batches| batches.map(|batch| batch.unwrap().len()).collect::<Vec<_>>();
        assert_eq!(lengths(loader(config.clone()).with_order(Repeated(3)).epoch(0, 0)), [128, 128]);
        assert!(lengths(loader(config.clone()).with_order(Repeated(0)).epoch(0, 0)).is_empty());
        assert_eq!(lengths(loader(LoaderConfig { drop_last: false, ..config }).epoch(0, 0)), [100]);
    }
}

/// Always fails.
#[derive(Debug)]
struct Failing;

impl Augment for Failing {
    fn name(&self) -> String {
        "failing".to_string()
    }
    fn apply(&self, _: Image, _: &mut SampleRng) -> std::result::Result<Image, OwnError> {
        Err("no luck".into())
    }
}

#[test]
fn an_error_of_an_augmentation_names_the_sample() {
    let pipeline = Pipeline::new(vec![Transform::own(Failing)]).unwrap();
    let loader = Loader::new(shapes(3), pipeline, LoaderConfig::evaluation(3)).unwrap();
    let error = loader.epoch(0, 0).next().unwrap().unwrap_err();
    let Error::Sample { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(&**source, Error::Own { name, .. } if name == "failing"), "{source:?}");
    assert!(error.to_string().contains("no luck"), "{error}");
}

/// Oversampling must not repeat the same picture: each visit is augmented anew, and the first as if it were the only one.
#[test]
fn a_sample_visited_again_is_augmented_anew() {
    let config = LoaderConfig { batch_size: 120, shuffle: false, ..LoaderConfig::default() };
    let loader = || Loader::new(shapes(40), Pipeline::cifar(), config.clone()).unwrap();
    let batch = loader().with_order(Repeated(3)).epoch(1, 0).next().unwrap().unwrap();
    let stride = batch.images().len() / 120;
    let image = |batch: &Batch, at: usize| batch.images()[at * stride..(at + 1) * stride].to_vec();
    // A crop of 81 and a flip: two visits may look the same by chance, but rarely.
    let differ = |a: usize, b: usize| (0..40).filter(|i| image(&batch, a + i) != image(&batch, b + i)).count();
    assert!(differ(0, 40) > 35 && differ(0, 80) > 35 && differ(40, 80) > 35);
    assert_ne!(batch.rng(0).bits(), batch.rng(40).bits());

    let config = LoaderConfig { batch_size: 40, ..config.clone() };
    let once = Loader::new(shapes(40), Pipeline::cifar(), config).unwrap().epoch(1, 0).next().unwrap().unwrap();
    assert!((0..40).all(|at| image(&once, at) == image(&batch, at)));
    assert_eq!(once.rng(0).bits(), batch.rng(0).bits());
}

/// The only thread of a pool iterates: it must not wait for batches that this pool should prepare.
#[test]
fn a_loader_in_a_full_pool_does_not_wait_for_itself() {
    // The global pool's threads run the test's epochs, as many as there are threads and more.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let count = |seed: usize| {
            let config = LoaderConfig { batch_size: 10, seed: seed as u64, ..LoaderConfig::default() };
            Loader::new(shapes(40), Pipeline::cifar(), config)
                .unwrap()
                .epoch(0, 0)
                .map(|batch| batch.unwrap().len())
                .sum()
        };
        let counts: Vec<usize> =
            (0..4 * rayon::current_num_threads()).into_par_iter().with_max_len(1).map(count).collect();
        sender.send(counts).unwrap();
    });
    let counts = receiver.recv_timeout(std::time::Duration::from_secs(120)).expect("the pool waits for itself");
    assert!(counts.iter().all(|&count| count == 40));
}

#[test]
fn dropping_an_epoch_early_stops_its_thread() {
    let config = LoaderConfig { batch_size: 1, prefetch: 3, ..LoaderConfig::default() };
    let set = shapes(200);
    let loader = Loader::new(Arc::clone(&set), Pipeline::cifar(), config).unwrap();
    for epoch in 0..50 {
        assert!(loader.epoch(epoch, 0).next().unwrap().is_ok());
    }
    drop(loader);
    // Threads that lived on would hold on to the set.
    assert_eq!(Arc::strong_count(&set), 1);
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |config: LoaderConfig| match Loader::new(shapes(1), Pipeline::default(), config) {
        Err(Error::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let config = LoaderConfig::default;
    assert_eq!(refused(LoaderConfig { batch_size: 0, ..config() }), "batch_size");
    assert_eq!(refused(LoaderConfig { threads: Some(0), ..config() }), "threads");
    assert_eq!(refused(LoaderConfig { limit: Some(0), ..config() }), "limit");
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(LoaderConfig { mixing: Mixing::Mixup { alpha }, ..config() }), "mixing.alpha");
    }
}

/// What seeded users get must not change: order, crops, flips, mixing and labels of one batch.
#[test]
fn one_batch_is_pinned() {
    let config =
        LoaderConfig { batch_size: 8, seed: 1, mixing: Mixing::CutMix { alpha: 1.0 }, ..LoaderConfig::default() };
    let pixels: Vec<u8> = (0..50usize * 4 * 4 * 3).map(|i| (i * 31 % 256) as u8).collect();
    let (classes, labels) = (vec!["a".to_string(), "b".to_string()], (0..50).map(|i| i % 2).collect());
    let set = InMemory::new("pinned", classes.clone(), ImageSize::square(4), pixels, labels).unwrap();
    let crop = PadCrop { pad: 1, ..PadCrop::default() };
    let pipeline = Pipeline::new(vec![Transform::PadCrop(crop), Transform::Flip(Flip::default())]).unwrap();
    let batch = Loader::new(Arc::new(set), pipeline, config).unwrap().epoch(2, 3).next().unwrap().unwrap();
    assert_eq!(batch.indices(), INDICES);
    assert_eq!(format!("{:?}", batch.mix().unwrap()), MIX);
    // The digest of these pixels and labels as a data set of their own.
    let (pixels, labels) = (batch.images().to_vec(), batch.labels().to_vec());
    assert_eq!(InMemory::new("", classes, ImageSize::square(4), pixels, labels).unwrap().digest().unwrap(), DIGEST);
}
const INDICES: [u32; 8] = [0, 48, 25, 41, 6, 22, 13, 23];
const MIX: &str = "Mix { partner: [6, 2, 0, 4, 5, 3, 1, 7], weight: [0.875, 0.875, 0.875, 0.875, 0.875, 0.875, 0.875, 0.875], \
                   pasted: Some(PastedBox { top: 1, bottom: 3, left: 0, right: 1 }) }";
const DIGEST: &str = "737d51c4106a5b29fa2f344484ddf1dc93fccb2b3ae05cba65f8b03dbedb7742";
