//! Element types, their accumulator types, and conversions between them.

use candle_core::WithDType;

use crate::cpu::memory::Pooled;
use crate::cpu::simd::Stored;

/// An element type of activations.
pub(crate) trait Element: WithDType + Pooled {
    /// The type of weights, per-channel numbers and sums: f32 for bf16, otherwise the type itself.
    type Accumulator: Element<Accumulator = Self::Accumulator>;

    fn widen(self) -> Self::Accumulator;
    /// The nearest element.
    fn narrow(sum: Self::Accumulator) -> Self;
    /// Runs `sum` on the elements of `out` as accumulators; each element is rounded once, at the end.
    fn accumulate(out: &mut [Self], sum: impl FnOnce(&mut [Self::Accumulator]));
}

impl Element for f64 {
    type Accumulator = f64;

    fn widen(self) -> f64 {
        self
    }
    fn narrow(sum: f64) -> f64 {
        sum
    }
    fn accumulate(out: &mut [f64], sum: impl FnOnce(&mut [f64])) {
        sum(out);
    }
}

impl<S: Stored> Element for S {
    type Accumulator = f32;

    fn widen(self) -> f32 {
        self.to_f32()
    }
    fn narrow(sum: f32) -> S {
        S::of_f32(sum)
    }
    fn accumulate(out: &mut [S], sum: impl FnOnce(&mut [f32])) {
        match S::as_f32_mut(out) {
            Some(out) => sum(out),
            None => {
                let mut sums: Vec<f32> = out.iter().map(|value| value.to_f32()).collect();
                sum(&mut sums);
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = S::of_f32(sum);
                }
            }
        }
    }
}
