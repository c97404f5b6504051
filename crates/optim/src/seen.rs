//! Weights that were changed by somebody else since they were last looked at.

use candle_core::{CpuStorage, Storage, Var};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a variable looked like last, shared by the clones of its parameter: two elements' bits in one number; 0 for not looked at.
///
/// A look reads two elements of a tensor, whatever its size. That finds other weights, as a loaded file has them, and not a change that
/// leaves both elements as they are. Variables on a device are never looked at: that would wait for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<AtomicU64>);

impl Seen {
    /// Looks now.
    pub(crate) fn record(&self, var: &Var) {
        self.0.store(look(var).unwrap_or(0), Ordering::Relaxed);
    }

    /// The next question is answered with no.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether `var` looks otherwise than at the last look.
    pub(crate) fn differs(&self, var: &Var) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        before != 0 && look(var).is_some_and(|now| now != before)
    }
}

fn look(var: &Var) -> Option<u64> {
    let (storage, layout) = var.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return None };
    let (first, count) = (layout.start_offset(), layout.shape().elem_count());
    let bits = |at: usize| -> Option<u64> {
        match storage {
            CpuStorage::F32(values) => values.get(at).map(|x| u64::from(x.to_bits())),
            CpuStorage::F64(values) => values.get(at).map(|x| x.to_bits()),
            CpuStorage::BF16(values) => values.get(at).map(|x| u64::from(x.to_bits())),
            CpuStorage::F16(values) => values.get(at).map(|x| u64::from(x.to_bits())),
            _ => None,
        }
    };
    // A constant without structure keeps the two apart; the lowest bit says that there was a look.
    let (a, b) = (bits(first + count / 3)?, bits(first + 2 * count / 3)?);
    Some(a.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(b).rotate_left(17) | 1)
}
