//! The public functions: each checks its arguments, builds a plan and passes it to the device.

mod activate;
mod avg_pool;
mod batch_norm;
mod conv2d;
mod cross_entropy;
mod embedding;
pub(crate) mod extents;
mod layout;
mod linear;
mod lstm;
mod masked;
mod max_pool;
mod plain_network;
mod relu;
mod residual_blocks;
mod row_norm;

pub use activate::activate;
pub use avg_pool::{avg_pool2d, global_avg_pool};
pub use batch_norm::{batch_norm, conv2d_batch_norm, conv2d_batch_norm_with};
pub use conv2d::{conv2d, conv2d_with};
pub use cross_entropy::{cross_entropy, cross_entropy_indices};
pub use embedding::{embedding, masked_embedding};
pub use layout::{to_channels_first, to_channels_last};
pub use linear::{linear, linear_cross_entropy, masked_linear_cross_entropy};
pub use lstm::lstm;
pub use masked::masked;
pub use max_pool::max_pool2d;
pub use plain_network::plain_network;
#[cfg(test)]
pub(crate) use plain_network::plans as plans_of_plain_network;
pub use relu::relu;
pub use residual_blocks::{residual_blocks, residual_network};
pub use row_norm::{layer_norm, rms_norm};
