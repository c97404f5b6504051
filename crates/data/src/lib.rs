#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! * opening a data set by name: [`open`], [`is_present`]; one kind: [`cifar10`], [`cifar100`] with [`CifarLabels`]; [`image_folder`],
//!   [`image_folder_parts`], [`ImageFolder`] with [`LeftOut`]; [`Shapes`] with [`ShapesConfig`]; the result: [`Splits`]
//! * data sets: [`Dataset`], [`Sample`], [`InMemory`]; parts of them: [`Subset`], [`limit`], [`hold_out`]; broken images: [`check`]
//! * decoded photographs in one file: [`DecodedCache`], [`CachePlan`]
//! * images: [`Image`], [`ImageView`], [`ImageSize`], [`CHANNELS`], [`MAX_PIXELS`]
//! * augmentation: [`Pipeline`] and its steps, [`Transform`]: [`Flip`], [`AlternatingFlip`], [`PadCrop`], [`CenterCrop`], [`ShortSide`],
//!   [`RandomResizedCrop`], [`ColorJitter`], [`Cutout`], [`RandomErasing`], [`TrivialAugment`], [`FastaiAugment`]; outside an image: [`Border`];
//!   your own: [`Augment`], [`Own`]
//! * loading: [`Loader`], [`LoaderConfig`], [`Batches`], [`Batch`]; on the device: [`DeviceBatch`], [`Normalize`], [`NormalizeTable`]; mixup and
//!   CutMix: [`Mixing`], [`Mix`], [`PastedBox`]
//! * order and randomness: [`Order`], [`SampleRng`]
//! * examples of any type: [`Examples`], [`ExampleLoader`], [`ExampleBatch`]
//! * text: [`TextCorpus`], [`TextFiles`], [`TextUnit`], [`Vocabulary`], [`TextWindows`], [`TextWindow`]
//! * errors and progress: [`Error`], [`Result`], [`OwnError`], [`Report`]
#![cfg_attr(
    feature = "download",
    doc = "* downloads: [`download`], [`download_text`], [`download_from`], [`unpack_archive`]; [`Progress`], [`Phase`]"
)]
#![cfg_attr(
    feature = "download",
    doc = "* what can be downloaded: [`published`], [`Published`]; [`published_texts`], [`PublishedText`]"
)]
#![cfg_attr(feature = "hub", doc = "* candle-datasets: [`to_candle_datasets`]")]
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
mod whole_file;

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
