//! The product of each element with a mask that repeats.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::element::Element;

/// Elements per task.
const TASK: usize = 1 << 15;

/// `y = x * mask`; the mask is as long as `x`, or as a part of it that repeats.
pub(crate) fn masked<T: Element>(x: &[T], mask: &[T], y: &mut [MaybeUninit<T>]) {
    assert!(x.len() == y.len() && (x.is_empty() || !mask.is_empty()), "lengths");
    y.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).enumerate().for_each(|(task, (y, x))| {
        let mut at = 0;
        while at < x.len() {
            let mask = &mask[(task * TASK + at) % mask.len()..];
            let end = x.len().min(at + mask.len());
            for (y, (x, mask)) in y[at..end].iter_mut().zip(x[at..end].iter().zip(mask)) {
                y.write(*x * *mask);
            }
            at = end;
        }
    });
}

/// The same into `x`.
pub(crate) fn mask_in_place<T: Element>(x: &mut [T], mask: &[T]) {
    assert!(x.is_empty() || !mask.is_empty(), "lengths");
    x.par_chunks_mut(TASK).enumerate().for_each(|(task, x)| {
        let mut at = 0;
        while at < x.len() {
            let mask = &mask[(task * TASK + at) % mask.len()..];
            let end = x.len().min(at + mask.len());
            for (x, mask) in x[at..end].iter_mut().zip(mask) {
                *x *= *mask;
            }
            at = end;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_repeat_across_tasks() {
        for (len, of_mask) in [(6, 6), (6, 2), (3 * TASK + 30, 3), (2 * TASK + 10, TASK + 5), (0, 0), (0, 4)] {
            let x: Vec<f64> = (0..len).map(|at| at as f64).collect();
            let mask: Vec<f64> = (0..of_mask).map(|at| at as f64 + 0.5).collect();
            let mut y = vec![f64::NAN; len];
            masked(&x, &mask, crate::cpu::memory::as_output(&mut y));
            assert!(y.iter().enumerate().all(|(at, y)| *y == x[at] * mask[at % of_mask]), "{len} by {of_mask}");
            let mut x = x;
            mask_in_place(&mut x, &mask);
            assert_eq!(x, y, "{len} by {of_mask}, in place");
        }
    }
}
