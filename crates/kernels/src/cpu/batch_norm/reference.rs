//! Batch norm's four passes, one row of channels at a time.

use std::mem::MaybeUninit;

use candle_core::WithDType;
use rayon::prelude::*;

use crate::cpu::batch_norm::{Affine, GradientTerms, Moments};
use crate::cpu::element::Element;

/// Elements one task works on: small enough to stay in a core's cache, and independent of the number of threads.
const TASK_ELEMENTS: usize = 1 << 16;

/// Elements of a task, rounded to whole rows of `channels`.
pub(crate) fn task_len(channels: usize) -> usize {
    (TASK_ELEMENTS / channels).max(1) * channels
}

/// Mean and biased variance of every channel, merged from the tasks in their order (Chan, Golub, LeVeque 1979).
pub(crate) fn moments<T: Element>(x: &[T], channels: usize) -> Moments {
    let tasks: Vec<(usize, Vec<f64>, Vec<f64>)> = x
        .par_chunks(task_len(channels))
        .map(|rows| {
            let count = rows.len() / channels;
            let mut mean = vec![0.0; channels];
            for row in rows.chunks(channels) {
                for (sum, value) in mean.iter_mut().zip(row) {
                    *sum += value.to_f64();
                }
            }
            for value in &mut mean {
                *value /= count as f64;
            }
            let mut squares = vec![0.0; channels];
            for row in rows.chunks(channels) {
                for ((sum, value), mean) in squares.iter_mut().zip(row).zip(&mean) {
                    *sum += (value.to_f64() - mean).powi(2);
                }
            }
            (count, mean, squares)
        })
        .collect();
    let (mut total, mut mean, mut squares) = (0.0, vec![0.0; channels], vec![0.0; channels]);
    for (count, task_mean, task_squares) in tasks {
        let count = count as f64;
        let merged = total + count;
        for c in 0..channels {
            let delta = task_mean[c] - mean[c];
            mean[c] += delta * count / merged;
            squares[c] += task_squares[c] + delta * delta * total * count / merged;
        }
        total = merged;
    }
    let variance = squares.into_iter().map(|sum| sum / total).collect();
    Moments { mean, variance }
}

/// `y = (x - center) * scale + shift (+ residual)`, cut at zero if `relu`.
pub(crate) fn apply<T: Element>(
    x: &[T],
    affine: &Affine<T::Accumulator>,
    residual: Option<&[T]>,
    relu: bool,
    y: &mut [MaybeUninit<T>],
) {
    let channels = affine.scale.len();
    let task = task_len(channels);
    y.par_chunks_mut(task).enumerate().for_each(|(index, y)| {
        for (offset, out) in y.iter_mut().enumerate() {
            let (at, c) = (index * task + offset, offset % channels);
            let mut value = (x[at].widen() - affine.center[c]) * affine.scale[c] + affine.shift[c];
            if let Some(residual) = residual {
                value += residual[at].widen();
            }
            let zero = T::zero().widen();
            out.write(T::narrow(if relu && value < zero { zero } else { value }));
        }
    });
}

/// Per channel, the sums of the gradient and of the gradient times the centred input.
pub(crate) fn gradient_sums<T: Element>(
    x: &[T],
    center: &[T::Accumulator],
    y: Option<&[T]>,
    dy: &[T],
) -> (Vec<f64>, Vec<f64>) {
    let channels = center.len();
    let task = task_len(channels);
    let tasks: Vec<(Vec<f64>, Vec<f64>)> = dy
        .par_chunks(task)
        .enumerate()
        .map(|(index, dy)| {
            let (mut plain, mut centred) = (vec![0.0; channels], vec![0.0; channels]);
            for (offset, &g) in dy.iter().enumerate() {
                let (at, c) = (index * task + offset, offset % channels);
                let g = cut(g, y, at).widen();
                plain[c] += g.to_f64();
                centred[c] += (g * (x[at].widen() - center[c])).to_f64();
            }
            (plain, centred)
        })
        .collect();
    let (mut plain, mut centred) = (vec![0.0; channels], vec![0.0; channels]);
    for (task_plain, task_centred) in tasks {
        for c in 0..channels {
            plain[c] += task_plain[c];
            centred[c] += task_centred[c];
        }
    }
    (plain, centred)
}

/// `dx = scale * g + slope * (x - center) + offset`, and `g` itself to `residual`.
pub(crate) fn backward<T: Element>(
    x: &[T],
    terms: &GradientTerms<T::Accumulator>,
    y: Option<&[T]>,
    dy: &[T],
    dx: &mut [MaybeUninit<T>],
    residual: Option<&mut [MaybeUninit<T>]>,
) {
    let channels = terms.scale.len();
    let task = task_len(channels);
    dx.par_chunks_mut(task).enumerate().for_each(|(index, dx)| {
        for (offset, out) in dx.iter_mut().enumerate() {
            let (at, c) = (index * task + offset, offset % channels);
            let g = cut(dy[at], y, at).widen();
            let centred = x[at].widen() - terms.center[c];
            out.write(T::narrow(terms.scale[c] * g + terms.slope[c] * centred + terms.offset[c]));
        }
    });
    if let Some(residual) = residual {
        residual.par_chunks_mut(task).enumerate().for_each(|(index, residual)| {
            for (offset, out) in residual.iter_mut().enumerate() {
                let at = index * task + offset;
                out.write(cut(dy[at], y, at));
            }
        });
    }
}

/// The gradient that passes a rectifier whose output was `y`: none where it was cut.
fn cut<T: Element>(g: T, y: Option<&[T]>, at: usize) -> T {
    match y {
        Some(y) if y[at] <= T::zero() => T::zero(),
        _ => g,
    }
}
