//! Detects weights that were changed outside the optimizer.

use candle_core::{CpuStorage, Storage, Var};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A record of a variable, shared by the clones of its parameter: the bits of two elements in one number; 0 for no record.
///
/// It reads two elements of a tensor of any size. That detects loaded weights, but not a change that leaves both elements as they are.
/// Variables on a device are never checked: that would wait for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<AtomicU64>);

impl Seen {
    /// Records the variable.
    pub(crate) fn record(&self, var: &Var) {
        self.0.store(look(var).unwrap_or(0), Ordering::Relaxed);
    }

    /// Takes the record away, so that the next check reports no change.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }

    /// Puts back a record that was [taken](Self::take).
    pub(crate) fn put(&self, record: u64) {
        self.0.store(record, Ordering::Relaxed);
    }

    /// Whether `var` changed since it was recorded.
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
    // A constant without structure keeps the two elements apart; the lowest bit marks a record.
    let (a, b) = (bits(first + count / 3)?, bits(first + 2 * count / 3)?);
    Some(a.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(b).rotate_left(17) | 1)
}
