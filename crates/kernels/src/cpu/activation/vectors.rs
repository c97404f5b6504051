//! Activation functions on vectors: inside kernels, on values in registers, and alone, in one pass over memory.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::activation::TASK_ELEMENTS;
use crate::cpu::simd::functions::{logistic, normal};
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};
use crate::plan::{TANH_CUBE, TANH_SCALE};
use crate::{Activation, InstructionSet};

/// An activation function as a type parameter of kernels; `with_curve!` selects it from an [`Activation`].
pub(crate) trait Curve {
    /// # Safety
    ///
    /// The processor must have the vector's instructions.
    unsafe fn value<V: Vector>(x: V) -> V;
    /// `dy` times the derivative at `x`.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn passed<V: Vector>(x: V, dy: V) -> V;
}

/// Evaluates `$body` with `$curve` as the type for `$activation`.
macro_rules! with_curve {
    ($activation:expr, $curve:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Relu => {
                type $curve = $crate::cpu::activation::vectors::Relu;
                $body
            }
            $crate::Activation::Gelu => {
                type $curve = $crate::cpu::activation::vectors::Gelu;
                $body
            }
            $crate::Activation::GeluTanh => {
                type $curve = $crate::cpu::activation::vectors::GeluTanh;
                $body
            }
            $crate::Activation::Silu => {
                type $curve = $crate::cpu::activation::vectors::Silu;
                $body
            }
        }
    };
}

pub(crate) use with_curve;

pub(crate) struct Relu;
pub(crate) struct Gelu;
pub(crate) struct GeluTanh;
pub(crate) struct Silu;

impl Curve for Relu {
    #[inline(always)]
    unsafe fn value<V: Vector>(x: V) -> V {
        // SAFETY: the caller's contract.
        unsafe { x.max(V::splat(0.0)) }
    }
    #[inline(always)]
    unsafe fn passed<V: Vector>(x: V, dy: V) -> V {
        // SAFETY: the caller's contract.
        unsafe { dy.where_not_below(x) }
    }
}

/// Clamps `x` to where its product with the derivative has reached its limit: infinity times a derivative of 0 is NaN.
#[inline(always)]
unsafe fn bounded<V: Vector>(x: V, bound: f32) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { x.min(V::splat(bound)).max(V::splat(-bound)) }
}

impl Curve for Gelu {
    #[inline(always)]
    unsafe fn value<V: Vector>(x: V) -> V {
        // SAFETY: the caller's contract.
        unsafe { x.mul(normal(x).0) }
    }
    #[inline(always)]
    unsafe fn passed<V: Vector>(x: V, dy: V) -> V {
        // SAFETY: the caller's contract.
        unsafe {
            let (probability, density) = normal(x);
            dy.mul(bounded(x, 16.0).fma(density, probability))
        }
    }
}

impl GeluTanh {
    /// Twice the argument of tanh; its logistic function is `(1 + tanh) / 2`.
    #[inline(always)]
    unsafe fn argument<V: Vector>(x: V) -> V {
        // SAFETY: the caller has the instructions.
        unsafe {
            let cube = V::splat((2.0 * TANH_SCALE * TANH_CUBE) as f32);
            x.mul(x.mul(x).fma(cube, V::splat((2.0 * TANH_SCALE) as f32)))
        }
    }
}

impl Curve for GeluTanh {
    #[inline(always)]
    unsafe fn value<V: Vector>(x: V) -> V {
        // SAFETY: the caller's contract.
        unsafe { x.mul(logistic(Self::argument(bounded(x, 16.0))).0) }
    }
    #[inline(always)]
    unsafe fn passed<V: Vector>(x: V, dy: V) -> V {
        // SAFETY: the caller's contract.
        unsafe {
            let x = bounded(x, 16.0);
            let (share, slope) = logistic(Self::argument(x));
            let cube = V::splat((6.0 * TANH_SCALE * TANH_CUBE) as f32);
            let inner = x.mul(x).fma(cube, V::splat((2.0 * TANH_SCALE) as f32));
            dy.mul(x.mul(slope).fma(inner, share))
        }
    }
}

