//! The two forward passes on vectors: moments, and the normalised values with residual and activation.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::activation::reference::value as value_of;
use crate::cpu::activation::vectors::{Curve, Relu, with_curve};
use crate::cpu::batch_norm::rows::{Rows, Sums};
use crate::cpu::batch_norm::{Affine, Moments, mask_bytes};
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};
use crate::{Activation, InstructionSet};

/// Rows summed in f32 before they are added to a double.
pub(super) const SUM_ROWS: usize = 128;

/// The square of the distance between mean and pivot, in variances, above which a channel is summed once more. An f32
/// sum of 128 terms is off by at most 2^-17 of itself: the mean of the squares, `distance^2 + variance`, by that share,
/// and `distance^2` by twice that. So up to here, the variance is within 3 %. A first pixel at 32 standard deviations is
/// no sample: even a channel that differs in its four corners only has them at 16 in images of 32x32.
const FAR: f64 = 1024.0;

/// Mean and biased variance of every channel, from sums of the distances to the first pixel: shifting by a value of the
/// tensor's own size keeps the difference of squares from cancelling. Where the first pixel is an outlier, it cancels all
/// the same; such channels are summed once more around their mean. The others keep their pivots, and so their bits.
pub(crate) fn moments<S: Stored>(set: InstructionSet, x: &[S], channels: usize) -> Moments {
    let mut pivot: Vec<f32> = x[..channels].iter().map(|value| value.to_f32()).collect();
    let moments = moments_around(set, x, &pivot);
    let mut again = false;
    for (pivot, (&mean, &variance)) in pivot.iter_mut().zip(moments.mean.iter().zip(&moments.variance)) {
        let distance = mean - f64::from(*pivot);
        // False for NaN, which an infinity among the values gives as well.
        if distance * distance > FAR * variance {
            *pivot = mean as f32;
            again = true;
        }
    }
    if again { moments_around(set, x, &pivot) } else { moments }
}

/// The same from sums of the distances to the channels' pivots.
fn moments_around<S: Stored>(set: InstructionSet, x: &[S], pivot: &[f32]) -> Moments {
    let channels = pivot.len();
    let rows = Rows::new(set, channels, x.len());
    let wide_pivot = rows.widened(pivot);
    let (body, tail) = x.split_at(rows.len);
    let tasks = body.par_chunks(rows.task()).map(|x| {
        let mut sums = Sums::zeros(rows.width);
        // SAFETY: `x` is whole rows; pivot and sums have a row's width.
        unsafe { sum_squares(set, rows, x, &wide_pivot, &mut sums) };
        sums
    });
    let mut total = rows.total(tasks.collect());
    for (at, value) in tail.iter().enumerate() {
        let distance = f64::from(value.to_f32() - pivot[at % channels]);
        total.first[at % channels] += distance;
        total.second[at % channels] += distance * distance;
    }
    let count = (x.len() / channels) as f64;
    let mut moments = Moments { mean: Vec::with_capacity(channels), variance: Vec::with_capacity(channels) };
    for c in 0..channels {
        let shifted = total.first[c] / count;
        moments.mean.push(f64::from(pivot[c]) + shifted);
        // Rounding may leave a constant channel slightly below zero; NaN stays NaN.
        let variance = total.second[c] / count - shifted * shifted;
        moments.variance.push(if variance < 0.0 { 0.0 } else { variance });
    }
    moments
}

dispatch! {
    /// Per column, the sums of `x - pivot` and of its square.
    fn sum_squares<S>(rows: Rows, x: &[S], pivot: &[f32], sums: &mut Sums) = sum_squares_body
}

#[inline(always)]
unsafe fn sum_squares_body<V: Vector, S: Stored>(rows: Rows, x: &[S], pivot: &[f32], sums: &mut Sums) {
    // SAFETY: the caller's contract.
    unsafe {
        if rows.vectors == 4 {
            sum_squares_group::<V, S, 4>(rows, x, pivot, sums);
        } else {
            sum_squares_group::<V, S, 1>(rows, x, pivot, sums);
        }
    }
}

