//! Batch norm's four passes on vectors, each one stream over memory.
//!
//! A tensor is seen as a matrix of rows of `group` numbers, `group` being four vectors. Where the channels are fewer, a row
//! holds several pixels and the per-channel numbers repeat; where they are more, the columns are taken group by group.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::batch_norm::{Affine, GradientTerms, Moments};
use crate::cpu::simd::Stored;
use crate::cpu::simd::{Shared, Vector, dispatch, lanes};

/// Whether rows of such channels fill vectors.
pub(crate) fn takes(channels: usize) -> bool {
    channels.is_multiple_of(16)
}

/// Elements of a task: they lie in a core's cache while the columns are taken group by group. Independent of the threads,
/// and a multiple of every group's row.
const TASK_ELEMENTS: usize = 1 << 16;
/// Rows summed in f32 before they are added to a double.
const SUM_ROWS: usize = 128;

/// How a tensor is cut into rows.
#[derive(Debug, Clone, Copy)]
struct Rows {
    /// Numbers in a row: the channels, or a multiple of them.
    width: usize,
    /// Vectors a row's group holds.
    vectors: usize,
    channels: usize,
}

impl Rows {
    fn new(set: InstructionSet, channels: usize, len: usize) -> Self {
        let group = 4 * lanes(set);
        if channels < group && group.is_multiple_of(channels) && len.is_multiple_of(group) {
            return Self { width: group, vectors: 4, channels };
        }
        let vectors = if channels.is_multiple_of(group) { 4 } else { 1 };
        Self { width: channels, vectors, channels }
    }

    /// Elements of a task: whole rows.
    fn task(&self) -> usize {
        (TASK_ELEMENTS / self.width).max(1) * self.width
    }

    /// Per-channel numbers, repeated to the width of a row.
    fn widened(&self, values: &[f32]) -> Vec<f32> {
        values.iter().copied().cycle().take(self.width).collect()
    }

    /// Sums of a row's columns, folded to channels.
    fn folded(&self, sums: &[f64]) -> Vec<f64> {
        let mut folded = vec![0.0; self.channels];
        for row in sums.chunks(self.channels) {
            for (total, sum) in folded.iter_mut().zip(row) {
                *total += sum;
            }
        }
        folded
    }
}

/// Adds the tasks' pairs of sums in their order.
fn total(rows: &Rows, tasks: Vec<(Vec<f64>, Vec<f64>)>) -> (Vec<f64>, Vec<f64>) {
    let (mut first, mut second) = (vec![0.0; rows.width], vec![0.0; rows.width]);
    for (task_first, task_second) in tasks {
        for column in 0..rows.width {
            first[column] += task_first[column];
            second[column] += task_second[column];
        }
    }
    (rows.folded(&first), rows.folded(&second))
}

/// Mean and biased variance of every channel, from sums of the distances to the first pixel: shifting by a value of the
/// tensor's own size keeps the difference of squares from cancelling.
pub(crate) fn moments<S: Stored>(set: InstructionSet, x: &[S], channels: usize) -> Moments {
    let rows = Rows::new(set, channels, x.len());
    let pivot: Vec<f32> = x[..channels].iter().map(|value| value.to_f32()).collect();
    let pivot = rows.widened(&pivot);
    let tasks = x
        .par_chunks(rows.task())
        .map(|x| {
            let (mut sums, mut squares) = (vec![0.0; rows.width], vec![0.0; rows.width]);
            // SAFETY: `x` is whole rows; pivot and sums have a row's width.
            unsafe { sum_squares(set, rows, x, &pivot, &mut sums, &mut squares) };
            (sums, squares)
        })
        .collect();
    let (sums, squares) = total(&rows, tasks);
    let count = (x.len() / channels) as f64;
    let mut moments = Moments { mean: Vec::with_capacity(channels), variance: Vec::with_capacity(channels) };
    for c in 0..channels {
        let shifted = sums[c] / count;
        moments.mean.push(f64::from(pivot[c]) + shifted);
        // Rounding may leave a constant channel slightly below zero; NaN stays NaN.
        let variance = squares[c] / count - shifted * shifted;
        moments.variance.push(if variance < 0.0 { 0.0 } else { variance });
    }
    moments
}

dispatch! {
    /// Per column, the sums of `x - pivot` and of its square.
    fn sum_squares<S>(rows: Rows, x: &[S], pivot: &[f32], sums: &mut [f64], squares: &mut [f64]) = sum_squares_body
}

