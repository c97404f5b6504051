//! Numbers that are whole as a rule: written without a fraction where they have none.

use serde::Serializer;

/// 5 for 5.0 and 9.9 for 9.9.
pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // Beyond, not every whole number is one of these.
    const EXACT: f64 = (1u64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() < EXACT {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}
