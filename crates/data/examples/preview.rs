//! Writes a contact sheet: a row for each of a few samples, a column for the sample itself and for each augmentation.
//!
//! `cargo run --release -p lookahead-data --example preview -- DATASET [--data DIR] [--rows N] [--seed N] [--out FILE.png]`

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use lookahead_data::{
    AlternatingFlip, Border, CHANNELS, CenterCrop, ColorJitter, Cutout, Dataset, Image, ImageSize, Loader,
    LoaderConfig, Mixing, Normalize, PadCrop, Pipeline, RandomErasing, SampleRng, ShortSide, Transform, limit, open,
};

/// Pixels of a cell, and between cells.
const CELL: usize = 128;
const GAP: usize = 4;

struct Options {
    dataset: String,
    data: PathBuf,
    rows: usize,
    seed: u64,
    out: PathBuf,
}

fn main() {
    let result = options().map_err(|e| (2, e)).and_then(|options| sheet(&options).map_err(|e| (1, e)));
    if let Err((code, error)) = result {
        eprintln!("preview: {error}");
        std::process::exit(code);
    }
}

fn options() -> Result<Options, Box<dyn Error>> {
    let data = std::env::var_os("LOOKAHEAD_DATA").filter(|data| !data.is_empty()).unwrap_or("datasets".into());
    let mut options =
        Options { dataset: String::new(), data: data.into(), rows: 8, seed: 0, out: PathBuf::from("preview.png") };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--data" => options.data = value()?.into(),
            "--rows" => options.rows = number(&argument, &value()?)?,
            "--seed" => options.seed = number(&argument, &value()?)?,
            "--out" => options.out = value()?.into(),
            name if !name.starts_with('-') && options.dataset.is_empty() => options.dataset = argument,
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    if options.dataset.is_empty() {
        return Err("name a data set: shapes, cifar10, cifar100 or a folder's name".into());
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(argument: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{argument} must be a whole number, but is `{value}`"))
}

fn sheet(options: &Options) -> Result<(), Box<dyn Error>> {
    let samples = limit(open(&options.data, &options.dataset)?.train, options.rows.max(1));
    let first = samples.get(0)?.image.size();
    let columns = columns(first)?;
    let side = |count: usize| GAP + count * (CELL + GAP);
    let (width, height) = (side(columns.len() + MIXINGS.len()), side(samples.len()));
    let mut sheet = image::RgbImage::from_pixel(width as u32, height as u32, image::Rgb([255; 3]));
    for row in 0..samples.len() {
        let sample = samples.get(row)?;
        for (column, pipeline) in columns.iter().enumerate() {
            let image = pipeline.apply(sample.image.view(), &mut SampleRng::new(options.seed, column, row))?;
            paste(&mut sheet, &image, side(column), side(row));
        }
    }
    for (i, mixing) in MIXINGS.into_iter().enumerate() {
        for (row, image) in mixed(&samples, &columns[0], mixing, options.seed)?.iter().enumerate() {
            paste(&mut sheet, image, side(columns.len() + i), side(row));
        }
    }
    sheet.save(&options.out)?;
    println!("{}: {} samples of {}, columns from the left:", options.out.display(), samples.len(), samples.name());
    columns.iter().for_each(|pipeline| println!("  {pipeline}"));
    MIXINGS.iter().for_each(|mixing| println!("  {mixing:?}, with the rows as the batch"));
    Ok(())
}

/// The last columns.
const MIXINGS: [Mixing; 2] = [Mixing::MixupPerSample { alpha: 1.0 }, Mixing::CutMix { alpha: 1.0 }];

/// All samples as one mixed batch, moved to the device, which applies mixup's blend, and back.
fn mixed(
    samples: &Arc<dyn Dataset>,
    pipeline: &Pipeline,
    mixing: Mixing,
    seed: u64,
) -> Result<Vec<Image>, Box<dyn Error>> {
    let config = LoaderConfig { mixing, seed, ..LoaderConfig::evaluation(samples.len()) };
    let loader = Loader::new(Arc::clone(samples), pipeline.clone(), config)?;
    let batch = loader.epoch(0, 0).next().ok_or("no samples")??;
    let images = batch.to_device(&candle_core::Device::Cpu, &Normalize::UNIT)?.images;
    let values = images.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1::<f32>()?;
    let bytes: Vec<u8> = values.iter().map(|v| (v * 255.0).round() as u8).collect();
    let size = batch.image_size();
    bytes.chunks_exact(size.bytes()).map(|pixels| Ok(Image::new(size, pixels.to_vec())?)).collect()
}

/// The sample, then one augmentation per column.
fn columns(size: ImageSize) -> Result<Vec<Pipeline>, lookahead_data::Error> {
    let small = size.height.max(size.width) <= 64;
    let side = if small { size.height } else { CELL };
    let alone = |step: Transform| {
        let scale = Transform::ShortSide(ShortSide { size: side });
        let centre = Transform::CenterCrop(CenterCrop::new(side));
        Pipeline::new(if small { vec![step] } else { vec![scale, centre, step] })
    };
    let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
    Ok(vec![
        if small { Pipeline::default() } else { Pipeline::imagenet_eval(side, side)? },
        alone(Transform::PadCrop(PadCrop { pad: side / 8, ..PadCrop::default() }))?,
        alone(Transform::PadCrop(PadCrop { pad: side / 8, border: Border::Reflect, ..PadCrop::default() }))?,
        alone(Transform::AlternatingFlip(AlternatingFlip {}))?,
        Pipeline::imagenet_train(side, 0.35)?,
        Pipeline::fastai_train(side)?,
        alone(Transform::ColorJitter(jitter))?,
        alone(Transform::RandomErasing(RandomErasing { p: 1.0, ..RandomErasing::default() }))?,
        alone(Transform::Cutout(Cutout { size: side / 2, ..Cutout::default() }))?,
    ])
}

/// Draws `image` into a cell, enlarged by an integer factor.
fn paste(sheet: &mut image::RgbImage, image: &Image, left: usize, top: usize) {
    let ImageSize { height, width } = image.size();
    let scale = (CELL / height.max(width)).max(1);
    for (i, pixel) in image.pixels().as_chunks::<CHANNELS>().0.iter().enumerate() {
        for (dy, dx) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dy, dx))) {
            let (x, y) = (i % width * scale + dx, i / width * scale + dy);
            if x < CELL && y < CELL {
                sheet.put_pixel((left + x) as u32, (top + y) as u32, image::Rgb(*pixel));
            }
        }
    }
}
