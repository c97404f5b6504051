//! CUDA: one launch per step, with a kernel generated from the rule.
//!
//! A [`Rule`](crate::Rule) is a formula on [`Number`](crate::Number). `formula` runs it once on numbers that record operations; `source`
//! turns the recording into a kernel over many tensors; `table` packs those tensors and the formula's constants into the launch arguments,
//! so that a new learning rate needs no new kernel. None of these need a device: the tests run the generated kernels on the CPU. `device`
//! compiles and launches.

#[cfg(feature = "cuda")]
mod device;
mod formula;
mod source;
mod table;

#[cfg(test)]
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "generated code is loaded and called")]
mod tests;

#[cfg(feature = "cuda")]
pub(crate) use device::{Launches, Preparation, Step, prepare};
#[cfg(feature = "cuda")]
pub(crate) use formula::record;
