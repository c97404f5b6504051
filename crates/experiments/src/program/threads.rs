//! Threads of the host.

/// Sets the size of the pool, once and before anything uses it.
pub(super) fn set_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        // The pool exists already only where a test shares its process with another; results do not depend on it.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}
