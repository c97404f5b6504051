//! How exactly f32 is multiplied.

use std::sync::atomic::{AtomicBool, Ordering};

static TF32: AtomicBool = AtomicBool::new(true);

/// Whether convolutions of f32 may round what they multiply to TF32's ten bits of mantissa: true, PyTorch's default, until this
/// says otherwise. It holds for the whole process and every call from now on.
///
/// bf16 and f64 do not depend on it, nor do matrix products of candle, which has a switch of its own.
///
/// ```
/// lookahead_kernels::set_tf32(false); // for a comparison with the CPU
/// # lookahead_kernels::set_tf32(true);
/// ```
pub fn set_tf32(allowed: bool) {
    TF32.store(allowed, Ordering::Relaxed);
}

/// What [`set_tf32`] said.
pub(super) fn tf32() -> bool {
    TF32.load(Ordering::Relaxed)
}
