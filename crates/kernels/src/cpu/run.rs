//! Allocates output memory and runs the chosen kernels, so that nothing above this file needs `unsafe`.
//!
//! Every kernel writes all of its output: the twin tests run each kernel into memory filled with NaN.
#![allow(unsafe_code, reason = "output memory that is written before it is read")]

use std::mem::MaybeUninit;

use crate::Activation;
use crate::cpu::batch_norm::{Affine, GradientTerms, Mask, mask_bytes};
use crate::cpu::choose::Kernels;
use crate::cpu::conv::Epilogue;
use crate::cpu::cross_entropy::{Row, Targets};
use crate::cpu::element::Element;
use crate::cpu::embedding;
use crate::cpu::lstm::{Gradients, Passed, Window, Written};
use crate::cpu::memory::{Buffer, Place, Pooled, Values, as_uninit, assume_init, uninit};
use crate::cpu::product::{self, OfColumns, Order, ProductShape};
use crate::cpu::row_norm::{Layer, ParameterGradients, RowMoments};
use crate::plan::{ConvShape, PoolShape};

pub(crate) fn conv2d_forward<T: Kernels>(
    shape: &ConvShape,
    x: &[T],
    weight: &[T::Accumulator],
    epilogue: Epilogue<'_, T>,
    place: Place,
) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(shape.y_len(), place, |y| T::conv2d_forward(shape, x, weight, epilogue, y)) }
}

pub(crate) fn conv2d_backward_data<T: Kernels>(
    shape: &ConvShape,
    dy: &[T],
    weight: &[T::Accumulator],
    place: Place,
) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(shape.x_len(), place, |dx| T::conv2d_backward_data(shape, dy, weight, false, dx)) }
}

/// The same, added to `dx`.
pub(crate) fn add_conv2d_backward_data<T: Kernels>(
    shape: &ConvShape,
    dy: &[T],
    weight: &[T::Accumulator],
    dx: &mut [T],
) {
    // SAFETY: the kernel stores elements only.
    T::conv2d_backward_data(shape, dy, weight, true, unsafe { as_uninit(dx) });
}

pub(crate) fn conv2d_backward_weight<T: Kernels>(shape: &ConvShape, x: &[T], dy: &[T]) -> Vec<T::Accumulator> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(shape.weight_len(), Place::Tensor, |dw| T::conv2d_backward_weight(shape, x, dy, dw)) }.into_vec()
}

/// The normalised values and, if requested, the bits of the rectifier's mask.
pub(crate) fn normalise<T: Kernels>(
    x: &[T],
    affine: &Affine<T::Accumulator>,
    residual: Option<&[T]>,
    after: Option<Activation>,
    place: Place,
    keep_mask: bool,
) -> (Values<T>, Option<Values<u8>>) {
    let mut mask = None;
    // SAFETY: the kernel writes all of both outputs.
    let y = unsafe {
        written(x.len(), place, |y| match keep_mask {
            false => T::normalise(x, affine, residual, after, y, None),
            true => {
                let kernel = |bits: &mut [MaybeUninit<u8>]| T::normalise(x, affine, residual, after, y, Some(bits));
                mask = Some(written(mask_bytes(x.len()), Place::Workspace, kernel));
            }
        })
    };
    (y, mask)
}

/// The gradient of the input, and the masked `dy` if there is a place for it.
pub(crate) fn normalise_backward<T: Kernels>(
    x: &[T],
    terms: &GradientTerms<T::Accumulator>,
    mask: Mask<'_, T::Accumulator>,
    dy: &[T],
    place: Place,
    masked: Option<Place>,
) -> (Values<T>, Option<Values<T>>) {
    let mut masked_dy = None;
    // SAFETY: the kernel writes all of both outputs.
    let dx = unsafe {
        written(dy.len(), place, |dx| match masked {
            None => T::normalise_backward(x, terms, mask, dy, dx, None),
            Some(place) => {
                let kernel = |out: &mut [MaybeUninit<T>]| T::normalise_backward(x, terms, mask, dy, dx, Some(out));
                masked_dy = Some(written(dy.len(), place, kernel));
            }
        })
    };
    (dx, masked_dy)
}

