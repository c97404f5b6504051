//! Batch norm's four passes, one row of channels at a time.

use std::mem::MaybeUninit;

use candle_core::WithDType;
use rayon::prelude::*;

use crate::Activation;
use crate::cpu::activation::reference::{passed, value as value_of};
use crate::cpu::batch_norm::{Affine, GradientTerms, Mask, Moments, Sums};
use crate::cpu::element::Element;

/// Elements one task works on: small enough to stay in a core's cache, and independent of the number of threads.
const TASK_ELEMENTS: usize = 1 << 16;

/// Elements per task: whole pixels in multiples of eight, so that tasks do not share bytes of a mask.
pub(crate) fn task_len(channels: usize) -> usize {
    (TASK_ELEMENTS / channels / 8).max(1) * 8 * channels
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

/// `y = after((x - center) * scale + shift (+ residual))`; also writes the bits of a rectifier's mask, if requested.
pub(crate) fn apply<T: Element>(
    x: &[T],
    affine: &Affine<T::Accumulator>,
    residual: Option<&[T]>,
    after: Option<Activation>,
    y: &mut [MaybeUninit<T>],
    mask: Option<&mut [MaybeUninit<u8>]>,
) {
    let channels = affine.scale.len();
    let task = task_len(channels);
    let value = |at: usize| {
        let value = affine_at(affine, x[at], at % channels);
        residual.map_or(value, |residual| value + residual[at].widen())
    };
    y.par_chunks_mut(task).enumerate().for_each(|(index, y)| {
        for (offset, out) in y.iter_mut().enumerate() {
            let value = value(index * task + offset);
            let through = |after| T::Accumulator::from_f64(value_of(after, value.to_f64()));
            out.write(T::narrow(after.map_or(value, through)));
        }
    });
    if let Some(mask) = mask {
        mask.par_chunks_mut(task / 8).enumerate().for_each(|(index, mask)| {
            for (offset, byte) in mask.iter_mut().enumerate() {
                let first = index * task + 8 * offset;
                let passes = |at: usize| u8::from(at < x.len() && !masks(value(at)));
                byte.write((0..8).fold(0, |byte, bit| byte | passes(first + bit) << bit));
            }
        });
    }
}

fn affine_at<T: Element>(affine: &Affine<T::Accumulator>, x: T, c: usize) -> T::Accumulator {
    (x.widen() - affine.center[c]) * affine.scale[c] + affine.shift[c]
}

/// Whether a rectifier sets the gradient of this input to 0; for NaN it does not, as in PyTorch.
fn masks<A: Element>(value: A) -> bool {
    value <= A::zero()
}

/// `dy` after the mask.
fn masked<T: Element>(mask: Mask<'_, T::Accumulator>, x: T, dy: T, at: usize, c: usize) -> T::Accumulator {
    match mask {
        Mask::Open => dy.widen(),
        Mask::Through(activation, affine) => {
            let argument = affine_at(affine, x, c).to_f64();
            T::Accumulator::from_f64(passed(activation, argument, dy.to_f64()))
        }
        Mask::Bits(bits) => {
            if bits[at / 8] >> (at % 8) & 1 == 0 {
                T::zero().widen()
            } else {
                dy.widen()
            }
        }
    }
}

/// Per channel, the sums of the masked gradient and of that times the centred input.
pub(crate) fn gradient_sums<T: Element>(
    x: &[T],
    center: &[T::Accumulator],
    mask: Mask<'_, T::Accumulator>,
    dy: &[T],
) -> Sums {
    let channels = center.len();
    let task = task_len(channels);
    let tasks: Vec<Sums> = dy
        .par_chunks(task)
        .enumerate()
        .map(|(index, dy)| {
            let mut sums = Sums::zeros(channels);
            for (offset, &g) in dy.iter().enumerate() {
                let (at, c) = (index * task + offset, offset % channels);
                let g = masked(mask, x[at], g, at, c);
                sums.first[c] += g.to_f64();
                sums.second[c] += (g * (x[at].widen() - center[c])).to_f64();
            }
            sums
        })
        .collect();
    let mut total = Sums::zeros(channels);
    for task in tasks {
        for c in 0..channels {
            total.first[c] += task.first[c];
            total.second[c] += task.second[c];
        }
    }
    total
}

/// `dx = scale * g + slope * (x - center) + offset` of the masked gradient `g`, and `g` itself to `residual`.
pub(crate) fn backward<T: Element>(
    x: &[T],
    terms: &GradientTerms<T::Accumulator>,
    mask: Mask<'_, T::Accumulator>,
    dy: &[T],
    dx: &mut [MaybeUninit<T>],
    residual: Option<&mut [MaybeUninit<T>]>,
) {
    let channels = terms.scale.len();
    let task = task_len(channels);
    dx.par_chunks_mut(task).enumerate().for_each(|(index, dx)| {
        for (offset, out) in dx.iter_mut().enumerate() {
            let (at, c) = (index * task + offset, offset % channels);
            let g = masked(mask, x[at], dy[at], at, c);
            let centred = x[at].widen() - terms.center[c];
            out.write(T::narrow(terms.scale[c] * g + terms.slope[c] * centred + terms.offset[c]));
        }
    });
    if let Some(residual) = residual {
        residual.par_chunks_mut(task).enumerate().for_each(|(index, residual)| {
            for (offset, out) in residual.iter_mut().enumerate() {
                let (at, c) = (index * task + offset, offset % channels);
                out.write(T::narrow(masked(mask, x[at], dy[at], at, c)));
            }
        });
    }
}
