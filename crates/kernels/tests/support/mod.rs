//! What several test programs make their numbers and measure with.
#![allow(dead_code, reason = "no program uses all of it")]

use candle_core::{DType, Device, Result, Shape, Tensor};

/// Numbers in [-1, 1) without a pattern, f32, the same for each seed.
pub(crate) fn numbers(shape: impl Into<Shape>, seed: u32) -> Result<Tensor> {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.elem_count() as u32)
        .map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503_977)))
        .map(|bits| (bits >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// The largest absolute value; NaN if one is NaN, which neither candle's maximum nor that of Rust's numbers keeps.
pub(crate) fn largest(tensor: &Tensor) -> Result<f64> {
    let values = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    Ok(values
        .into_iter()
        .fold(0.0, |most, value| if value.abs() > most || value.is_nan() { value.abs() } else { most }))
}
