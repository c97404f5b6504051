//! The two backward passes on vectors: gradient sums, and the gradient of the input.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::activation::vectors::with_curve;
use crate::cpu::batch_norm::forward::{SUM_ROWS, add_lanes};
use crate::cpu::batch_norm::mask::{Pass, WideMask, masked, with_pass};
use crate::cpu::batch_norm::rows::{Rows, Sums};
use crate::cpu::batch_norm::{GradientTerms, Mask};
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};

/// One task of [`gradient_sums`].
struct SumsTask<'a, S> {
    rows: Rows,
    mask: &'a WideMask<'a>,
    /// The first element, in the whole tensor.
    first: usize,
    x: &'a [S],
    dy: &'a [S],
}

/// See [`crate::cpu::batch_norm::reference::gradient_sums`].
pub(crate) fn gradient_sums<S: Stored>(
    set: InstructionSet,
    x: &[S],
    center: &[f32],
    mask: Mask<'_, f32>,
    dy: &[S],
) -> Sums {
    assert!(x.len() == dy.len(), "lengths");
    let channels = center.len();
    let rows = Rows::new(set, channels, x.len());
    let wide = WideMask::new(&rows, center, mask, dy.len());
    let task = rows.task();
    let tasks = dy[..rows.len].par_chunks(task).enumerate().map(|(index, dy)| {
        let first = index * task;
        let sums_task = SumsTask { rows, mask: &wide, first, x: &x[first..first + dy.len()], dy };
        let mut sums = Sums::zeros(rows.width);
        // SAFETY: all slices of the task have one length, whole rows; the mask's numbers and the sums a row's width.
        unsafe { sums_of_task(set, &sums_task, &mut sums) };
        sums
    });
    let mut total = rows.total(tasks.collect());
    for at in rows.len..dy.len() {
        let c = at % channels;
        let centred = x[at].to_f32() - center[c];
        let g = masked(mask, at, c, centred, dy[at].to_f32());
        total.first[c] += f64::from(g);
        total.second[c] += f64::from(g) * f64::from(centred);
    }
    total
}

dispatch! {
    /// One task of `gradient_sums`.
    fn sums_of_task<S>(task: &SumsTask<'_, S>, sums: &mut Sums) = sums_body
}

#[inline(always)]
unsafe fn sums_body<V: Vector, S: Stored>(task: &SumsTask<'_, S>, sums: &mut Sums) {
    // SAFETY: the caller's contract.
    unsafe {
        if task.rows.vectors == 4 {
            with_pass!(task.mask.kind, P => sums_group::<V, S, P, 4>(task, sums));
        } else {
            with_pass!(task.mask.kind, P => sums_group::<V, S, P, 1>(task, sums));
        }
    }
}

#[inline(always)]
unsafe fn sums_group<V: Vector, S: Stored, P: Pass, const J: usize>(task: &SumsTask<'_, S>, sums: &mut Sums) {
    let width = task.rows.width;
    let (x, dy) = (task.x.as_ptr(), task.dy.as_ptr());
    let bits = task.mask.bits.as_ptr().wrapping_add(task.first / 8);
    let count = task.dy.len() / width;
    for column in (0..width).step_by(J * V::LANES) {
        for first in (0..count).step_by(SUM_ROWS) {
            let last = count.min(first + SUM_ROWS);
            // SAFETY: rows and columns lie inside the task's slices, their bits inside the mask.
            unsafe {
                let (mut sum, mut product) = ([V::splat(0.0); J], [V::splat(0.0); J]);
                let mut center = [V::splat(0.0); J];
                let (mut scale, mut shift) = ([V::splat(0.0); J], [V::splat(0.0); J]);
                for j in 0..J {
                    center[j] = V::load(task.mask.affine.center.as_ptr().add(column + j * V::LANES));
                    if P::AFFINE {
                        scale[j] = V::load(task.mask.scale(column + j * V::LANES));
                        shift[j] = V::load(task.mask.shift(column + j * V::LANES));
                    }
                }
                for row in first..last {
                    for j in 0..J {
                        let at = row * width + column + j * V::LANES;
                        let centred = S::load::<V>(x.add(at)).sub(center[j]);
                        let g = S::load::<V>(dy.add(at));
                        let g = P::pass::<V>(g, centred, scale[j], shift[j], bits.wrapping_add(at / 8));
                        sum[j] = sum[j].add(g);
                        product[j] = g.fma(centred, product[j]);
                    }
                }
                for j in 0..J {
                    add_lanes(sum[j], &mut sums.first[column + j * V::LANES..]);
                    add_lanes(product[j], &mut sums.second[column + j * V::LANES..]);
                }
            }
        }
    }
}

/// One task of [`backward`].
struct Backward<'a, S> {
    rows: Rows,
    terms: &'a GradientTerms<f32>,
    mask: &'a WideMask<'a>,
    first: usize,
    x: &'a [S],
    dy: &'a [S],
    dx: Shared<S>,
    residual: Option<Shared<S>>,
}

