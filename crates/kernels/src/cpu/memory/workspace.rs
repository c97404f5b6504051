//! Memory that lives across steps.
//!
//! A fresh 33 MB vector costs 6.7 ms of page faults with the system's allocator, half of a convolution. What an operation
//! needs and nobody else sees, scratch and saved activations, is therefore kept and handed out again.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use half::bf16;

/// Vectors of one type waiting for their next use, the most recently used last.
#[derive(Debug)]
pub(crate) struct Pool<T>(Mutex<Vec<Vec<T>>>);

/// A type of elements whose vectors wait in a pool of their own.
pub(crate) trait Pooled: Copy + Default + std::fmt::Debug + 'static {
    /// The vectors of this type that wait for their next use.
    fn idle() -> &'static Pool<Self>;
}

macro_rules! pooled {
    ($($type:ty),*) => {$(
        impl Pooled for $type {
            fn idle() -> &'static Pool<Self> {
                static IDLE: Pool<$type> = Pool(Mutex::new(Vec::new()));
                &IDLE
            }
        }
    )*};
}
pooled!(f32, f64, bf16, u8);

/// Elements a new vector is rounded up to, so that lengths that nearly agree share memory.
const GRANULE: usize = 4096;

/// A vector on loan from the workspace: its contents are whatever the last user left, and it goes back when dropped.
#[derive(Debug)]
pub(crate) struct Buffer<T: Pooled> {
    elements: Vec<T>,
    len: usize,
}

impl<T: Pooled> Buffer<T> {
    /// A vector of `len` elements of unspecified value.
    pub(crate) fn take(len: usize) -> Self {
        let elements = T::idle().take(len).unwrap_or_else(|| vec![T::default(); len.next_multiple_of(GRANULE)]);
        Self { elements, len }
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[..self.len]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[..self.len]
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        T::idle().give_back(std::mem::take(&mut self.elements));
    }
}

impl<T> Pool<T> {
    /// The smallest idle vector that holds `len` elements without wasting more than half of itself.
    fn take(&self, len: usize) -> Option<Vec<T>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |v: &Vec<T>| v.len() >= len && v.len() <= (2 * len).max(GRANULE);
        let best = idle.iter().enumerate().rev().filter(|(_, v)| fits(v)).min_by_key(|(_, v)| v.len())?.0;
        Some(idle.remove(best))
    }

    fn give_back(&self, elements: Vec<T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(elements);
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
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
    f32::idle().clear();
    f64::idle().clear();
    bf16::idle().clear();
    u8::idle().clear();
}
