//! Which kernel an operation on f32 or bf16 runs on: the fast one that takes the shape, else the reference.

use std::mem::MaybeUninit;

use crate::element::{Affine, Element, GradientTerms, Moments};
use crate::geometry::ConvShape;
use crate::stored::Stored;
use crate::workspace::Pool;
use crate::{ConvAlgorithm, InstructionSet, algorithm, direct, instruction_set, reference, vector_norm, winograd};

/// The tile side of the Winograd algorithm that is switched on, if any.
fn winograd_side() -> Option<usize> {
    match algorithm::current() {
        ConvAlgorithm::Winograd4 => Some(4),
        ConvAlgorithm::Winograd2 => Some(2),
        ConvAlgorithm::Direct => None,
    }
}

/// The instruction set, unless it is the reference.
fn vectors() -> Option<InstructionSet> {
    Some(instruction_set::current()).filter(|set| *set != InstructionSet::Reference)
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

    fn idle() -> &'static Pool<S> {
        <S as Stored>::idle()
    }

    fn conv2d_forward(shape: &ConvShape, x: &[S], weight: &[f32], y: &mut [MaybeUninit<S>]) {
        match (vectors(), winograd_side()) {
            (Some(set), Some(side)) if winograd::takes(shape) => winograd::forward(set, side, shape, x, weight, y),
            (Some(set), _) if direct::takes(shape) => direct::forward(set, shape, x, weight, y),
            _ => reference::conv2d::forward(shape, x, weight, y),
        }
    }

    fn conv2d_backward_data(shape: &ConvShape, dy: &[S], weight: &[f32], add: bool, dx: &mut [MaybeUninit<S>]) {
        match (vectors(), winograd_side()) {
            (Some(set), Some(side)) if winograd::takes(shape) => {
                winograd::backward_data(set, side, shape, dy, weight, add, dx);
            }
            (Some(set), _) if direct::takes_backward_data(shape) => {
                direct::backward_data(set, shape, dy, weight, add, dx);
            }
            _ => reference::conv2d::backward_data(shape, dy, weight, add, dx),
        }
    }

    fn conv2d_backward_weight(shape: &ConvShape, x: &[S], dy: &[S], dw: &mut [MaybeUninit<f32>]) {
        match (vectors(), winograd_side()) {
            (Some(set), Some(side)) if winograd::takes(shape) => {
                winograd::backward_weight(set, side, shape, x, dy, dw);
            }
            (Some(set), _) if direct::takes(shape) => direct::backward_weight(set, shape, x, dy, dw),
            _ => reference::conv2d::backward_weight(shape, x, dy, dw),
        }
    }

    fn moments(x: &[S], channels: usize) -> Moments {
        match vectors() {
            Some(set) if vector_norm::takes(channels) => vector_norm::moments(set, x, channels),
            _ => reference::norm::moments(x, channels),
        }
    }

    fn normalise(x: &[S], affine: &Affine<f32>, residual: Option<&[S]>, relu: bool, y: &mut [MaybeUninit<S>]) {
        match vectors() {
            Some(set) if vector_norm::takes(affine.scale.len()) => {
                vector_norm::apply(set, x, affine, residual, relu, y);
            }
            _ => reference::norm::apply(x, affine, residual, relu, y),
        }
    }

    fn gradient_sums(x: &[S], center: &[f32], y: Option<&[S]>, dy: &[S]) -> (Vec<f64>, Vec<f64>) {
        match vectors() {
            Some(set) if vector_norm::takes(center.len()) => vector_norm::gradient_sums(set, x, center, y, dy),
            _ => reference::norm::gradient_sums(x, center, y, dy),
        }
    }

    fn normalise_backward(
        x: &[S],
        terms: &GradientTerms<f32>,
        y: Option<&[S]>,
        dy: &[S],
        dx: &mut [MaybeUninit<S>],
        residual: Option<&mut [MaybeUninit<S>]>,
    ) {
        match vectors() {
            Some(set) if vector_norm::takes(terms.scale.len()) => {
                vector_norm::backward(set, x, terms, y, dy, dx, residual);
            }
            _ => reference::norm::backward(x, terms, y, dy, dx, residual),
        }
    }
}