/// The largest value of each window of a max pool whose windows do not overlap, and its tap.
pub(crate) fn largest<T: Kernels>(shape: &PoolShape, x: &[T], place: Place) -> (Values<T>, Buffer<u8>) {
    let mut winners = Buffer::take(shape.y_len());
    let kernel = |y: &mut [_]| {
        // SAFETY: the kernel stores elements only.
        T::largest(shape, x, y, unsafe { as_uninit(&mut winners) });
    };
    // SAFETY: the kernel writes all of both outputs.
    let y = unsafe { written(shape.y_len(), place, kernel) };
    (y, winners)
}

/// The gradient of the pool's input.
pub(crate) fn spread<T: Kernels>(shape: &PoolShape, dy: &[T], winners: &[u8], place: Place) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(shape.x_len(), place, |dx| T::spread(shape, dy, winners, dx)) }
}

pub(crate) fn activate<T: Kernels>(activation: Activation, x: &[T], place: Place) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(x.len(), place, |y| T::activate(activation, x, y)) }
}

pub(crate) fn activate_backward<T: Kernels>(activation: Activation, x: &[T], dy: &[T], place: Place) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(x.len(), place, |dx| T::activate_backward(activation, x, dy, dx)) }
}

pub(crate) fn cross_entropy_backward<T: Kernels>(
    logits: &[T],
    targets: Targets<'_, T::Accumulator>,
    classes: usize,
    smoothing: f64,
    upstream: f64,
    rows: &[Row],
    place: Place,
) -> Values<T> {
    let kernel = |d: &mut [_]| T::cross_entropy_backward(logits, targets, classes, smoothing, upstream, rows, d);
    // SAFETY: the kernel writes all of its output.
    unsafe { written(logits.len(), place, kernel) }
}

pub(crate) fn row_norm<T: Kernels>(
    layer: &Layer<'_, T::Accumulator>,
    x: &[T],
) -> (Vec<T>, Vec<RowMoments<T::Accumulator>>) {
    let zero = T::zero().widen();
    let mut moments = vec![RowMoments { mean: zero, reciprocal: zero }; x.len() / layer.weight.len()];
    // SAFETY: the kernel writes all of its output.
    let y = unsafe { written(x.len(), Place::Tensor, |y| T::row_norm(layer, x, &mut moments, y)) };
    (y.into_vec(), moments)
}

/// The gradient of the input, and those of the parameters; without numbers if they are not `trained`.
pub(crate) fn row_norm_backward<T: Kernels>(
    layer: &Layer<'_, T::Accumulator>,
    x: &[T],
    moments: &[RowMoments<T::Accumulator>],
    dy: &[T],
    trained: bool,
    place: Place,
) -> (Values<T>, ParameterGradients) {
    let mut parameters = ParameterGradients::default();
    let kernel = |dx: &mut [_]| parameters = T::row_norm_backward(layer, x, moments, dy, trained, dx);
    // SAFETY: the kernel writes all of its output.
    let dx = unsafe { written(x.len(), place, kernel) };
    (dx, parameters)
}

/// `x` times a mask that repeats.
pub(crate) fn masked<T: Element>(x: &[T], mask: &[T], place: Place) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(x.len(), place, |y| product::masked(x, mask, y)) }
}

/// The rows of a table with indices `ids`, times a mask.
pub(crate) fn rows<T: Element>(table: &[T], width: usize, ids: &[u32], mask: Option<&[T]>) -> Vec<T> {
    let kernel = |rows: &mut [_]| embedding::rows(table, width, ids, mask, rows);
    // SAFETY: the kernel writes all of its output.
    unsafe { written(ids.len() * width, Place::Tensor, kernel) }.into_vec()
}

/// `a b + bias`.
pub(crate) fn product<T: Kernels + Element<Accumulator = T>>(
    shape: ProductShape,
    factors: (&[T], &[T], Order),
    bias: Option<&[T]>,
    place: Place,
) -> Values<T> {
    // SAFETY: the kernel writes all of its output.
    unsafe { written(shape.rows * shape.columns, place, |y| T::product(shape, factors, bias, y)) }
}

