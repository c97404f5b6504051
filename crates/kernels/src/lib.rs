#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! * layout: [`to_channels_last`], [`to_channels_first`]
//! * convolution: [`conv2d`], [`conv2d_with`] with [`Conv2dOptions`]; batch norm: [`batch_norm`] with [`BatchNorm`], [`Mode`], [`After`]; both:
//!   [`conv2d_batch_norm`], [`conv2d_batch_norm_with`]
//! * many layers as one node: [`residual_blocks`], [`residual_network`] with [`ResidualBlock`], [`ConvBatchNorm`]; [`plain_network()`] with
//!   [`PlainLayer`]
//! * pooling: [`max_pool2d`], [`avg_pool2d`], [`global_avg_pool`]
//! * activations: [`relu`], [`activate`] with [`Activation`]
//! * norms of rows: [`layer_norm`] with [`LayerNorm`], [`rms_norm`] with [`RmsNorm`]
//! * language models: [`embedding`], [`lstm`] with [`Lstm`], [`LstmState`]; [`linear`], [`linear_cross_entropy`]; [`masked`],
//!   [`masked_embedding`], [`masked_linear_cross_entropy`]
//! * losses: [`cross_entropy`], [`cross_entropy_indices`]
//! * gradients without additions: [`gradients_of`]
//! * memory: [`PageCache`], [`release_workspace`]
//! * instructions and precision: [`InstructionSet`], [`instruction_set()`], [`set_instruction_set`]; [`ConvAlgorithm`], [`conv_algorithm()`],
//!   [`set_conv_algorithm`]
//! * errors: [`Error`], [`Result`]
#![cfg_attr(feature = "cuda", doc = "* GPUs: [`cuda_device`], [`set_tf32`]")]
#![warn(unsafe_op_in_unsafe_fn)]

mod allocator;
mod bundle;
mod check;
#[cfg(any(feature = "metal", feature = "cuda", test))]
mod composed;
mod cpu;
#[cfg(any(feature = "cuda", all(test, target_os = "linux")))]
mod cuda;
mod device;
mod error;
mod kept;
mod ops;
mod plan;
mod settings;

pub use allocator::PageCache;
pub use bundle::gradients_of;
pub use cpu::release_workspace;
#[cfg(feature = "cuda")]
pub use cuda::{cuda_device, set_tf32};
pub use error::{Error, Result};
pub use ops::{
    activate, avg_pool2d, batch_norm, conv2d, conv2d_batch_norm, conv2d_batch_norm_with, conv2d_with, cross_entropy,
    cross_entropy_indices, embedding, global_avg_pool, layer_norm, linear, linear_cross_entropy, lstm, masked,
    masked_embedding, masked_linear_cross_entropy, max_pool2d, plain_network, relu, residual_blocks, residual_network,
    rms_norm, to_channels_first, to_channels_last,
};
pub use plan::{
    Activation, After, BatchNorm, Conv2dOptions, ConvBatchNorm, LayerNorm, Lstm, LstmState, Mode, PlainLayer,
    ResidualBlock, RmsNorm,
};
pub use settings::{
    ConvAlgorithm, InstructionSet, conv_algorithm, instruction_set, set_conv_algorithm, set_instruction_set,
};
