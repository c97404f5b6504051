//! Memory that lives across steps.
//!
//! A fresh 33 MB vector costs 6.7 ms of page faults with the system's allocator, half of a convolution. What an operation
//! needs and nobody else sees, scratch and saved activations, is therefore kept and handed out again.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::element::Element;

/// Vectors waiting for their next use, the most recently used last.
static IDLE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Elements a new vector is rounded up to, so that lengths that nearly agree share memory.
const GRANULE: usize = 4096;

/// A vector on loan from the workspace: its contents are whatever the last user left, and it goes back when dropped.
#[derive(Debug)]
pub(crate) struct Buffer<T: Element> {
    elements: Vec<T>,
    len: usize,
}

impl<T: Element> Buffer<T> {
    /// A vector of `len` elements of unspecified value.
    pub(crate) fn take(len: usize) -> Self {
        let elements = T::take_idle(len).unwrap_or_else(|| vec![T::zero(); len.next_multiple_of(GRANULE)]);
        Self { elements, len }
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[..self.len]
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[..self.len]
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        T::give_back(std::mem::take(&mut self.elements));
    }
}

/// The smallest idle vector that holds `len` elements without wasting more than half of itself.
pub(crate) fn take_idle(len: usize) -> Option<Vec<f32>> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |v: &Vec<f32>| v.len() >= len && v.len() <= (2 * len).max(GRANULE);
    let best = idle.iter().enumerate().rev().filter(|(_, v)| fits(v)).min_by_key(|(_, v)| v.len())?.0;
    Some(idle.remove(best))
}

/// Puts a vector where the next [`take_idle`] finds it.
pub(crate) fn give_back(elements: Vec<f32>) {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(elements);
}

/// Frees the memory that the operations of this crate keep between calls.
///
/// Scratch and saved activations are kept for the next step, as many as one step needs. Call this between two trainings of
/// different size, or before a phase that needs the memory. Nothing is lost but time.
///
/// ```
/// lookahead_kernels::release_workspace();
/// ```
pub fn release_workspace() {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
