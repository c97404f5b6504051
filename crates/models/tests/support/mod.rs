//! Fixtures, and comparing with them.
#![allow(dead_code, reason = "each test file uses its share")]

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};

pub(crate) type Named = BTreeMap<String, Tensor>;

pub(crate) fn fixture(name: &str) -> Named {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

pub(crate) fn with_prefix(fixture: &Named, prefix: &str) -> Named {
    fixture.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))).collect()
}

/// All elements, as f64.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference, relative to the largest entry of `expected`.
pub(crate) fn difference(actual: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(actual.dims(), expected.dims());
    let (actual, expected) = (values(actual), values(expected));
    assert!(
        actual.iter().chain(&expected).all(|value| value.is_finite()),
        "not finite: {actual:?}, expected {expected:?}"
    );
    let scale = expected.iter().fold(0f64, |max, value| max.max(value.abs()));
    actual.iter().zip(&expected).fold(0f64, |max, (a, b)| max.max((a - b).abs())) / scale
}
