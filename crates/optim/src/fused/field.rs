//! A tensor as a [`Number`], for rules on devices without a fused loop.

use crate::Result;
use crate::rule::Number;
use crate::select::select;
use candle_core::Tensor;
use std::ops::{Add, Div, Mul, Sub};
use std::sync::Arc;

/// A tensor that stores the first error, so that a rule can be written as a formula.
#[derive(Clone, Debug)]
pub(super) struct Field(std::result::Result<Tensor, Arc<candle_core::Error>>);

impl Field {
    pub(super) fn new(tensor: Tensor) -> Self {
        Self(Ok(tensor))
    }

    pub(super) fn into_tensor(self) -> Result<Tensor> {
        self.0.map_err(|error| match Arc::try_unwrap(error) {
            Ok(error) => error.into(),
            Err(shared) => candle_core::Error::Msg(shared.to_string()).into(),
        })
    }

    fn map(self, f: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>) -> Self {
        Self(self.0.and_then(|tensor| f(&tensor).map_err(Arc::new)))
    }

    fn zip(self, other: Self, f: impl FnOnce(&Tensor, &Tensor) -> candle_core::Result<Tensor>) -> Self {
        match other.0 {
            Ok(other) => self.map(|tensor| f(tensor, &other)),
            Err(error) => Self(self.0.and(Err(error))),
        }
    }
}

impl Add for Field {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.zip(other, Tensor::add)
    }
}

impl Sub for Field {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.zip(other, Tensor::sub)
    }
}

impl Mul for Field {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.zip(other, Tensor::mul)
    }
}

impl Div for Field {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        self.zip(other, Tensor::div)
    }
}

impl Number for Field {
    fn scale(self, factor: f64) -> Self {
        self.map(|tensor| tensor.affine(factor, 0.0))
    }
    fn offset(self, term: f64) -> Self {
        self.map(|tensor| tensor.affine(1.0, term))
    }
    fn sqrt(self) -> Self {
        self.map(Tensor::sqrt)
    }
    /// As the loop's: of a NaN and a number, candle's `maximum` gives one or the other, by the device.
    fn maximum(self, other: Self) -> Self {
        self.zip(other, |a, b| select(&a.gt(b)?, a, b))
    }
    fn signum(self) -> Self {
        self.map(Tensor::sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_larger_of_a_nan_and_a_number_is_the_loop_s() {
        let (a, b) = ([f64::NAN, 1.0, 2.0, 1.0], [1.0, f64::NAN, 1.0, 2.0]);
        let field = |values: [f64; 4]| Field::new(Tensor::new(&values, &Device::Cpu).unwrap());
        let found = field(a).maximum(field(b)).into_tensor().unwrap().to_vec1::<f64>().unwrap();
        let expected: Vec<f64> = a.iter().zip(b).map(|(a, b)| Number::maximum(*a, b)).collect();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}
