//! Cross-entropy on vectors, row by row: first the largest logit, then all sums in a second pass over the cached row. For few
//! classes, `narrow` processes several rows at a time.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::cross_entropy::narrow::{self, MOST_CLASSES};
use crate::cpu::cross_entropy::{Row, Target, Targets, Task, task_rows};
use crate::cpu::simd::functions::exp;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};

/// Elements summed in f32 lanes before they are added to a double; a multiple of four vectors.
const SUM_ELEMENTS: usize = 4096;

/// See [`crate::cpu::cross_entropy::reference::forward`].
pub(crate) fn forward<S: Stored>(
    set: InstructionSet,
    logits: &[S],
    targets: Targets<'_, f32>,
    classes: usize,
    smoothing: f64,
    rows: &mut [Row],
) {
    assert!(logits.len() == rows.len() * classes && targets.fit(rows.len(), classes), "lengths and classes");
    let task = task_rows(classes);
    let inputs = logits.par_chunks(task * classes);
    rows.par_chunks_mut(task).zip(inputs).enumerate().for_each(|(index, (rows, logits))| {
        let task = Task { logits, targets, first: index * task, classes, smoothing };
        // SAFETY: the logits are as many whole rows of `classes` as `rows`, and the targets fit.
        unsafe {
            match classes <= MOST_CLASSES {
                true => narrow::forward(set, &task, rows),
                false => forward_task(set, &task, rows),
            }
        }
    });
}

/// See [`crate::cpu::cross_entropy::reference::backward`].
#[allow(clippy::too_many_arguments, reason = "the batch, its targets and what forward found out")]
pub(crate) fn backward<S: Stored>(
    set: InstructionSet,
    logits: &[S],
    targets: Targets<'_, f32>,
    classes: usize,
    smoothing: f64,
    upstream: f64,
    rows: &[Row],
    d_logits: &mut [MaybeUninit<S>],
) {
    assert!(logits.len() == rows.len() * classes && d_logits.len() == logits.len(), "lengths");
    assert!(targets.fit(rows.len(), classes), "targets and classes");
    let task = task_rows(classes);
    let inputs = logits.par_chunks(task * classes).zip(rows.par_chunks(task));
    d_logits.par_chunks_mut(task * classes).zip(inputs).enumerate().for_each(|(index, (d_logits, (logits, rows)))| {
        let task = Task { logits, targets, first: index * task, classes, smoothing };
        let out = Shared::output(d_logits);
        // SAFETY: logits and gradient are as many whole rows of `classes` as `rows`, and the targets fit.
        unsafe {
            match classes <= MOST_CLASSES {
                true => narrow::backward(set, &task, upstream, rows, out),
                false => backward_task(set, &task, upstream, rows, out),
            }
        }
    });
}

