//! The arithmetic an update rule is written in: numbers on the CPU, whole tensors elsewhere.

use crate::Result;
use candle_core::Tensor;
use std::ops::{Add, Div, Mul, Sub};
use std::sync::Arc;

/// A number, or a tensor taken element by element.
///
/// A [`Rule`](crate::Rule) is written once against this trait. With `f32` and `f64` it compiles into the fused loop of the
/// CPU; with tensors it becomes plain candle operations, which work on every device.
///
/// ```
/// use lookahead_optim::Number;
///
/// fn mean<X: Number>(a: X, b: X) -> X { (a + b).scale(0.5) }
/// assert_eq!(mean(1f32, 2f32), 1.5);
/// ```
pub trait Number: Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// `self * factor`, the factor rounded to the number's precision first.
    fn scale(self, factor: f64) -> Self;
    /// `self + term`, the term rounded to the number's precision first.
    fn offset(self, term: f64) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The larger of the two.
    fn maximum(self, other: Self) -> Self;
}

macro_rules! number {
    ($t:ty) => {
        impl Number for $t {
            #[inline(always)]
            fn scale(self, factor: f64) -> Self {
                self * factor as $t
            }
            #[inline(always)]
            fn offset(self, term: f64) -> Self {
                self + term as $t
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
        }
    };
}
number!(f32);
number!(f64);

/// A tensor that remembers the first error, so that a rule can be written as a formula.
#[derive(Clone, Debug)]
pub(crate) struct Field(std::result::Result<Tensor, Arc<candle_core::Error>>);

impl Field {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self(Ok(tensor))
    }

    pub(crate) fn into_tensor(self) -> Result<Tensor> {
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
    fn maximum(self, other: Self) -> Self {
        self.zip(other, |a, b| a.maximum(b))
    }
}
