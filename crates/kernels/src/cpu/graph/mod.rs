//! The nodes of candle's graph on the CPU: the data kept for the backward pass, and the gradients.

mod activate;
mod avg_pool;
mod batch_norm;
mod cross_entropy;
mod embedding;
mod linear;
mod lstm;
mod masked;
mod max_pool;
mod pass;
mod plain_network;
mod residual_blocks;
mod row_norm;

use crate::kept;

pub(super) use activate::activate;
pub(super) use avg_pool::avg_pool;
pub(super) use batch_norm::batch_norm;
pub(super) use cross_entropy::{cross_entropy, cross_entropy_indices};
pub(super) use embedding::embedding;
pub(super) use linear::{linear, linear_cross_entropy};
pub(super) use lstm::lstm;
pub(super) use masked::masked;
pub(super) use max_pool::max_pool;
pub(super) use plain_network::plain_network;
pub(super) use residual_blocks::residual_blocks;
pub(super) use row_norm::row_norm;
