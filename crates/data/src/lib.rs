#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod augment;
mod batch;
mod cache;
mod catalog;
mod cifar;
mod dataset;
mod decode;
#[cfg(feature = "download")]
mod download;
mod error;
mod fingerprint;
mod folder;
mod image;
mod in_memory;
#[cfg(feature = "hub")]
mod interop;
mod loader;
mod mixing;
mod normalize;
mod order;
mod prefetch;
mod rng;
mod shapes;
mod subset;

pub use augment::{
    AlternatingFlip, Border, CenterCrop, ColorJitter, Cutout, FastaiAugment, Flip, PadCrop, Pipeline, RandomErasing,
    RandomResizedCrop, ShortSide, Transform,
};
pub use batch::{Batch, DeviceBatch};
pub use cache::DecodedCache;
pub use catalog::{is_present, open};
pub use cifar::{CifarLabels, cifar10, cifar100};
pub use dataset::{Dataset, Sample, Splits};
pub use decode::MAX_PIXELS;
#[cfg(feature = "download")]
pub use download::{Phase, Progress, Published, download, download_from, published, unpack_archive};
pub use error::{Error, Result};
pub use folder::{ImageFolder, image_folder};
pub use image::{CHANNELS, Image, ImageSize, ImageView};
pub use in_memory::InMemory;
#[cfg(feature = "hub")]
pub use interop::to_candle_datasets;
pub use loader::{Loader, LoaderConfig};
pub use mixing::{Mix, Mixing, PastedBox};
pub use normalize::{Normalize, NormalizeTable};
pub use prefetch::Batches;
pub use rng::SampleRng;
pub use shapes::{Shapes, ShapesConfig};
pub use subset::{Subset, limit};
