//! What several test programs measure with.

use candle_core::{DType, Result, Tensor};

/// The largest absolute value; NaN if one is NaN, which neither candle's maximum nor that of Rust's numbers keeps.
pub(crate) fn largest(tensor: &Tensor) -> Result<f64> {
    let values = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    Ok(values
        .into_iter()
        .fold(0.0, |most, value| if value.abs() > most || value.is_nan() { value.abs() } else { most }))
}
