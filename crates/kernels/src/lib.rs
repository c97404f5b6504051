#![doc = include_str!("../README.md")]
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]
#![warn(unsafe_op_in_unsafe_fn)]

mod algorithm;
mod avg_pool;
mod batch_norm;
mod bundle;
#[cfg(any(feature = "metal", test))]
mod composed;
mod conv2d;
mod cross_entropy;
#[cfg(any(feature = "cuda", all(test, target_os = "linux")))]
mod cuda;
mod direct;
mod element;
mod error;
mod fast;
mod geometry;
mod instruction_set;
mod layout;
mod max_pool;
mod memory;
mod microkernel;
mod mode;
mod norm_op;
mod page_cache;
mod reference;
mod relu;
mod residual;
mod residual_op;
mod simd;
mod stored;
#[cfg(test)]
mod twins;
mod unit;
mod vector_norm;
mod weights;
mod winograd;
mod workspace;

pub use algorithm::{ConvAlgorithm, conv_algorithm, set_conv_algorithm};
pub use avg_pool::{avg_pool2d, global_avg_pool};
pub use batch_norm::{BatchNorm, batch_norm, conv2d_batch_norm};
pub use conv2d::conv2d;
pub use cross_entropy::{cross_entropy, cross_entropy_indices};
#[cfg(feature = "cuda")]
pub use cuda::cuda_device;
pub use error::{Error, Result};
pub use instruction_set::{InstructionSet, instruction_set, set_instruction_set};
pub use layout::{to_channels_first, to_channels_last};
pub use max_pool::max_pool2d;
pub use mode::{After, Mode};
pub use page_cache::PageCache;
pub use relu::relu;
pub use residual::{ConvBatchNorm, ResidualBlock, residual_blocks};
pub use workspace::release_workspace;
