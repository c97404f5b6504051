//! A slice of which parallel tasks write disjoint parts.

/// A pointer that tasks share; each task keeps to its own part.
#[derive(Debug)]
pub(crate) struct Shared<T = f32>(*mut T);

// An address can be copied whatever it is the address of.
impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

// SAFETY: a `Shared` is only an address; whoever dereferences it sees to it that no two tasks write one element and that
// nothing is read while another task writes it.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    pub(crate) fn output(slice: &mut [std::mem::MaybeUninit<T>]) -> Self {
        Self(slice.as_mut_ptr().cast())
    }

    /// Elements that tasks only read.
    pub(crate) fn input(slice: &[T]) -> Self {
        Self(slice.as_ptr().cast_mut())
    }

    /// The address of element `at`.
    ///
    /// # Safety
    ///
    /// `at` must not lie beyond the end of the slice this was made from.
    #[inline(always)]
    pub(crate) unsafe fn at(self, at: usize) -> *mut T {
        // SAFETY: the caller's contract.
        unsafe { self.0.add(at) }
    }

    /// The rest of the slice from element `at` on.
    ///
    /// # Safety
    ///
    /// As [`Self::at`].
    pub(crate) unsafe fn from(self, at: usize) -> Self {
        // SAFETY: the caller's contract.
        Self(unsafe { self.at(at) })
    }
}
