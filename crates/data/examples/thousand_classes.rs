//! Time and memory to the first batch of a folder of 1,000 classes: listing, digests and decoding.
//!
//! `cargo run --release -p lookahead-data --example thousand_classes -- [--classes N] [--each N] [--dir DIR] [--cache]`
//!
//! If `DIR` does not exist, it is created with a few pictures and hard links to them; otherwise it is used unchanged. `--cache` first decodes
//! 1,000 images, evenly spaced, to a cache.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use lookahead_data::{CachePlan, Dataset, ImageFolder, Loader, LoaderConfig, Pipeline, limit};

/// Pictures that all others are links to.
const PICTURES: u32 = 20;

/// Reads the command line, creates the folder if necessary, and reads it.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut classes, mut each, mut dir, mut cache) = (1000, 2, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--classes" => classes = value()?.parse()?,
            "--each" => each = value()?.parse()?,
            "--dir" => dir = Some(PathBuf::from(value()?)),
            "--cache" => cache = true,
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    match dir {
        Some(dir) => read(&dir, classes, each, cache),
        None => {
            let dir = std::env::temp_dir().join(format!("lookahead-classes-{}", std::process::id()));
            let result = read(&dir, classes, each, cache);
            std::fs::remove_dir_all(dir)?;
            result
        }
    }
}

/// Reads `classes` folders of `each` pictures in `dir`, from the listing to the first batch.
pub fn read(dir: &Path, classes: usize, each: usize, cache: bool) -> Result<(), Box<dyn std::error::Error>> {
    if !dir.exists() {
        make(dir, classes, each)?;
    }
    let begun = Instant::now();
    let said = |what: &str, count: usize| {
        println!("{what:<28} {count:>9}  {:>8.2} s  {:>6} MB", begun.elapsed().as_secs_f64(), peak_memory());
    };
    let mut folder = ImageFolder::open("set/train", dir, None)?;
    said("listed", folder.len());
    folder.keep_digests(dir.join(".files"));
    assert_eq!(folder.classes().len(), classes);
    let folder: Arc<dyn Dataset> = Arc::new(folder);
    folder.digest()?;
    said("digests of content", folder.len());
    let mut train = folder;
    if cache {
        let plan = CachePlan::new(limit(train, 1000), &dir.join(".cache"), 96, &mut |_, _| ControlFlow::Continue(()))?;
        println!("{} will take {:.1} MB", plan.path().display(), plan.bytes() as f64 / 1e6);
        train = Arc::new(plan.open(&mut |_, _| ControlFlow::Continue(()))?);
        said("decoded", train.len());
    }
    let loader = Loader::new(train, Pipeline::imagenet_train(64, 0.35)?, LoaderConfig::default())?;
    let batch = loader.epoch(0, 0).next().ok_or("no batch")??;
    said("first batch", batch.len());
    Ok(())
}

fn make(dir: &Path, classes: usize, each: usize) -> Result<(), Box<dyn std::error::Error>> {
    let pictures = dir.join(".pictures");
    std::fs::create_dir_all(&pictures)?;
    for i in 0..PICTURES {
        let picture =
            image::RgbImage::from_fn(160, 120, |x, y| image::Rgb([(x * i) as u8, (y * 2 + i) as u8, (x + y) as u8]));
        picture.save(pictures.join(format!("{i}.jpg")))?;
    }
    for class in 0..classes {
        let folder = dir.join(format!("n{class:08}"));
        std::fs::create_dir_all(&folder)?;
        for i in 0..each {
            let picture = pictures.join(format!("{}.jpg", (class + i) % PICTURES as usize));
            std::fs::hard_link(picture, folder.join(format!("{i:06}.jpg")))?;
        }
    }
    Ok(())
}

/// Peak memory in MB; 0 if the system does not report it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1000
}