#[inline(always)]
unsafe fn sum_squares_body<V: Vector, S: Stored>(
    rows: Rows,
    x: &[S],
    pivot: &[f32],
    sums: &mut [f64],
    squares: &mut [f64],
) {
    // SAFETY: the caller's contract.
    unsafe {
        if rows.vectors == 4 {
            sum_squares_group::<V, S, 4>(rows, x, pivot, sums, squares);
        } else {
            sum_squares_group::<V, S, 1>(rows, x, pivot, sums, squares);
        }
    }
}

#[inline(always)]
unsafe fn sum_squares_group<V: Vector, S: Stored, const J: usize>(
    rows: Rows,
    x: &[S],
    pivot: &[f32],
    sums: &mut [f64],
    squares: &mut [f64],
) {
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
                    add_lanes(sum[j], &mut sums[column + j * V::LANES..]);
                    add_lanes(square[j], &mut squares[column + j * V::LANES..]);
                }
            }
        }
    }
}

/// Adds every lane to its double.
#[inline(always)]
unsafe fn add_lanes<V: Vector>(vector: V, sums: &mut [f64]) {
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
    center: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    x: &'a [S],
    residual: Option<&'a [S]>,
    relu: bool,
    y: Shared<S>,
}

/// See [`crate::cpu::batch_norm::reference::apply`].
pub(crate) fn apply<S: Stored>(
    set: InstructionSet,
    x: &[S],
    affine: &Affine<f32>,
    residual: Option<&[S]>,
    relu: bool,
    y: &mut [MaybeUninit<S>],
) {
    assert!(y.len() == x.len() && residual.is_none_or(|residual| residual.len() == x.len()), "lengths");
    let rows = Rows::new(set, affine.scale.len(), x.len());
    let (center, scale) = (rows.widened(&affine.center), rows.widened(&affine.scale));
    let shift = rows.widened(&affine.shift);
    let task = rows.task();
    y.par_chunks_mut(task).enumerate().for_each(|(index, y)| {
        let range = index * task..index * task + y.len();
        let residual = residual.map(|residual| &residual[range.clone()]);
        let apply = Apply {
            rows,
            center: &center,
            scale: &scale,
            shift: &shift,
            x: &x[range],
            residual,
            relu,
            y: Shared::output(y),
        };
        // SAFETY: all slices of the task have one length, whole rows; the per-channel ones a row's width.
        unsafe { apply_task(set, &apply) };
    });
}

dispatch! {
    /// One task of `apply`.
    fn apply_task<S>(task: &Apply<'_, S>) = apply_body
}

#[inline(always)]
unsafe fn apply_body<V: Vector, S: Stored>(task: &Apply<'_, S>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.rows.vectors, task.residual.is_some(), task.relu) {
            (4, false, false) => apply_group::<V, S, 4, false, false>(task),
            (4, false, true) => apply_group::<V, S, 4, false, true>(task),
            (4, true, false) => apply_group::<V, S, 4, true, false>(task),
            (4, true, true) => apply_group::<V, S, 4, true, true>(task),
            (_, false, false) => apply_group::<V, S, 1, false, false>(task),
            (_, false, true) => apply_group::<V, S, 1, false, true>(task),
            (_, true, false) => apply_group::<V, S, 1, true, false>(task),
            (_, true, true) => apply_group::<V, S, 1, true, true>(task),
        }
    }
}

#[inline(always)]
unsafe fn apply_group<V: Vector, S: Stored, const J: usize, const RESIDUAL: bool, const RELU: bool>(
    task: &Apply<'_, S>,
) {
    let width = task.rows.width;
    let x = task.x.as_ptr();
    let residual = task.residual.map_or(x, <[S]>::as_ptr);
    for column in (0..width).step_by(J * V::LANES) {
        // SAFETY: rows and columns lie inside the task's slices.
        unsafe {
            let (mut center, mut scale, mut shift) = ([V::splat(0.0); J], [V::splat(0.0); J], [V::splat(0.0); J]);
            for j in 0..J {
                let at = column + j * V::LANES;
                center[j] = V::load(task.center.as_ptr().add(at));
                scale[j] = V::load(task.scale.as_ptr().add(at));
                shift[j] = V::load(task.shift.as_ptr().add(at));
            }
            for row in 0..task.x.len() / width {
                for j in 0..J {
                    let at = row * width + column + j * V::LANES;
                    let mut value = S::load::<V>(x.add(at)).sub(center[j]).fma(scale[j], shift[j]);
                    if RESIDUAL {
                        value = value.add(S::load::<V>(residual.add(at)));
                    }
                    if RELU {
                        value = value.max(V::splat(0.0));
                    }
                    S::store(value, task.y.at(at));
                }
            }
        }
    }
}

