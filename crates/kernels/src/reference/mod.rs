//! The plain kernels: any element type, any extents, no `unsafe`, one idea a line.
//!
//! They are the fallback for shapes and types that no fast kernel takes, and the twin that every fast kernel is held
//! against. Work is split by the problem, never by the number of threads, so results do not depend on it.

pub(crate) mod conv2d;
pub(crate) mod norm;
