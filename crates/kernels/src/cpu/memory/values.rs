//! What a kernel returns: elements that become a tensor, or that the workspace lent.

use std::ops::Deref;

use crate::cpu::memory::{Buffer, Pooled};

/// Where a kernel's output is to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory of its own, which can become a tensor.
    Tensor,
    /// In the workspace: nobody outside this crate will see it.
    Workspace,
}

/// Elements written by a kernel.
#[derive(Debug)]
pub(crate) enum Values<T: Pooled> {
    Tensor(Vec<T>),
    Workspace(Buffer<T>),
}

impl<T: Pooled> Values<T> {
    /// The elements as a vector; a copy of what lies in the workspace.
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