dispatch! {
    /// One task of `forward`.
    fn forward_task<S>(task: &Task<'_, S>, rows: &mut [Row]) = forward_body
}

#[inline(always)]
unsafe fn forward_body<V: Vector, S: Stored>(task: &Task<'_, S>, rows: &mut [Row]) {
    let classes = task.classes;
    for row in 0..rows.len() {
        // SAFETY: row `row` lies within the logits; a class is below `classes`, weights are a row of as many.
        unsafe {
            let logits = task.logits.as_ptr().add(row * classes);
            let largest = largest::<V, S>(logits, classes);
            let (sum, mean) = match task.smoothing > 0.0 {
                true => {
                    let (sum, distances) = sums::<V, S, true>(logits, classes, largest);
                    (sum, distances / classes as f64)
                }
                false => (sums::<V, S, false>(logits, classes, largest).0, 0.0),
            };
            let (weight, of_targets) = match task.targets.row(task.first + row, classes) {
                Target::Class(class) => (1.0, f64::from((*logits.add(class)).to_f32() - largest)),
                Target::Weights(weights) => weighed::<V, S>(logits, weights, largest),
            };
            rows[row] = Row::new(f64::from(largest), sum, weight, of_targets, mean, task.smoothing);
        }
    }
}

/// The largest value of a row; unspecified if one is NaN, since the sums are then NaN.
#[inline(always)]
unsafe fn largest<V: Vector, S: Stored>(row: *const S, len: usize) -> f32 {
    // SAFETY: reads below `len`.
    unsafe {
        let mut lanes = [V::splat(f32::NEG_INFINITY); 4];
        let mut at = 0;
        while at + 4 * V::LANES <= len {
            for j in 0..4 {
                lanes[j] = lanes[j].max(S::load(row.add(at + j * V::LANES)));
            }
            at += 4 * V::LANES;
        }
        while at < len {
            let count = V::LANES.min(len - at);
            lanes[0] = lanes[0].max(S::load_first(row.add(at), count, f32::NEG_INFINITY));
            at += count;
        }
        lanes[0].max(lanes[1]).max(lanes[2].max(lanes[3])).largest()
    }
}

/// The sum of exponentials of the differences from the largest logit and, if `PLAIN`, the sum of the differences.
#[inline(always)]
unsafe fn sums<V: Vector, S: Stored, const PLAIN: bool>(row: *const S, len: usize, largest: f32) -> (f64, f64) {
    let (mut exponentials, mut distances) = (0.0, 0.0);
    // SAFETY: reads below `len`.
    unsafe {
        let center = V::splat(largest);
        for first in (0..len).step_by(SUM_ELEMENTS) {
            let last = len.min(first + SUM_ELEMENTS);
            let (mut sums, mut plain) = ([V::splat(0.0); 4], [V::splat(0.0); 4]);
            let mut at = first;
            while at + 4 * V::LANES <= last {
                for j in 0..4 {
                    let distance = S::load::<V>(row.add(at + j * V::LANES)).sub(center);
                    sums[j] = sums[j].add(exp(distance));
                    if PLAIN {
                        plain[j] = plain[j].add(distance);
                    }
                }
                at += 4 * V::LANES;
            }
            while at < last {
                let count = V::LANES.min(last - at);
                // Lanes past the row's end add nothing: exp(-infinity), and a difference of 0.
                let distance = S::load_first::<V>(row.add(at), count, f32::NEG_INFINITY).sub(center);
                sums[0] = sums[0].add(exp(distance));
                if PLAIN {
                    plain[0] = plain[0].add(S::load_first::<V>(row.add(at), count, largest).sub(center));
                }
                at += count;
            }
            exponentials += f64::from(sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum());
            distances += f64::from(plain[0].add(plain[1]).add(plain[2].add(plain[3])).sum());
        }
    }
    (exponentials, distances)
}

/// The sum of the targets, and the sum of targets times differences from the largest logit.
#[inline(always)]
unsafe fn weighed<V: Vector, S: Stored>(row: *const S, weights: &[f32], largest: f32) -> (f64, f64) {
    let (mut weight, mut of_targets) = (0.0, 0.0);
    // SAFETY: the row is as long as the weights, and reads are below that.
    unsafe {
        let (center, zero) = (V::splat(largest), V::splat(0.0));
        for first in (0..weights.len()).step_by(SUM_ELEMENTS) {
            let last = weights.len().min(first + SUM_ELEMENTS);
            let (mut sum, mut products) = (zero, zero);
            let mut at = first;
            while at < last {
                let count = V::LANES.min(last - at);
                let target = V::load_first(weights.as_ptr().add(at), count, 0.0);
                let distance = S::load_first::<V>(row.add(at), count, largest).sub(center);
                // A class without weight adds nothing, even where its logit is minus infinity.
                let product = V::select(target.abs().at_most(zero), zero, target.mul(distance));
                sum = sum.add(target);
                products = products.add(product);
                at += count;
            }
            weight += f64::from(sum.sum());
            of_targets += f64::from(products.sum());
        }
    }
    (weight, of_targets)
}

dispatch! {
    /// One task of `backward`.
    fn backward_task<S>(task: &Task<'_, S>, upstream: f64, rows: &[Row], d_logits: Shared<S>) = backward_body
}

#[inline(always)]
unsafe fn backward_body<V: Vector, S: Stored>(task: &Task<'_, S>, upstream: f64, rows: &[Row], d_logits: Shared<S>) {
    let classes = task.classes;
    for (row, known) in rows.iter().enumerate() {
        let shares = known.shares(upstream, task.smoothing, classes);
        // SAFETY: row `row` lies within logits and gradient; a class is below `classes`, weights are a row of as many.
        unsafe {
            let (logits, out) = (task.logits.as_ptr().add(row * classes), d_logits.at(row * classes));
            let (center, scale) = (V::splat(known.largest as f32), V::splat(shares.exponential as f32));
            let (share, one) = (V::splat(-shares.target as f32), V::splat(-shares.one as f32));
            let target = task.targets.row(task.first + row, classes);
            let whole = classes - classes % V::LANES;
            let rest = classes - whole;
            match target {
                Target::Class(class) => {
                    for at in (0..whole).step_by(V::LANES) {
                        let exponential = exp(S::load::<V>(logits.add(at)).sub(center));
                        S::store(exponential.fma(scale, one), out.add(at));
                    }
                    if rest > 0 {
                        let last = S::load_first::<V>(logits.add(whole), rest, f32::NEG_INFINITY);
                        S::store_first(exp(last.sub(center)).fma(scale, one), out.add(whole), rest);
                    }
                    let exponential = (f64::from((*logits.add(class)).to_f32()) - known.largest).exp();
                    let gradient = shares.exponential * exponential - shares.target - shares.one;
                    *out.add(class) = S::of_f32(gradient as f32);
                }
                Target::Weights(weights) => {
                    let weights = weights.as_ptr();
                    for at in (0..whole).step_by(V::LANES) {
                        let exponential = exp(S::load::<V>(logits.add(at)).sub(center));
                        let plain = V::load(weights.add(at)).fma(share, one);
                        S::store(exponential.fma(scale, plain), out.add(at));
                    }
                    if rest > 0 {
                        let last = S::load_first::<V>(logits.add(whole), rest, f32::NEG_INFINITY);
                        let plain = V::load_first(weights.add(whole), rest, 0.0).fma(share, one);
                        S::store_first(exp(last.sub(center)).fma(scale, plain), out.add(whole), rest);
                    }
                }
            }
        }
    }
}
