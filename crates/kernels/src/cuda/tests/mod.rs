//! Every launch in the emulator against this crate's operations on the CPU in f64: odd extents, paddings, all element types.

mod activation;
mod batch_norm;
mod bias;
mod convolution;
mod cross_entropy;
mod emulated;
mod filters;
mod memory;
mod network;
mod plain_network;
mod pool;
mod row_norm;
mod transpose;
