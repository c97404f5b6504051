//! CIFAR-10 and CIFAR-100: the published binary files, or the hub's parquet files.

#[cfg(feature = "hub")]
mod archive;
mod binary;
mod hub_files;
#[cfg(feature = "parquet")]
mod parquet;

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "hub")]
pub(crate) use archive::archive_files;

use crate::{Dataset, Error, ImageSize, InMemory, Normalize, Result, Splits};

/// All CIFAR images are 32 x 32.
const SIZE: ImageSize = ImageSize::square(32);

/// Which of CIFAR-100's two labels to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CifarLabels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 superclasses of five classes each.
    Coarse,
}

/// A variant of CIFAR.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Folder inside the published archive.
    folder: &'static str,
    train_files: &'static [&'static str],
    valid_files: &'static [&'static str],
    /// Number of label bytes before the pixels of a binary record, and the index of the one in use.
    label_bytes: usize,
    label_byte: usize,
    /// Column of the label in the hub's files.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only parquet files have columns"))]
    label_column: &'static str,
    classes: &'static [&'static str],
    normalize: Normalize,
}

const CIFAR10: Kind = Kind {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    train_files: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    valid_files: &["test_batch.bin"],
    label_bytes: 1,
    label_byte: 0,
    label_column: "label",
    classes: &CIFAR10_CLASSES,
    normalize: Normalize::CIFAR10,
};

const CIFAR100: Kind = Kind {
    name: "cifar100",
    folder: "cifar-100-binary",
    train_files: &["train.bin"],
    valid_files: &["test.bin"],
    label_bytes: 2,
    label_byte: 1,
    label_column: "fine_label",
    classes: &CIFAR100_CLASSES,
    normalize: Normalize::CIFAR100,
};

const CIFAR100_COARSE: Kind = Kind {
    name: "cifar100-coarse",
    label_byte: 0,
    label_column: "coarse_label",
    classes: &CIFAR100_COARSE_CLASSES,
    ..CIFAR100
};

/// Reads CIFAR-10 from `dir`: 50,000 training and 10,000 validation images, decoded into one allocation each.
///
/// It looks for these files, in this order:
///
/// - the hub's parquet files (feature `parquet`): `train*.parquet` and `test*.parquet` in `dir` or `dir/plain_text`, or `train/*.parquet`
///   and `test/*.parquet` there;
/// - those of the published archive: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` in `dir` or `dir/cifar-10-batches-bin`.
///
/// Both give the same images, upright: row 0 is the top.
///
/// # Errors
/// [`Error::Missing`] if there are neither; [`Error::Length`], [`Error::TooLarge`], [`Error::Columns`], [`Error::Parquet`],
/// [`Error::Label`], [`Error::Decode`] or [`Error::Size`] for a damaged file, with path and row.
///
/// # References
/// Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. <https://www.cs.toronto.edu/~kriz/cifar.html>
#[doc(alias = "CIFAR10")]
pub fn cifar10(dir: &Path) -> Result<Splits> {
    read(dir, &CIFAR10)
}

/// Reads CIFAR-100 from `dir` like [`cifar10`]: parquet files, or the archive's `train.bin` and `test.bin` in `dir` or
/// `dir/cifar-100-binary`.
///
/// # Errors
/// Those of [`cifar10`].
#[doc(alias = "CIFAR100")]
pub fn cifar100(dir: &Path, labels: CifarLabels) -> Result<Splits> {
    match labels {
        CifarLabels::Fine => read(dir, &CIFAR100),
        CifarLabels::Coarse => read(dir, &CIFAR100_COARSE),
    }
}

fn read(dir: &Path, kind: &Kind) -> Result<Splits> {
    let (train, valid) = read_parts(dir, kind)?;
    let part = |name: &str, part: InMemory| Arc::new(part.renamed(format!("{}/{name}", kind.name))) as Arc<dyn Dataset>;
    Ok(Splits {
        name: kind.name.to_string(),
        train: part("train", train),
        valid: part("valid", valid),
        normalize: kind.normalize,
    })
}

fn read_parts(dir: &Path, kind: &Kind) -> Result<(InMemory, InMemory)> {
    #[cfg(feature = "parquet")]
    if let Some((train, valid)) = hub_files::find(dir)? {
        return Ok((parquet::read(&train, kind)?, parquet::read(&valid, kind)?));
    }
    for dir in [dir.to_path_buf(), dir.join(kind.folder)] {
        if dir.join(kind.train_files[0]).is_file() {
            let paths = |files: &[&str]| files.iter().map(|file| dir.join(file)).collect::<Vec<PathBuf>>();
            return Ok((binary::read(&paths(kind.train_files), kind)?, binary::read(&paths(kind.valid_files), kind)?));
        }
    }
    #[cfg(not(feature = "parquet"))]
    if let Some((train, _)) = hub_files::find(dir)? {
        let problem = "a parquet file of the hub: this build lacks the feature `parquet`, which reads it".to_string();
        return Err(Error::Layout { path: train[0].clone(), problem });
    }
    Err(Error::Missing { name: kind.name.to_string(), path: dir.to_path_buf() })
}

/// True if [`read_parts`] would find files.
pub(crate) fn is_present(dir: &Path, name: &str) -> Result<bool> {
    let kind = if name == CIFAR10.name { &CIFAR10 } else { &CIFAR100 };
    if hub_files::find(dir)?.is_some() {
        return Ok(true);
    }
    Ok([dir.to_path_buf(), dir.join(kind.folder)].iter().any(|dir| dir.join(kind.train_files[0]).is_file()))
}

fn class_names(kind: &Kind) -> Vec<String> {
    kind.classes.iter().map(ToString::to_string).collect()
}

const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

#[rustfmt::skip]
const CIFAR100_CLASSES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy", "bridge",
    "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach",
    "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster",
    "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
    "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
    "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea",
    "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

#[rustfmt::skip]
const CIFAR100_COARSE_CLASSES: [&str; 20] = [
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables", "household_electrical_devices",
    "household_furniture", "insects", "large_carnivores", "large_man-made_outdoor_things", "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals",
    "trees", "vehicles_1", "vehicles_2",
];
