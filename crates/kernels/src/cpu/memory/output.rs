//! Uninitialised output memory, and views of it.

use std::mem::MaybeUninit;

/// Uninitialised memory for `len` elements: the kernel writes all of it, so it need not be cleared.
pub(crate) fn uninit<T: Copy>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut memory = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`, and `MaybeUninit` needs no initialisation.
    unsafe { memory.set_len(len) };
    memory
}

/// The same memory as initialised elements.
///
/// # Safety
///
/// Every element must have been written.
pub(crate) unsafe fn assume_init<T: Copy>(memory: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut memory = std::mem::ManuallyDrop::new(memory);
    // SAFETY: pointer, length and capacity come from a `Vec` of a type with the same layout, which is not dropped; the
    // elements are initialised by the caller's promise.
    unsafe { Vec::from_raw_parts(memory.as_mut_ptr().cast(), memory.len(), memory.capacity()) }
}

/// Sets every element and returns them as initialised ones.
pub(crate) fn fill<T: Copy>(memory: &mut [MaybeUninit<T>], value: T) -> &mut [T] {
    memory.fill(MaybeUninit::new(value));
    // SAFETY: every element was written above, and the layouts are the same.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [T]) }
}

/// Initialised elements as memory that may be overwritten without being read.
///
/// # Safety
///
/// Only initialised elements may be stored through it: what was initialised must stay so.
pub(crate) unsafe fn as_uninit<T: Copy>(memory: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: same layout; the rest is the caller's promise.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [MaybeUninit<T>]) }
}

/// The same for tests, whose kernels store initialised elements only.
#[cfg(test)]
pub(crate) fn as_output<T: Copy>(memory: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: as the sentence above says.
    unsafe { as_uninit(memory) }
}

/// Written memory as its elements.
///
/// # Safety
///
/// Every element must have been written.
pub(crate) unsafe fn assume_init_mut<T: Copy>(memory: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: the caller's promise, and the layouts are the same.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [T]) }
}
