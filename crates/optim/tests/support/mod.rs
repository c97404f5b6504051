//! Small things the integration tests share.
#![allow(dead_code, reason = "each test file uses its share")]

pub(crate) mod every;
pub(crate) mod loading;
pub(crate) mod moving_quadratic;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use lookahead_optim::State;

/// Gradients filled with one value each.
pub(crate) fn gradients(values: &[(&Var, f64)]) -> GradStore {
    let mut grads = GradStore::default();
    for (var, value) in values {
        let gradient = (var.as_detached_tensor().ones_like().unwrap() * *value).unwrap();
        grads.insert(var, gradient);
    }
    grads
}

/// A gradient from numbers.
pub(crate) fn gradient_of(var: &Var, values: &[f64]) -> Tensor {
    Tensor::from_slice(values, var.dims(), var.device()).unwrap().to_dtype(var.dtype()).unwrap()
}

pub(crate) fn scalar(var: &Var) -> f64 {
    var.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()[0]
}

/// All elements, as f64.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.detach().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// All elements' bits.
pub(crate) fn bits(tensor: &Tensor) -> Vec<u64> {
    values(tensor).into_iter().map(f64::to_bits).collect()
}

/// The largest difference, relative to the largest number: single weights pass through zero.
pub(crate) fn worst_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "as many numbers on both sides");
    assert!(found.iter().chain(expected).all(|x| x.is_finite()), "not finite: {found:?}, expected {expected:?}");
    let scale = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
    found.iter().zip(expected).fold(0f64, |m, (a, b)| m.max((a - b).abs() / scale))
}

/// A state as values that compare, tensors to the bit.
pub(crate) fn everything(state: &State) -> (String, Vec<Vec<u64>>) {
    (format!("{state:?}"), state.tensors().map(|(_, tensor)| bits(tensor)).collect())
}

/// A small stream of numbers in [-1, 1), the same everywhere (a linear congruential generator: nothing statistical depends on it).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.next()).collect()
    }
}
