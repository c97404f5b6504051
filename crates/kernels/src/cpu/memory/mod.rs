//! Memory of kernels: uninitialised outputs, and buffers that are reused across steps.
#![allow(unsafe_code, reason = "output memory that is written before it is read")]

mod output;
mod values;
mod workspace;

#[cfg(test)]
pub(crate) use output::as_output;
pub(crate) use output::{as_uninit, assume_init, assume_init_mut, fill, uninit};
pub(crate) use values::{Place, Values};
pub use workspace::release_workspace;
pub(crate) use workspace::{Buffer, Pooled};
