//! The part of the CUDA side that talks to a device. It is compiled and type-checked without a GPU, and has never run on one.

mod blocks;
mod convolution;
mod cudnn;
mod launch;
mod libraries;
mod loss;
mod memory;
mod norm;
mod open;
mod pooling;
mod rectifier;
mod unit;

pub(crate) use blocks::residual_blocks;
pub(crate) use convolution::conv2d;
pub(crate) use loss::{cross_entropy, cross_entropy_indices};
pub(crate) use memory::token;
pub(crate) use norm::norm;
pub use open::cuda_device;
pub(crate) use pooling::{avg_pool, max_pool};
pub(crate) use rectifier::relu;
