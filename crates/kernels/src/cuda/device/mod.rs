//! CUDA code that uses a device. It is compiled and type-checked without a GPU, and has never run on one.
#![allow(unsafe_code, reason = "device memory and launches")]

mod activation;
mod batch_norm;
mod cross_entropy;
mod cudnn;
mod gates;
mod launch;
mod layer;
mod libraries;
mod memory;
mod open;
mod plain_network;
mod pool;
mod precision;
mod relu;
mod residual_blocks;
mod row_norm;
mod stream;

pub(crate) use activation::activate;
pub(crate) use batch_norm::batch_norm;
pub(crate) use cross_entropy::{cross_entropy, cross_entropy_indices};
pub use open::cuda_device;
pub(crate) use plain_network::{conv2d, plain_network};
pub(crate) use pool::{avg_pool, max_pool};
pub use precision::set_tf32;
pub(crate) use relu::relu;
pub(crate) use residual_blocks::residual_blocks;
pub(crate) use row_norm::row_norm;
