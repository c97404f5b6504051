//! The arithmetic of update rules: numbers on the CPU, whole tensors elsewhere.

use std::ops::{Add, Div, Mul, Sub};

/// A number, or a tensor taken element by element.
///
/// A [`Rule`](super::Rule) is written once against this trait. With `f32` and `f64` it compiles into the fused loop of the
/// CPU; with tensors it becomes plain candle operations, which work on every device.
///
/// ```
/// use lookahead_optim::rule::Number;
///
/// fn mean<X: Number>(a: X, b: X) -> X { (a + b).scale(0.5) }
/// assert_eq!(mean(1f32, 2f32), 1.5);
/// ```
pub trait Number: Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// `self * factor`, with the factor first rounded to the number's precision.
    fn scale(self, factor: f64) -> Self;
    /// `self + term`, with the term first rounded to the number's precision.
    fn offset(self, term: f64) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The larger of the two.
    fn maximum(self, other: Self) -> Self;
    /// The sign: -1, 0 or 1; 0 for a NaN.
    fn signum(self) -> Self;
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
            #[inline(always)]
            fn signum(self) -> Self {
                let one = |holds: bool| if holds { 1.0 } else { 0.0 };
                one(self > 0.0) - one(self < 0.0)
            }
        }
    };
}
number!(f32);
number!(f64);
