//! Numbers that are usually whole: written as integers if they have no fraction.

use serde::Serializer;

/// 5 for 5.0 and 9.9 for 9.9.
pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // Above this, f64 does not represent every integer.
    const EXACT: f64 = (1u64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() < EXACT {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}
