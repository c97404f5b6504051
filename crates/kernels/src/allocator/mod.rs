//! A global allocator that keeps large blocks, for training programs.
#![allow(unsafe_code, reason = "an allocator")]

#[cfg(target_os = "linux")]
mod linux;

use std::alloc::{GlobalAlloc, Layout, System};

/// A global allocator that lets each training step reuse the memory of the previous one.
///
/// Every step of a training loop allocates the same large tensors and frees them again. The system's allocator returns
/// such blocks to the kernel, and the next step pays for fresh pages: 6.7 ms for 33 MB, half of a convolution. This
/// allocator
///
/// - keeps freed blocks of 256 KiB and more, by size, for the next request;
/// - requests huge pages (on Linux, if the system offers them on request), which also make the kernels faster;
/// - serves zeroed blocks with untouched pages. candle starts every gradient as zeros and reads them only once, to add
///   to them; untouched huge pages are read from one page that stays in the cache.
///
/// Kept blocks are guarded by a lock, which the child of a `fork` may find locked forever: in a multi-threaded program,
/// a child must not allocate before `exec`, as POSIX requires for every allocator. Only [`release`](Self::release)
/// frees kept blocks. They may amount to the largest amount of each size that was ever in use at once.
///
/// Small blocks, and all blocks on systems other than Linux, go to the system's allocator. Only a program can choose
/// its allocator, so this crate does not set it:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();
///
/// let large = vec![1u8; 1 << 22];
/// drop(large);
/// ALLOCATOR.release(); // returns the kept blocks to the system
/// ```
#[derive(Debug)]
pub struct PageCache {
    #[cfg(target_os = "linux")]
    blocks: linux::Blocks,
}

impl PageCache {
    /// An allocator without kept blocks.
    pub const fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            blocks: linux::Blocks::new(),
        }
    }

    /// Returns all kept blocks that are not in use to the system.
    pub fn release(&self) {
        #[cfg(target_os = "linux")]
        self.blocks.release();
    }
}

impl Default for PageCache {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: blocks come from the system's allocator or from a mapping of their own, at least as large and as aligned as asked
// for (`linux::serves` leaves stricter alignments to the system); which of the two is decided by the layout alone, so a block
// goes back to where it came from.
#[cfg(target_os = "linux")]
unsafe impl GlobalAlloc for PageCache {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if linux::serves(layout) {
            return self.blocks.take(layout.size());
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if linux::serves(layout) {
            return linux::fresh(layout.size(), true);
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if linux::serves(layout) {
            // SAFETY: a block of such a layout came from `take` or `fresh`.
            unsafe { self.blocks.give_back(block) };
        } else {
            // SAFETY: the caller's contract.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size` makes a valid layout.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if !linux::serves(layout) && !linux::serves(new) {
            // SAFETY: the caller's contract.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        if linux::serves(layout) && linux::serves(new) && linux::same_class(layout.size(), new_size) {
            return block;
        }
        // SAFETY: both layouts are valid, and the old block holds at least the bytes that are copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

// SAFETY: everything is passed on to the system's allocator.
#[cfg(not(target_os = "linux"))]
unsafe impl GlobalAlloc for PageCache {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
