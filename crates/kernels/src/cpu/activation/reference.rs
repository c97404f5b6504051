//! Activation functions and their derivatives, literally as formulas, element by element in double precision.

use std::mem::MaybeUninit;

use candle_core::cpu::erf::erfc_f64;
use rayon::prelude::*;

use crate::Activation;
use crate::cpu::activation::TASK_ELEMENTS;
use crate::cpu::element::Element;
use crate::plan::{TANH_CUBE, TANH_SCALE};

/// The function's value.
pub(crate) fn value(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Gelu => x * probability(x),
        // (1 + tanh(a)) / 2 = 1 / (1 + e^-2a), without cancellation on the lower side.
        Activation::GeluTanh => x / (1.0 + (-2.0 * tanh_argument(x)).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// The derivative at `x`.
pub(crate) fn slope(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => {
            if x <= 0.0 {
                0.0
            } else {
                1.0
            }
        }
        Activation::Gelu => {
            let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
            probability(x) + bounded(x) * density
        }
        Activation::GeluTanh => {
            let x = bounded(x);
            let tanh = tanh_argument(x).tanh();
            let inner = TANH_SCALE * (1.0 + 3.0 * TANH_CUBE * x * x);
            (1.0 + tanh) / 2.0 + x * (1.0 - tanh * tanh) / 2.0 * inner
        }
        Activation::Silu => {
            let x = x.clamp(-800.0, 800.0);
            let share = 1.0 / (1.0 + (-x).exp());
            share + x * share / (1.0 + x.exp())
        }
    }
}

/// `dy` times the derivative at `x`. For a closed rectifier it is 0, even if `dy` is infinite.
pub(crate) fn passed(activation: Activation, x: f64, dy: f64) -> f64 {
    match activation {
        Activation::Relu if x <= 0.0 => 0.0,
        Activation::Relu => dy,
        _ => dy * slope(activation, x),
    }
}

/// The cumulative distribution function of the normal distribution, without cancellation for negative `x`.
fn probability(x: f64) -> f64 {
    erfc_f64(-x / std::f64::consts::SQRT_2) / 2.0
}

fn tanh_argument(x: f64) -> f64 {
    TANH_SCALE * (x + TANH_CUBE * x * x * x)
}

/// Clamps `x` to where derivatives have reached their limits: infinity times a derivative of 0 would be NaN.
fn bounded(x: f64) -> f64 {
    x.clamp(-40.0, 40.0)
}

/// Applies the function to every element.
pub(crate) fn forward<T: Element>(activation: Activation, x: &[T], y: &mut [MaybeUninit<T>]) {
    assert!(x.len() == y.len(), "lengths");
    y.par_chunks_mut(TASK_ELEMENTS).zip(x.par_chunks(TASK_ELEMENTS)).for_each(|(y, x)| {
        for (y, x) in y.iter_mut().zip(x) {
            y.write(T::from_f64(value(activation, x.to_f64())));
        }
    });
}

/// Writes `dx`, the gradient of the input.
pub(crate) fn backward<T: Element>(activation: Activation, x: &[T], dy: &[T], dx: &mut [MaybeUninit<T>]) {
    assert!(x.len() == dx.len() && dy.len() == dx.len(), "lengths");
    let inputs = x.par_chunks(TASK_ELEMENTS).zip(dy.par_chunks(TASK_ELEMENTS));
    dx.par_chunks_mut(TASK_ELEMENTS).zip(inputs).for_each(|(dx, (x, dy))| {
        for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
            dx.write(T::from_f64(passed(activation, x.to_f64(), dy.to_f64())));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_worked_by_hand() {
        // P(1) = 0.8413447460685429, and its density 0.24197072451914337.
        assert!((value(Activation::Gelu, 1.0) - 0.841_344_746_068_542_9).abs() < 1e-15);
        assert!((value(Activation::Gelu, -1.0) + 1.0 - 0.841_344_746_068_542_9).abs() < 1e-15);
        assert!((slope(Activation::Gelu, 1.0) - (0.841_344_746_068_542_9 + 0.241_970_724_519_143_37)).abs() < 1e-15);
        // (1 + tanh(0.7978845608028654 * 1.044715)) / 2 = 1 / (1 + e^-1.6671239378...).
        assert!((value(Activation::GeluTanh, 1.0) - 0.8411919906082768).abs() < 1e-15);
        // 1 / (1 + e^-1) = 0.7310585786300049, and the slope of it 0.19661193324148185.
        assert!((value(Activation::Silu, 1.0) - 0.731_058_578_630_004_9).abs() < 1e-15);
        assert!((slope(Activation::Silu, 1.0) - (0.731_058_578_630_004_9 + 0.196_611_933_241_481_85)).abs() < 1e-15);
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            assert_eq!(value(activation, 0.0), 0.0);
            assert_eq!([slope(activation, f64::INFINITY), slope(activation, f64::NEG_INFINITY)], [1.0, 0.0]);
        }
    }
}
