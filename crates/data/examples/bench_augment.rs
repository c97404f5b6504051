//! Augmentation throughput on one thread, as one JSON line per case, with the cases and sizes of torchvision's benchmark.
//!
//! `cargo run --release -p lookahead-data --example bench_augment -- [--images DIR] [--count N]`
//!
//! `--images` names a folder of JPEG files, searched recursively; without it only the cases that need no files run.
//!
//! Two cases have no counterpart: `loader-...` is the first case in batches, as in training, with none prepared ahead; `cached-...` is the last
//! case, read from a [`DecodedCache`] in memory.

use std::error::Error;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use lookahead_data::{
    CHANNELS, Dataset, DecodedCache, ImageFolder, ImageSize, InMemory, Loader, LoaderConfig, Normalize, NormalizeTable,
    Pipeline, SampleRng,
};

fn main() {
    if let Err(error) = run() {
        eprintln!("bench_augment: {error}");
        std::process::exit(2);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut images, mut count): (Option<PathBuf>, usize) = (None, 400);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--images" => images = Some(value.into()),
            "--count" => count = value.parse()?,
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    let table = Normalize::CIFAR10.table();
    cifar(&table)?;
    if let Some(dir) = images {
        folder(&dir, count, &table)?;
    }
    Ok(())
}

/// 3000 images of 32 x 32, as in torchvision's case, ten times: one pass takes 10 ms.
fn cifar(table: &NormalizeTable) -> Result<(), Box<dyn Error>> {
    let size = ImageSize::square(32);
    let pixels = (0..3000 * size.bytes()).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
    let set = InMemory::new("random", vec!["a".into()], size, pixels, vec![0; 3000])?;
    let pipeline = Pipeline::cifar();
    let mut bytes = vec![0; size.bytes()];
    let mut out = vec![0.0f32; size.bytes()];
    report("pad4-crop32-flip-normalize", 30_000, 1, |i| {
        let view = set.view(i % 3000).ok_or("no view")?;
        pipeline.write(view, &mut SampleRng::new(0, i / 3000, i % 3000), &mut bytes)?;
        table.write(&bytes, &mut out);
        black_box(&out);
        Ok(())
    })?;
    let config = LoaderConfig { batch_size: BATCH, threads: Some(1), prefetch: 0, ..LoaderConfig::default() };
    let loader = Loader::new(Arc::new(set), pipeline, config)?;
    let mut epochs = 0..;
    let mut batches = loader.epoch(0, 0);
    // `to_device` takes its threads from the pool that it is called in.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    report("loader-pad4-crop32-flip-normalize", 200, BATCH, |_| {
        let batch = loop {
            match batches.next() {
                Some(batch) => break batch?,
                None => batches = loader.epoch(epochs.next().unwrap_or(0), 0),
            }
        };
        black_box(one.install(|| batch.to_device(&candle_core::Device::Cpu, &Normalize::CIFAR10))?);
        Ok(())
    })
}

/// Images in a batch of the loader.
const BATCH: usize = 128;

fn folder(dir: &Path, count: usize, table: &NormalizeTable) -> Result<(), Box<dyn Error>> {
    let set: Arc<dyn Dataset> = Arc::new(ImageFolder::open("images", dir, None)?);
    // The first files in order of their names, as the counterpart takes them.
    let count = count.min(set.len());
    report("decode", count, 1, |i| {
        black_box(set.get(i)?);
        Ok(())
    })?;
    let pipeline = Pipeline::imagenet_train(128, 0.35)?;
    crops("decode-rrc128-flip-normalize", set.as_ref(), count, &pipeline, table)?;
    let cache_dir = std::env::temp_dir().join(format!("lookahead-bench-{}", std::process::id()));
    let cached = DecodedCache::open(set, &cache_dir, 147, &mut |_, _| ControlFlow::Continue(())).map(|cache| {
        // Once through, so that the file is in memory.
        (0..count).try_for_each(|i| cache.get(i).map(|_| ()))?;
        crops("cached-rrc128-flip-normalize", &cache, count, &pipeline, table)
    });
    std::fs::remove_dir_all(&cache_dir)?;
    cached?
}

fn crops(
    case: &str,
    set: &dyn Dataset,
    count: usize,
    pipeline: &Pipeline,
    table: &NormalizeTable,
) -> Result<(), Box<dyn Error>> {
    let mut bytes = vec![0; 128 * 128 * CHANNELS];
    let mut out = vec![0.0f32; bytes.len()];
    report(case, count, 1, |i| {
        let sample = set.get(i)?;
        pipeline.write(sample.image.view(), &mut SampleRng::new(0, 0, i), &mut bytes)?;
        table.write(&bytes, &mut out);
        black_box(&out);
        Ok(())
    })
}

/// Runs `f` once untimed, then `count` times on this thread, and prints the rate of images; each call makes `each`.
fn report(
    case: &str,
    count: usize,
    each: usize,
    mut f: impl FnMut(usize) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    f(0)?;
    let start = Instant::now();
    for i in 0..count {
        f(i)?;
    }
    let rate = (count * each) as f64 / start.elapsed().as_secs_f64();
    println!(r#"{{"peer": "lookahead", "case": "{case}", "images_per_second": {rate:.1}}}"#);
    Ok(())
}
