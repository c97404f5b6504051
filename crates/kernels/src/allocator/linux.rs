//! Mapped blocks, each with a header in the page before it.

use std::alloc::Layout;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

/// Blocks from this size on are mapped.
const SMALLEST: usize = 1 << 18;
const PAGE: usize = 1 << 12;
const HUGE_PAGE: usize = 1 << 21;
/// Size classes per power of two, so that at most an eighth is wasted.
const STEPS: usize = 8;
/// Powers of two from `SMALLEST` to the end of the address space.
const CLASSES: usize = STEPS * (48 - 18);

/// The header of a block, in the page before it.
struct Header {
    /// The next idle block of the class.
    next: *mut Header,
    /// The whole mapping.
    mapping: *mut u8,
    mapped: usize,
    /// The class the block returns to, or `usize::MAX` for one that is unmapped when freed.
    class: usize,
}

/// Heads of the lists of idle blocks.
#[derive(Debug)]
pub(super) struct Blocks(Mutex<[*mut Header; CLASSES]>);

// SAFETY: the pointers are only followed by whoever holds the lock, and point to mappings that no thread owns.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

pub(super) fn serves(layout: Layout) -> bool {
    layout.size() >= SMALLEST && layout.align() <= PAGE && (layout.size() as u64) < 1 << 47
}

/// The class of a size, and the largest size of that class.
fn class(size: usize) -> (usize, usize) {
    let power = (size - 1).ilog2() as usize;
    let step = (1usize << power) / STEPS;
    let steps = (size - (1 << power)).div_ceil(step);
    ((power - 17) * STEPS + steps - 1, (1 << power) + steps * step)
}

/// Whether blocks of the two sizes have the same class.
pub(super) fn same_class(one: usize, other: usize) -> bool {
    class(one) == class(other)
}

/// A new mapping, zeroed by the kernel, with untouched pages. Null if there is no memory.
pub(super) fn fresh(size: usize, unmap_when_freed: bool) -> *mut u8 {
    let (class, size) = class(size);
    let align = if size >= HUGE_PAGE { HUGE_PAGE } else { PAGE };
    let mapped = size.next_multiple_of(align) + align + PAGE;
    // SAFETY: a private anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let mapping = unsafe {
        libc::mmap(
            null_mut(),
            mapped,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if mapping == libc::MAP_FAILED {
        return null_mut();
    }
    let mapping = mapping.cast::<u8>();
    let offset = (mapping as usize + PAGE).next_multiple_of(align) - mapping as usize;
    // SAFETY: at least a page lies in front of the block and `size` bytes from it on, all inside the mapping.
    unsafe {
        let block = mapping.add(offset);
        let class = if unmap_when_freed { usize::MAX } else { class };
        block.sub(PAGE).cast::<Header>().write(Header { next: null_mut(), mapping, mapped, class });
        if size >= HUGE_PAGE {
            // Advice only: where it fails, the block has small pages.
            libc::madvise(block.cast(), size.next_multiple_of(HUGE_PAGE), libc::MADV_HUGEPAGE);
        }
        block
    }
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self(Mutex::new([null_mut(); CLASSES]))
    }

    /// An idle block of the class, or a fresh one.
    pub(super) fn take(&self, size: usize) -> *mut u8 {
        let (class, _) = class(size);
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let head = idle[class];
        if head.is_null() {
            drop(idle);
            return fresh(size, false);
        }
        // SAFETY: idle blocks are mapped, with a valid header a page in front of the block.
        unsafe {
            idle[class] = (*head).next;
            head.cast::<u8>().add(PAGE)
        }
    }

    /// # Safety
    ///
    /// `block` must have come from [`Self::take`] or [`fresh`] and not have been given back.
    pub(super) unsafe fn give_back(&self, block: *mut u8) {
        // SAFETY: the caller's contract: the page in front holds the header.
        unsafe {
            let header = block.sub(PAGE).cast::<Header>();
            if (*header).class == usize::MAX {
                unmap(header);
                return;
            }
            let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (*header).next = idle[(*header).class];
            idle[(*header).class] = header;
        }
    }

    pub(super) fn release(&self) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for head in idle.iter_mut() {
            while !head.is_null() {
                let header = *head;
                // SAFETY: idle blocks are mapped and in nobody's use; the next one is read before this one goes.
                unsafe {
                    *head = (*header).next;
                    unmap(header);
                }
            }
        }
    }
}

/// # Safety
///
/// The header's mapping must be in nobody's use.
unsafe fn unmap(header: *mut Header) {
    // SAFETY: the header holds the extent of its own mapping, read before the mapping goes.
    unsafe {
        let (mapping, mapped) = ((*header).mapping, (*header).mapped);
        libc::munmap(mapping.cast(), mapped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_their_sizes_and_waste_an_eighth_at_most() {
        let mut last = (0, 0);
        for size in (SMALLEST..1 << 24).step_by(4097).chain([1 << 20, (1 << 20) + 1, 1 << 33, 1 << 46]) {
            let (index, largest) = class(size);
            assert!(largest >= size && largest - size <= size / 8 + 1, "{size}: {largest}");
            assert!(index < CLASSES);
            if size > last.0 && size < 1 << 24 {
                assert!(index >= last.1);
                last = (size, index);
            }
        }
        assert_eq!(class(1 << 25).1, 1 << 25);
    }

    /// Growing inside the eighth that a class wastes keeps the block, and everything in it.
    #[test]
    fn growing_within_a_class_keeps_the_block() {
        use std::alloc::GlobalAlloc;
        let cache = super::super::PageCache::new();
        let sizes = [(1 << 20) + 1, 9 << 17, (9 << 17) + 1];
        let layouts = sizes.map(|size| Layout::from_size_align(size, 64).unwrap());
        assert!(same_class(sizes[0], sizes[1]) && !same_class(sizes[1], sizes[2]));
        // SAFETY: every block is used within its layout and given back once, with the layout it last had.
        unsafe {
            let block = cache.alloc(layouts[0]);
            block.write_bytes(7, sizes[0]);
            assert_eq!(cache.realloc(block, layouts[0], sizes[1]), block);
            block.add(sizes[1] - 1).write(9);
            let moved = cache.realloc(block, layouts[1], sizes[2]);
            assert_ne!(moved, block);
            assert!((0..sizes[0]).all(|at| *moved.add(at) == 7) && *moved.add(sizes[1] - 1) == 9);
            cache.dealloc(moved, layouts[2]);
        }
        cache.release();
    }

    #[test]
    fn blocks_come_back_and_zeroed_ones_are_zero() {
        let blocks = Blocks::new();
        let first = blocks.take(5 << 20);
        assert_eq!(first as usize % HUGE_PAGE, 0);
        // SAFETY: the block has five megabytes.
        unsafe {
            first.write_bytes(7, 5 << 20);
            blocks.give_back(first);
        }
        assert_eq!(blocks.take(5 << 20), first);
        let zeroed = fresh(5 << 20, true);
        // SAFETY: as above; both blocks are given back once.
        unsafe {
            assert!((0..5 << 20).all(|at| *zeroed.add(at) == 0));
            blocks.give_back(zeroed);
            blocks.give_back(first);
        }
        blocks.release();
    }
}
