//! Cross-entropy over few classes: one row per lane, so that no sum runs across a register.

use crate::InstructionSet;
use crate::cpu::cross_entropy::{Row, Target, Task};
use crate::cpu::simd::functions::exp;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};

/// Maximum number of classes for one row per lane.
pub(super) const MOST_CLASSES: usize = 32;

/// The values of a block of rows, grouped by class.
type Block = [[f32; 16]; MOST_CLASSES];

/// # Safety
///
/// The task has as many whole rows as `rows`, and at most [`MOST_CLASSES`].
pub(super) unsafe fn forward<S: Stored>(set: InstructionSet, task: &Task<'_, S>, rows: &mut [Row]) {
    // SAFETY: the caller's contract.
    unsafe { forward_rows(set, task, rows) }
}

/// # Safety
///
/// As above, and `d_logits` has as many elements as the task's logits.
pub(super) unsafe fn backward<S: Stored>(
    set: InstructionSet,
    task: &Task<'_, S>,
    upstream: f64,
    rows: &[Row],
    d_logits: Shared<S>,
) {
    // SAFETY: the caller's contract.
    unsafe { backward_rows(set, task, upstream, rows, d_logits) }
}

/// Transposes rows from `first` on into lanes. Lanes without a row are not changed.
#[inline(always)]
fn turned<S: Stored>(task: &Task<'_, S>, first: usize, count: usize, block: &mut Block) {
    let logits = &task.logits[first * task.classes..(first + count) * task.classes];
    for (row, logits) in logits.chunks_exact(task.classes).enumerate() {
        for (lanes, logit) in block.iter_mut().zip(logits) {
            lanes[row] = logit.to_f32();
        }
    }
}

dispatch! {
    /// All rows of a task.
    fn forward_rows<S>(task: &Task<'_, S>, rows: &mut [Row]) = forward_body
}

#[inline(always)]
unsafe fn forward_body<V: Vector, S: Stored>(task: &Task<'_, S>, rows: &mut [Row]) {
    let classes = task.classes;
    let mut block: Block = [[0.0; 16]; MOST_CLASSES];
    for first in (0..rows.len()).step_by(V::LANES) {
        let count = V::LANES.min(rows.len() - first);
        turned(task, first, count, &mut block);
        let [mut largest, mut sums, mut means] = [[0f32; 16]; 3];
        // SAFETY: a block's lanes are sixteen numbers, and no vector has more.
        unsafe {
            let mut most = V::splat(f32::NEG_INFINITY);
            for class in 0..classes {
                most = most.max(V::load(block[class].as_ptr()));
            }
            let (mut sum, mut plain) = (V::splat(0.0), V::splat(0.0));
            for class in 0..classes {
                let distance = V::load(block[class].as_ptr()).sub(most);
                sum = sum.add(exp(distance));
                plain = plain.add(distance);
            }
            most.store(largest.as_mut_ptr());
            sum.store(sums.as_mut_ptr());
            plain.mul(V::splat(1.0 / classes as f32)).store(means.as_mut_ptr());
        }
        for lane in 0..count {
            let distance = |class: usize| f64::from(block[class][lane] - largest[lane]);
            let (weight, of_targets) = match task.targets.row(task.first + first + lane, classes) {
                Target::Class(class) => (1.0, distance(class)),
                Target::Weights(weights) => {
                    let (mut weight, mut of_targets) = (0.0, 0.0);
                    for (class, &target) in weights.iter().enumerate() {
                        weight += f64::from(target);
                        // A class without weight adds nothing, even where its logit is minus infinity.
                        of_targets += if target == 0.0 { 0.0 } else { f64::from(target) * distance(class) };
                    }
                    (weight, of_targets)
                }
            };
            let (largest, sum, mean) = (f64::from(largest[lane]), f64::from(sums[lane]), f64::from(means[lane]));
            rows[first + lane] = Row::new(largest, sum, weight, of_targets, mean, task.smoothing);
        }
    }
}

dispatch! {
    /// All rows of a task.
    fn backward_rows<S>(task: &Task<'_, S>, upstream: f64, rows: &[Row], d_logits: Shared<S>) = backward_body
}

#[inline(always)]
unsafe fn backward_body<V: Vector, S: Stored>(task: &Task<'_, S>, upstream: f64, rows: &[Row], d_logits: Shared<S>) {
    let classes = task.classes;
    let mut block: Block = [[0.0; 16]; MOST_CLASSES];
    for first in (0..rows.len()).step_by(V::LANES) {
        let count = V::LANES.min(rows.len() - first);
        turned(task, first, count, &mut block);
        let [mut largest, mut scales, mut ones, mut shares] = [[0f32; 16]; 4];
        for lane in 0..count {
            let known = &rows[first + lane];
            let of_row = known.shares(upstream, task.smoothing, classes);
            largest[lane] = known.largest as f32;
            scales[lane] = of_row.exponential as f32;
            ones[lane] = -of_row.one as f32;
            shares[lane] = of_row.target as f32;
        }
        // SAFETY: a block's lanes are sixteen numbers, and no vector has more.
        unsafe {
            let (center, scale) = (V::load(largest.as_ptr()), V::load(scales.as_ptr()));
            let one = V::load(ones.as_ptr());
            for class in 0..classes {
                let exponential = exp(V::load(block[class].as_ptr()).sub(center));
                exponential.fma(scale, one).store(block[class].as_mut_ptr());
            }
        }
        for lane in 0..count {
            match task.targets.row(task.first + first + lane, classes) {
                Target::Class(class) => block[class][lane] -= shares[lane],
                Target::Weights(weights) => {
                    for (lanes, target) in block.iter_mut().zip(weights) {
                        lanes[lane] -= shares[lane] * target;
                    }
                }
            }
            for class in 0..classes {
                // SAFETY: row `first + lane` lies within the gradient.
                unsafe { *d_logits.at((first + lane) * classes + class) = S::of_f32(block[class][lane]) };
            }
        }
    }
}
