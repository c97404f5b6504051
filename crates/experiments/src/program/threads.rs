//! Threads of the host.

/// Sets the size of the thread pool, once and before anything uses it.
pub(super) fn set_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        // This fails only if a test shares its process with another; results do not depend on the pool.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}