#[inline(always)]
unsafe fn sum_squares_group<V: Vector, S: Stored, const J: usize>(rows: Rows, x: &[S], pivot: &[f32], sums: &mut Sums) {
    let count = x.len() / rows.width;
    for column in (0..rows.width).step_by(J * V::LANES) {
        for first in (0..count).step_by(SUM_ROWS) {
            let last = count.min(first + SUM_ROWS);
            // SAFETY: rows below `count`, columns `column..column + J * LANES` inside the width.
            unsafe {
                let (mut sum, mut square) = ([V::splat(0.0); J], [V::splat(0.0); J]);
                let mut center = [V::splat(0.0); J];
                for j in 0..J {
                    center[j] = V::load(pivot.as_ptr().add(column + j * V::LANES));
                }
                for row in first..last {
                    let from = x.as_ptr().add(row * rows.width + column);
                    for j in 0..J {
                        let value = S::load::<V>(from.add(j * V::LANES)).sub(center[j]);
                        sum[j] = sum[j].add(value);
                        square[j] = value.fma(value, square[j]);
                    }
                }
                for j in 0..J {
                    add_lanes(sum[j], &mut sums.first[column + j * V::LANES..]);
                    add_lanes(square[j], &mut sums.second[column + j * V::LANES..]);
                }
            }
        }
    }
}

/// Adds every lane to its double.
#[inline(always)]
pub(super) unsafe fn add_lanes<V: Vector>(vector: V, sums: &mut [f64]) {
    let mut lanes = [0.0f32; 16];
    // SAFETY: no vector has more than sixteen lanes.
    unsafe { vector.store(lanes.as_mut_ptr()) };
    for (sum, lane) in sums.iter_mut().zip(&lanes[..V::LANES]) {
        *sum += f64::from(*lane);
    }
}

/// One task of [`apply`].
struct Apply<'a, S> {
    rows: Rows,
    affine: &'a Affine<f32>,
    x: &'a [S],
    residual: Option<&'a [S]>,
    after: Option<Activation>,
    y: Shared<S>,
    mask: Option<Shared<u8>>,
}

/// See [`crate::cpu::batch_norm::reference::apply`].
pub(crate) fn apply<S: Stored>(
    set: InstructionSet,
    x: &[S],
    affine: &Affine<f32>,
    residual: Option<&[S]>,
    after: Option<Activation>,
    y: &mut [MaybeUninit<S>],
    mask: Option<&mut [MaybeUninit<u8>]>,
) {
    assert!(y.len() == x.len() && residual.is_none_or(|residual| residual.len() == x.len()), "lengths");
    assert!(mask.as_ref().is_none_or(|mask| mask.len() == mask_bytes(x.len())), "mask length");
    assert!(residual.is_none() || matches!(after, None | Some(Activation::Relu)), "a residual before a rectifier");
    let channels = affine.scale.len();
    let rows = Rows::new(set, channels, x.len());
    let wide = Affine {
        center: rows.widened(&affine.center),
        scale: rows.widened(&affine.scale),
        shift: rows.widened(&affine.shift),
    };
    let task = rows.task();
    let mask = mask.map(Shared::output);
    let (body, tail) = y.split_at_mut(rows.len);
    body.par_chunks_mut(task).enumerate().for_each(|(index, y)| {
        let range = index * task..index * task + y.len();
        let residual = residual.map(|residual| &residual[range.clone()]);
        // SAFETY: a task begins at a whole byte, and the mask has a bit of every element.
        let mask = mask.map(|mask| unsafe { mask.from(range.start / 8) });
        let y = Shared::output(y);
        let apply = Apply { rows, affine: &wide, x: &x[range], residual, after, y, mask };
        // SAFETY: all slices of the task have one length, whole rows; the per-channel ones a row's width.
        unsafe { apply_task(set, &apply) };
    });
    for (at, out) in tail.iter_mut().enumerate() {
        let (c, at) = (at % channels, rows.len + at);
        let mut value = (x[at].to_f32() - affine.center[c]).mul_add(affine.scale[c], affine.shift[c]);
        if let Some(residual) = residual {
            value += residual[at].to_f32();
        }
        let passes = value > 0.0 || value.is_nan();
        if let Some(mask) = mask {
            // SAFETY: the byte is in bounds; bodies end at a whole byte, so no task writes it, and its first bit clears it.
            unsafe {
                let byte = mask.at(at / 8);
                let before = if at % 8 == 0 { 0 } else { *byte };
                *byte = before | u8::from(passes) << (at % 8);
            }
        }
        out.write(S::of_f32(after.map_or(value, |after| value_of(after, f64::from(value)) as f32)));
    }
}