/// One task of [`gradient_sums`].
struct Sums<'a, S> {
    rows: Rows,
    center: &'a [f32],
    x: &'a [S],
    y: Option<&'a [S]>,
    dy: &'a [S],
}

/// See [`crate::cpu::batch_norm::reference::gradient_sums`].
pub(crate) fn gradient_sums<S: Stored>(
    set: InstructionSet,
    x: &[S],
    center: &[f32],
    y: Option<&[S]>,
    dy: &[S],
) -> (Vec<f64>, Vec<f64>) {
    assert!(x.len() == dy.len() && y.is_none_or(|y| y.len() == dy.len()), "lengths");
    let rows = Rows::new(set, center.len(), x.len());
    let center = rows.widened(center);
    let task = rows.task();
    let tasks = dy
        .par_chunks(task)
        .enumerate()
        .map(|(index, dy)| {
            let range = index * task..index * task + dy.len();
            let y = y.map(|y| &y[range.clone()]);
            let sums = Sums { rows, center: &center, x: &x[range], y, dy };
            let (mut plain, mut centred) = (vec![0.0; rows.width], vec![0.0; rows.width]);
            // SAFETY: all slices of the task have one length, whole rows; center and sums a row's width.
            unsafe { sums_task(set, &sums, &mut plain, &mut centred) };
            (plain, centred)
        })
        .collect();
    total(&rows, tasks)
}

dispatch! {
    /// One task of `gradient_sums`.
    fn sums_task<S>(task: &Sums<'_, S>, plain: &mut [f64], centred: &mut [f64]) = sums_body
}

#[inline(always)]
unsafe fn sums_body<V: Vector, S: Stored>(task: &Sums<'_, S>, plain: &mut [f64], centred: &mut [f64]) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.rows.vectors, task.y.is_some()) {
            (4, false) => sums_group::<V, S, 4, false>(task, plain, centred),
            (4, true) => sums_group::<V, S, 4, true>(task, plain, centred),
            (_, false) => sums_group::<V, S, 1, false>(task, plain, centred),
            (_, true) => sums_group::<V, S, 1, true>(task, plain, centred),
        }
    }
}

#[inline(always)]
unsafe fn sums_group<V: Vector, S: Stored, const J: usize, const CUT: bool>(
    task: &Sums<'_, S>,
    plain: &mut [f64],
    centred: &mut [f64],
) {
    let width = task.rows.width;
    let (x, dy) = (task.x.as_ptr(), task.dy.as_ptr());
    let y = task.y.map_or(x, <[S]>::as_ptr);
    let count = task.dy.len() / width;
    for column in (0..width).step_by(J * V::LANES) {
        for first in (0..count).step_by(SUM_ROWS) {
            let last = count.min(first + SUM_ROWS);
            // SAFETY: rows and columns lie inside the task's slices.
            unsafe {
                let (mut sum, mut product) = ([V::splat(0.0); J], [V::splat(0.0); J]);
                let mut center = [V::splat(0.0); J];
                for j in 0..J {
                    center[j] = V::load(task.center.as_ptr().add(column + j * V::LANES));
                }
                for row in first..last {
                    for j in 0..J {
                        let at = row * width + column + j * V::LANES;
                        let mut g = S::load::<V>(dy.add(at));
                        if CUT {
                            g = g.where_positive(S::load::<V>(y.add(at)));
                        }
                        sum[j] = sum[j].add(g);
                        product[j] = g.fma(S::load::<V>(x.add(at)).sub(center[j]), product[j]);
                    }
                }
                for j in 0..J {
                    add_lanes(sum[j], &mut plain[column + j * V::LANES..]);
                    add_lanes(product[j], &mut centred[column + j * V::LANES..]);
                }
            }
        }
    }
}

/// One task of [`backward`].
struct Backward<'a, S> {
    rows: Rows,
    terms: &'a GradientTerms<f32>,
    x: &'a [S],
    y: Option<&'a [S]>,
    dy: &'a [S],
    dx: Shared<S>,
    residual: Option<Shared<S>>,
}

