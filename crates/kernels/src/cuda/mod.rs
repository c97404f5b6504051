//! CUDA: the kernels of this crate for NVIDIA GPUs, and cuDNN's convolutions.
//!
//! The sources (`*.cu`) and their launches are independent of a device: the tests run them on the CPU, in `emulator`, and
//! compile them with NVIDIA's run-time compiler if it is installed. `device`, which requires the feature `cuda`, contains
//! the rest: memory, the compiler, cuDNN, and the nodes of candle's graph.

mod activation;
mod attempts;
mod batch_norm;
mod bias;
mod call;
mod chain;
mod columns;
mod convolution;
mod cross_entropy;
#[cfg(feature = "cuda")]
mod device;
mod filters;
mod layer;
mod network;
mod plain_network;
mod pool;
mod relu;
mod row_norm;
mod source;
mod stream;
mod transpose;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod compiler;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod emulator;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

#[cfg(feature = "cuda")]
pub(crate) use device::{
    activate, avg_pool, batch_norm, conv2d, cross_entropy, cross_entropy_indices, max_pool, plain_network, relu,
    residual_blocks, row_norm,
};
#[cfg(feature = "cuda")]
pub use device::{cuda_device, set_tf32};
