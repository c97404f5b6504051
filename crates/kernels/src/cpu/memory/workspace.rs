//! Memory that lives across steps.
//!
//! A new 33 MB vector costs 6.7 ms of page faults with the system's allocator, half of the time of a convolution. Scratch
//! memory and saved activations, which stay inside an operation, are therefore kept and reused.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use half::bf16;

/// A cache line. Buffers consist of whole lines and begin at one: a vector that straddles two costs two accesses.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;

/// New buffers are rounded up to a multiple of this many lines, so that similar lengths share memory.
const GRANULE: usize = 256;

/// Buffers waiting for their next use, the most recently used last.
static IDLE: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// An element type of buffers.
///
/// # Safety
///
/// Any bytes must be a value of the type, and its alignment at most that of a line.
pub(crate) unsafe trait Pooled: Copy + std::fmt::Debug + 'static {}

// SAFETY: numbers, of which every pattern of bits is one, and none is aligned to more than its size.
unsafe impl Pooled for f32 {}
// SAFETY: as above.
unsafe impl Pooled for f64 {}
// SAFETY: as above.
unsafe impl Pooled for bf16 {}
// SAFETY: as above.
unsafe impl Pooled for u8 {}

/// Memory borrowed from the workspace, with unspecified contents; returned when dropped.
#[derive(Debug)]
pub(crate) struct Buffer<T: Pooled> {
    lines: Vec<Line>,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pooled> Buffer<T> {
    /// `len` elements of unspecified value, the first at the beginning of a cache line.
    pub(crate) fn take(len: usize) -> Self {
        // Bytes that cannot be counted are more than `vec!` allocates: it panics.
        let lines = len.saturating_mul(size_of::<T>()).div_ceil(LINE);
        let lines = idle(lines).unwrap_or_else(|| vec![Line([0; LINE]); lines.next_multiple_of(GRANULE)]);
        Self { lines, len, element: PhantomData }
    }
}

/// The smallest idle buffer of at least `lines` lines of which at most half would be unused.
fn idle(lines: usize) -> Option<Vec<Line>> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |v: &Vec<Line>| v.len() >= lines && v.len() <= (2 * lines).max(GRANULE);
    let best = idle.iter().enumerate().rev().filter(|(_, v)| fits(v)).min_by_key(|(_, v)| v.len())?.0;
    Some(idle.remove(best))
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `len` elements, initialised bytes that are values of the type, and are aligned for it.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the buffer is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.lines));
    }
}

/// Frees the memory that the operations of this crate keep between calls.
///
/// Scratch memory and saved activations are kept for the next step, for every batch size seen so far. Call this function
/// between training runs of different sizes, or before a phase that needs the memory. Later operations allocate again.
///
/// ```
/// lookahead_kernels::release_workspace();
/// ```
pub fn release_workspace() {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "capacity overflow")]
    fn a_length_whose_bytes_wrap_is_not_served() {
        // Times four bytes: zero.
        Buffer::<f32>::take(1 << (usize::BITS - 2));
    }
}
