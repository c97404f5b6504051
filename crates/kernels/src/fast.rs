//! Which kernel an f32 operation runs on: the fast one that takes the shape, else the reference.

use std::mem::MaybeUninit;

use crate::element::{Affine, Element, GradientTerms, Moments};
use crate::geometry::ConvShape;
use crate::{
    ConvAlgorithm, InstructionSet, algorithm, direct, instruction_set, reference, vector_norm, winograd, workspace,
};

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

impl Element for f32 {
    fn conv2d_forward(shape: &ConvShape, x: &[f32], weight: &[f32], y: &mut [MaybeUninit<f32>]) {
        match (vectors(), winograd_side()) {
            (Some(set), Some(side)) if winograd::takes(shape) => winograd::forward(set, side, shape, x, weight, y),
            (Some(set), _) if direct::takes(shape) => direct::forward(set, shape, x, weight, y),
            _ => reference::conv2d::forward(shape, x, weight, y),
        }
    }

    fn conv2d_backward_data(shape: &ConvShape, dy: &[f32], weight: &[f32], add: bool, dx: &mut [MaybeUninit<f32>]) {
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

    fn conv2d_backward_weight(shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [MaybeUninit<f32>]) {
        match (vectors(), winograd_side()) {
            (Some(set), Some(side)) if winograd::takes(shape) => {
                winograd::backward_weight(set, side, shape, x, dy, dw);
            }
            (Some(set), _) if direct::takes(shape) => direct::backward_weight(set, shape, x, dy, dw),
            _ => reference::conv2d::backward_weight(shape, x, dy, dw),
        }
    }

    fn moments(x: &[f32], channels: usize) -> Moments {
        match vectors() {
            Some(set) if vector_norm::takes(channels) => vector_norm::moments(set, x, channels),
            _ => reference::norm::moments(x, channels),
        }
    }

    fn normalise(x: &[f32], affine: &Affine<f32>, residual: Option<&[f32]>, relu: bool, y: &mut [MaybeUninit<f32>]) {
        match vectors() {
            Some(set) if vector_norm::takes(affine.scale.len()) => {
                vector_norm::apply(set, x, affine, residual, relu, y);
            }
            _ => reference::norm::apply(x, affine, residual, relu, y),
        }
    }

    fn gradient_sums(x: &[f32], center: &[f32], y: Option<&[f32]>, dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
        match vectors() {
            Some(set) if vector_norm::takes(center.len()) => vector_norm::gradient_sums(set, x, center, y, dy),
            _ => reference::norm::gradient_sums(x, center, y, dy),
        }
    }

    fn normalise_backward(
        x: &[f32],
        terms: &GradientTerms<f32>,
        y: Option<&[f32]>,
        dy: &[f32],
        dx: &mut [MaybeUninit<f32>],
        residual: Option<&mut [MaybeUninit<f32>]>,
    ) {
        match vectors() {
            Some(set) if vector_norm::takes(terms.scale.len()) => {
                vector_norm::backward(set, x, terms, y, dy, dx, residual);
            }
            _ => reference::norm::backward(x, terms, y, dy, dx, residual),
        }
    }

    fn take_idle(len: usize) -> Option<Vec<f32>> {
        workspace::take_idle(len)
    }

    fn give_back(elements: Vec<f32>) {
        workspace::give_back(elements);
    }
}