/// `a^T b` of (inner, rows) and (inner, columns), for each of the factors `b`: its pieces and its columns.
pub(crate) fn product_of_columns<T: Kernels + Element<Accumulator = T>>(
    (rows, inner): (usize, usize),
    a: &[T],
    factors: &[([&[T]; 2], usize)],
) -> Vec<Vec<T>> {
    let mut memory: Vec<_> = factors.iter().map(|(_, columns)| uninit(rows * columns)).collect();
    let mut products: Vec<_> =
        factors.iter().zip(&mut memory).map(|(&(b, columns), y)| OfColumns { b, columns, y }).collect();
    T::product_of_columns((rows, inner), a, &mut products);
    // SAFETY: the kernel writes all of its outputs.
    memory.into_iter().map(|memory| unsafe { assume_init(memory) }).collect()
}

/// The outputs followed by the last cells, the gates' values, and the cells.
pub(crate) fn lstm_forward<T: Kernels + Element<Accumulator = T>>(
    window: &Window<'_, T>,
) -> (Vec<T>, Buffer<T>, Buffer<T>) {
    let (all, state) = (window.extents.states_len(), window.extents.state_len());
    let (mut gates, mut cells): (Buffer<T>, Buffer<T>) = (Buffer::take(4 * all), Buffer::take(all));
    let kernel = |y: &mut [MaybeUninit<T>]| {
        let (y, last) = y.split_at_mut(all);
        {
            // SAFETY: the kernel stores elements only.
            let (gates, cells) = unsafe { (as_uninit(&mut gates), as_uninit(&mut cells)) };
            T::lstm_forward(window, Written { gates, cells, y });
        }
        last.write_copy_of_slice(&cells[all - state..]);
    };
    // SAFETY: the kernel writes all of its output, and the rest is copied.
    let y = unsafe { written(all + state, Place::Tensor, kernel) }.into_vec();
    (y, gates, cells)
}

/// The gradients of an LSTM layer's window.
pub(crate) struct OfWindow<T: Pooled> {
    /// Of the gates' sums.
    pub(crate) gates: Values<T>,
    /// Of the state before the first step.
    pub(crate) hidden: Vec<T>,
    pub(crate) cell: Vec<T>,
    /// Of the inputs, if they are wanted.
    pub(crate) x: Option<Vec<T>>,
}

pub(crate) fn lstm_backward<T: Kernels + Element<Accumulator = T>>(
    window: &Window<'_, T>,
    passed: &Passed<'_, T>,
    of_x: bool,
) -> OfWindow<T> {
    let (all, state) = (window.extents.states_len(), window.extents.state_len());
    let (mut hidden, mut cell) = (uninit(state), uninit(state));
    let mut x = of_x.then(|| uninit(window.x.len()));
    let kernel = |gates: &mut [_]| {
        let (hidden, cell, x) = (&mut hidden[..], &mut cell[..], x.as_deref_mut());
        T::lstm_backward(window, passed, Gradients { gates, hidden, cell, x });
    };
    // SAFETY: the kernel writes all of its outputs.
    unsafe {
        let gates = written(4 * all, Place::Workspace, kernel);
        OfWindow { gates, hidden: assume_init(hidden), cell: assume_init(cell), x: x.map(|x| assume_init(x)) }
    }
}

/// Memory of `len` elements, written by `kernel`.
///
/// # Safety
///
/// `kernel` must write every element.
unsafe fn written<T: Pooled>(len: usize, place: Place, kernel: impl FnOnce(&mut [MaybeUninit<T>])) -> Values<T> {
    match place {
        Place::Workspace => {
            let mut buffer = Buffer::take(len);
            // SAFETY: the kernel stores elements only.
            kernel(unsafe { as_uninit(&mut buffer) });
            Values::Workspace(buffer)
        }
        Place::Tensor => {
            let mut memory = uninit(len);
            kernel(&mut memory);
            // SAFETY: the caller's promise.
            Values::Tensor(unsafe { assume_init(memory) })
        }
    }
}
