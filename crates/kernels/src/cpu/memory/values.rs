//! Results of kernels: elements that become a tensor, or in memory of the workspace.

use std::ops::Deref;

use crate::cpu::memory::{Buffer, Pooled};

/// The memory for a kernel's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Separate memory, which can become a tensor.
    Tensor,
    /// The workspace, for values that stay inside this crate.
    Workspace,
}

/// Elements written by a kernel.
#[derive(Debug)]
pub(crate) enum Values<T: Pooled> {
    Tensor(Vec<T>),
    Workspace(Buffer<T>),
}

impl<T: Pooled> Values<T> {
    /// The elements as a vector; copied if they are in the workspace.
    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::Tensor(elements) => elements,
            Self::Workspace(buffer) => buffer.to_vec(),
        }
    }
}

impl<T: Pooled> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Tensor(elements) => elements,
            Self::Workspace(buffer) => buffer,
        }
    }
}

impl<T: Pooled> std::ops::DerefMut for Values<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Tensor(elements) => elements,
            Self::Workspace(buffer) => buffer,
        }
    }
}