/// See [`crate::cpu::batch_norm::reference::backward`].
pub(crate) fn backward<S: Stored>(
    set: InstructionSet,
    x: &[S],
    terms: &GradientTerms<f32>,
    mask: Mask<'_, f32>,
    dy: &[S],
    dx: &mut [MaybeUninit<S>],
    residual: Option<&mut [MaybeUninit<S>]>,
) {
    let len = dy.len();
    assert!(x.len() == len && dx.len() == len, "lengths");
    assert!(residual.as_ref().is_none_or(|residual| residual.len() == len), "residual length");
    let channels = terms.scale.len();
    let rows = Rows::new(set, channels, len);
    let wide = WideMask::new(&rows, &terms.center, mask, len);
    let wide_terms = GradientTerms {
        center: Vec::new(), // the mask has it
        scale: rows.widened(&terms.scale),
        slope: rows.widened(&terms.slope),
        offset: rows.widened(&terms.offset),
    };
    let residual = residual.map(Shared::output);
    let task = rows.task();
    let (body, tail) = dx.split_at_mut(rows.len);
    body.par_chunks_mut(task).enumerate().for_each(|(index, dx)| {
        let range = index * task..index * task + dx.len();
        let residual = residual.map(|residual| {
            // SAFETY: the residual's gradient has the length of `dx`, asserted above.
            unsafe { residual.from(range.start) }
        });
        let (first, dx) = (range.start, Shared::output(dx));
        let (x, dy) = (&x[range.clone()], &dy[range]);
        let backward = Backward { rows, terms: &wide_terms, mask: &wide, first, x, dy, dx, residual };
        // SAFETY: all slices of the task have one length, whole rows; the per-channel ones a row's width.
        unsafe { backward_task(set, &backward) };
    });
    for (at, out) in tail.iter_mut().enumerate() {
        let (c, at) = (at % channels, rows.len + at);
        let centred = x[at].to_f32() - terms.center[c];
        let g = masked(mask, at, c, centred, dy[at].to_f32());
        if let Some(residual) = residual {
            // SAFETY: in bounds, and beyond every task's part.
            unsafe { residual.at(at).write(S::of_f32(g)) };
        }
        let offset = centred.mul_add(terms.slope[c], terms.offset[c]);
        out.write(S::of_f32(g.mul_add(terms.scale[c], offset)));
    }
}

dispatch! {
    /// One task of `backward`.
    fn backward_task<S>(task: &Backward<'_, S>) = backward_body
}

#[inline(always)]
unsafe fn backward_body<V: Vector, S: Stored>(task: &Backward<'_, S>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.rows.vectors, task.residual.is_some()) {
            (4, false) => with_pass!(task.mask.kind, P => backward_group::<V, S, P, 4, false>(task)),
            (4, true) => with_pass!(task.mask.kind, P => backward_group::<V, S, P, 4, true>(task)),
            (_, false) => with_pass!(task.mask.kind, P => backward_group::<V, S, P, 1, false>(task)),
            (_, true) => with_pass!(task.mask.kind, P => backward_group::<V, S, P, 1, true>(task)),
        }
    }
}

#[inline(always)]
unsafe fn backward_group<V: Vector, S: Stored, P: Pass, const J: usize, const RESIDUAL: bool>(task: &Backward<'_, S>) {
    let width = task.rows.width;
    let (x, dy) = (task.x.as_ptr(), task.dy.as_ptr());
    let bits = task.mask.bits.as_ptr().wrapping_add(task.first / 8);
    let residual = task.residual.unwrap_or(task.dx);
    for column in (0..width).step_by(J * V::LANES) {
        // SAFETY: rows and columns lie inside the task's slices, their bits inside the mask.
        unsafe {
            let (mut center, mut scale) = ([V::splat(0.0); J], [V::splat(0.0); J]);
            let (mut slope, mut offset) = ([V::splat(0.0); J], [V::splat(0.0); J]);
            let (mut mask_scale, mut mask_shift) = ([V::splat(0.0); J], [V::splat(0.0); J]);
            for j in 0..J {
                let at = column + j * V::LANES;
                center[j] = V::load(task.mask.affine.center.as_ptr().add(at));
                scale[j] = V::load(task.terms.scale.as_ptr().add(at));
                slope[j] = V::load(task.terms.slope.as_ptr().add(at));
                offset[j] = V::load(task.terms.offset.as_ptr().add(at));
                if P::AFFINE {
                    mask_scale[j] = V::load(task.mask.scale(at));
                    mask_shift[j] = V::load(task.mask.shift(at));
                }
            }
            for row in 0..task.dy.len() / width {
                for j in 0..J {
                    let at = row * width + column + j * V::LANES;
                    let centred = S::load::<V>(x.add(at)).sub(center[j]);
                    let g = S::load::<V>(dy.add(at));
                    let g = P::pass::<V>(g, centred, mask_scale[j], mask_shift[j], bits.wrapping_add(at / 8));
                    if RESIDUAL {
                        S::store(g, residual.at(at));
                    }
                    S::store(g.fma(scale[j], centred.fma(slope[j], offset[j])), task.dx.at(at));
                }
            }
        }
    }
}
