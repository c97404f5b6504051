//! The product of each element with a mask that repeats.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::element::Element;

/// Elements per task.
const TASK: usize = 1 << 15;

/// `y = x * mask`; the mask is as long as `x`, or as a part of it that repeats.
pub(crate) fn masked<T: Element>(x: &[T], mask: &[T], y: &mut [MaybeUninit<T>]) {
    assert!(x.len() == y.len() && (x.is_empty() || !mask.is_empty()), "lengths");
    y.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).enumerate().for_each(|(task, (y, x))| {
        for (part, mask) in parts(mask, task * TASK, x.len()) {
            for (y, (x, mask)) in y[part.clone()].iter_mut().zip(x[part].iter().zip(mask)) {
                y.write(*x * *mask);
            }
        }
    });
}

/// The same into `x`.
pub(crate) fn mask_in_place<T: Element>(x: &mut [T], mask: &[T]) {
    assert!(x.is_empty() || !mask.is_empty(), "lengths");
    x.par_chunks_mut(TASK).enumerate().for_each(|(task, x)| {
        for (part, mask) in parts(mask, task * TASK, x.len()) {
            x[part].iter_mut().zip(mask).for_each(|(x, mask)| *x *= *mask);
        }
    });
}

/// The parts of `len` elements, the first of which is number `first` of all, in each of which the mask does not start again; and the
/// mask from there on.
fn parts<T>(mask: &[T], first: usize, len: usize) -> impl Iterator<Item = (Range<usize>, &[T])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mask = (at < len).then(|| &mask[(first + at) % mask.len()..])?;
        let part = at..len.min(at + mask.len());
        at = part.end;
        Some((part, mask))
    })
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
