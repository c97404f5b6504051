//! The precision of f32 products on CUDA.

use std::sync::atomic::{AtomicBool, Ordering};

static TF32: AtomicBool = AtomicBool::new(true);

/// Sets whether f32 convolutions may round their factors to TF32, which has ten bits of mantissa. The default is true, as
/// in PyTorch. The setting applies to all later calls in this process.
///
/// It does not affect bf16 and f64, or candle's matrix products, which have a separate setting.
///
/// ```
/// lookahead_kernels::set_tf32(false); // for a comparison with the CPU
/// # lookahead_kernels::set_tf32(true);
/// ```
pub fn set_tf32(allowed: bool) {
    TF32.store(allowed, Ordering::Relaxed);
}

/// The setting of [`set_tf32`].
pub(super) fn tf32() -> bool {
    TF32.load(Ordering::Relaxed)
}