/// See [`crate::cpu::batch_norm::reference::backward`].
pub(crate) fn backward<S: Stored>(
    set: InstructionSet,
    x: &[S],
    terms: &GradientTerms<f32>,
    y: Option<&[S]>,
    dy: &[S],
    dx: &mut [MaybeUninit<S>],
    residual: Option<&mut [MaybeUninit<S>]>,
) {
    let len = dy.len();
    assert!(x.len() == len && dx.len() == len && y.is_none_or(|y| y.len() == len), "lengths");
    assert!(residual.as_ref().is_none_or(|residual| residual.len() == len), "residual length");
    let rows = Rows::new(set, terms.scale.len(), len);
    let terms = GradientTerms {
        center: rows.widened(&terms.center),
        scale: rows.widened(&terms.scale),
        slope: rows.widened(&terms.slope),
        offset: rows.widened(&terms.offset),
    };
    let residual = residual.map(Shared::output);
    let task = rows.task();
    dx.par_chunks_mut(task).enumerate().for_each(|(index, dx)| {
        let range = index * task..index * task + dx.len();
        let residual = residual.map(|residual| {
            // SAFETY: the residual's gradient has the length of `dx`, asserted above.
            unsafe { residual.from(range.start) }
        });
        let y = y.map(|y| &y[range.clone()]);
        let dx = Shared::output(dx);
        let backward = Backward { rows, terms: &terms, x: &x[range.clone()], y, dy: &dy[range], dx, residual };
        // SAFETY: all slices of the task have one length, whole rows; the per-channel ones a row's width.
        unsafe { backward_task(set, &backward) };
    });
}

dispatch! {
    /// One task of `backward`.
    fn backward_task<S>(task: &Backward<'_, S>) = backward_body
}

#[inline(always)]
unsafe fn backward_body<V: Vector, S: Stored>(task: &Backward<'_, S>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.rows.vectors, task.y.is_some(), task.residual.is_some()) {
            (4, false, false) => backward_group::<V, S, 4, false, false>(task),
            (4, false, true) => backward_group::<V, S, 4, false, true>(task),
            (4, true, false) => backward_group::<V, S, 4, true, false>(task),
            (4, true, true) => backward_group::<V, S, 4, true, true>(task),
            (_, false, false) => backward_group::<V, S, 1, false, false>(task),
            (_, false, true) => backward_group::<V, S, 1, false, true>(task),
            (_, true, false) => backward_group::<V, S, 1, true, false>(task),
            (_, true, true) => backward_group::<V, S, 1, true, true>(task),
        }
    }
}

#[inline(always)]
unsafe fn backward_group<V: Vector, S: Stored, const J: usize, const CUT: bool, const RESIDUAL: bool>(
    task: &Backward<'_, S>,
) {
    let width = task.rows.width;
    let (x, dy) = (task.x.as_ptr(), task.dy.as_ptr());
    let y = task.y.map_or(x, <[S]>::as_ptr);
    let residual = task.residual.unwrap_or(task.dx);
    for column in (0..width).step_by(J * V::LANES) {
        // SAFETY: rows and columns lie inside the task's slices.
        unsafe {
            let (mut center, mut scale) = ([V::splat(0.0); J], [V::splat(0.0); J]);
            let (mut slope, mut offset) = ([V::splat(0.0); J], [V::splat(0.0); J]);
            for j in 0..J {
                let at = column + j * V::LANES;
                center[j] = V::load(task.terms.center.as_ptr().add(at));
                scale[j] = V::load(task.terms.scale.as_ptr().add(at));
                slope[j] = V::load(task.terms.slope.as_ptr().add(at));
                offset[j] = V::load(task.terms.offset.as_ptr().add(at));
            }
            for row in 0..task.dy.len() / width {
                for j in 0..J {
                    let at = row * width + column + j * V::LANES;
                    let mut g = S::load::<V>(dy.add(at));
                    if CUT {
                        g = g.where_positive(S::load::<V>(y.add(at)));
                    }
                    if RESIDUAL {
                        S::store(g, residual.at(at));
                    }
                    let centred = S::load::<V>(x.add(at)).sub(center[j]);
                    S::store(g.fma(scale[j], centred.fma(slope[j], offset[j])), task.dx.at(at));
                }
            }
        }
    }
}