impl Curve for Silu {
    #[inline(always)]
    unsafe fn value<V: Vector>(x: V) -> V {
        // SAFETY: the caller's contract.
        unsafe { x.mul(logistic(x).0) }
    }
    #[inline(always)]
    unsafe fn passed<V: Vector>(x: V, dy: V) -> V {
        // SAFETY: the caller's contract.
        unsafe {
            let (share, slope) = logistic(x);
            dy.mul(bounded(x, 120.0).fma(slope, share))
        }
    }
}

/// See [`crate::cpu::activation::reference::forward`].
pub(crate) fn forward<S: Stored>(set: InstructionSet, activation: Activation, x: &[S], y: &mut [MaybeUninit<S>]) {
    assert!(x.len() == y.len(), "lengths");
    y.par_chunks_mut(TASK_ELEMENTS).zip(x.par_chunks(TASK_ELEMENTS)).for_each(|(y, x)| {
        // SAFETY: both slices have one length.
        unsafe { forward_task(set, activation, x, Shared::output(y)) };
    });
}

/// See [`crate::cpu::activation::reference::backward`].
pub(crate) fn backward<S: Stored>(
    set: InstructionSet,
    activation: Activation,
    x: &[S],
    dy: &[S],
    dx: &mut [MaybeUninit<S>],
) {
    assert!(x.len() == dx.len() && dy.len() == dx.len(), "lengths");
    let inputs = x.par_chunks(TASK_ELEMENTS).zip(dy.par_chunks(TASK_ELEMENTS));
    dx.par_chunks_mut(TASK_ELEMENTS).zip(inputs).for_each(|(dx, (x, dy))| {
        // SAFETY: the three slices have one length.
        unsafe { backward_task(set, activation, x, dy, Shared::output(dx)) };
    });
}

dispatch! {
    /// One task of `forward`.
    fn forward_task<S>(activation: Activation, x: &[S], y: Shared<S>) = forward_body
}

#[inline(always)]
unsafe fn forward_body<V: Vector, S: Stored>(activation: Activation, x: &[S], y: Shared<S>) {
    // SAFETY: the caller's contract.
    unsafe { with_curve!(activation, C => forward_curve::<V, S, C>(x, y)) }
}

#[inline(always)]
unsafe fn forward_curve<V: Vector, S: Stored, C: Curve>(x: &[S], y: Shared<S>) {
    let whole = x.len() - x.len() % V::LANES;
    // SAFETY: vectors within the slices' length, and what remains of it.
    unsafe {
        for at in (0..whole).step_by(V::LANES) {
            S::store(C::value(S::load::<V>(x.as_ptr().add(at))), y.at(at));
        }
        if whole < x.len() {
            let last = S::load_first::<V>(x.as_ptr().add(whole), x.len() - whole, 0.0);
            S::store_first(C::value(last), y.at(whole), x.len() - whole);
        }
    }
}

dispatch! {
    /// One task of `backward`.
    fn backward_task<S>(activation: Activation, x: &[S], dy: &[S], dx: Shared<S>) = backward_body
}

#[inline(always)]
unsafe fn backward_body<V: Vector, S: Stored>(activation: Activation, x: &[S], dy: &[S], dx: Shared<S>) {
    // SAFETY: the caller's contract.
    unsafe { with_curve!(activation, C => backward_curve::<V, S, C>(x, dy, dx)) }
}

#[inline(always)]
unsafe fn backward_curve<V: Vector, S: Stored, C: Curve>(x: &[S], dy: &[S], dx: Shared<S>) {
    let whole = x.len() - x.len() % V::LANES;
    // SAFETY: vectors within the slices' length, and what remains of it.
    unsafe {
        for at in (0..whole).step_by(V::LANES) {
            let dy = S::load::<V>(dy.as_ptr().add(at));
            S::store(C::passed(S::load::<V>(x.as_ptr().add(at)), dy), dx.at(at));
        }
        if whole < x.len() {
            let count = x.len() - whole;
            let dy = S::load_first::<V>(dy.as_ptr().add(whole), count, 0.0);
            let last = S::load_first::<V>(x.as_ptr().add(whole), count, 0.0);
            S::store_first(C::passed(last, dy), dx.at(whole), count);
        }
    }
}
