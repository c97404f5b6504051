#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod augment;
mod batch;
mod cache;
mod catalog;
mod check;
mod cifar;
mod course;
mod dataset;
mod decode;
#[cfg(feature = "download")]
mod download;
mod error;
mod examples;
mod fingerprint;
mod folder;
mod hold_out;
mod image;
mod in_memory;
#[cfg(feature = "hub")]
mod interop;
mod loader;
mod mixing;
mod normalize;
mod order;
mod prefetch;
mod report;
mod rng;
mod shapes;
mod subset;
mod text;
mod turn;

pub use augment::{
    AlternatingFlip, Augment, Border, CenterCrop, ColorJitter, Cutout, FastaiAugment, Flip, Own, OwnError, PadCrop,
    Pipeline, RandomErasing, RandomResizedCrop, ShortSide, Transform, TrivialAugment,
};
pub use batch::{Batch, DeviceBatch};
pub use cache::{CachePlan, DecodedCache};
pub use catalog::{is_present, open};
pub use check::check;
pub use cifar::{CifarLabels, cifar10, cifar100};
pub use dataset::{Dataset, Sample, Splits};
pub use decode::MAX_PIXELS;
#[cfg(feature = "download")]
pub use download::{
    Phase, Progress, Published, PublishedText, download, download_from, download_text, published, published_texts,
    unpack_archive,
};
pub use error::{Error, Result};
pub use examples::{ExampleBatch, ExampleLoader, Examples};
pub use folder::{ImageFolder, LeftOut, image_folder, image_folder_parts};
pub use hold_out::hold_out;
pub use image::{CHANNELS, Image, ImageSize, ImageView};
pub use in_memory::InMemory;
#[cfg(feature = "hub")]
pub use interop::to_candle_datasets;
pub use loader::{Loader, LoaderConfig};
pub use mixing::{Mix, Mixing, PastedBox};
pub use normalize::{Normalize, NormalizeTable};
pub use order::Order;
pub use prefetch::Batches;
pub use report::Report;
pub use rng::SampleRng;
pub use shapes::{Shapes, ShapesConfig};
pub use subset::{Subset, limit};
pub use text::{TextCorpus, TextFiles, TextUnit, TextWindow, TextWindows, Vocabulary};
