//! Activation functions: the reference, and the fast version that is tested against it.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]

pub(crate) mod reference;
pub(crate) mod vectors;

/// Elements one task works on: small enough to stay in a core's cache, and independent of the number of threads.
const TASK_ELEMENTS: usize = 1 << 15;