dispatch! {
    /// One task of `apply`.
    fn apply_task<S>(task: &Apply<'_, S>) = apply_body
}

#[inline(always)]
unsafe fn apply_body<V: Vector, S: Stored>(task: &Apply<'_, S>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.residual.is_some(), task.after) {
            (false, None) => apply_rows::<V, S, Identity, false>(task),
            (true, None) => apply_rows::<V, S, Identity, true>(task),
            (true, Some(Activation::Relu)) => apply_rows::<V, S, Relu, true>(task),
            // No caller adds a residual before another function.
            (_, Some(after)) => with_curve!(after, C => apply_rows::<V, S, C, false>(task)),
        }
    }
}

#[inline(always)]
unsafe fn apply_rows<V: Vector, S: Stored, C: Curve, const RESIDUAL: bool>(task: &Apply<'_, S>) {
    // SAFETY: the caller's contract.
    unsafe {
        if task.rows.vectors == 4 {
            apply_group::<V, S, C, 4, RESIDUAL>(task);
        } else {
            apply_group::<V, S, C, 1, RESIDUAL>(task);
        }
    }
}

/// No activation function.
struct Identity;

impl Curve for Identity {
    #[inline(always)]
    unsafe fn value<V: Vector>(x: V) -> V {
        x
    }
    #[inline(always)]
    unsafe fn passed<V: Vector>(_: V, dy: V) -> V {
        dy
    }
}

#[inline(always)]
unsafe fn apply_group<V: Vector, S: Stored, C: Curve, const J: usize, const RESIDUAL: bool>(task: &Apply<'_, S>) {
    let width = task.rows.width;
    let x = task.x.as_ptr();
    let residual = task.residual.map_or(x, <[S]>::as_ptr);
    for column in (0..width).step_by(J * V::LANES) {
        // SAFETY: rows and columns lie inside the task's slices, and their bits inside the mask.
        unsafe {
            let (mut center, mut scale, mut shift) = ([V::splat(0.0); J], [V::splat(0.0); J], [V::splat(0.0); J]);
            for j in 0..J {
                let at = column + j * V::LANES;
                center[j] = V::load(task.affine.center.as_ptr().add(at));
                scale[j] = V::load(task.affine.scale.as_ptr().add(at));
                shift[j] = V::load(task.affine.shift.as_ptr().add(at));
            }
            for row in 0..task.x.len() / width {
                for j in 0..J {
                    let at = row * width + column + j * V::LANES;
                    let mut value = S::load::<V>(x.add(at)).sub(center[j]).fma(scale[j], shift[j]);
                    if RESIDUAL {
                        value = value.add(S::load::<V>(residual.add(at)));
                    }
                    if RESIDUAL && let Some(mask) = task.mask {
                        value.bits_not_below(mask.at(at / 8));
                    }
                    let value = C::value(value);
                    S::store(value, task.y.at(at));
                }
            }
        }
    }
}
