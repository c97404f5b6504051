//! Layer norm and RMS norm on vectors, row by row: the second pass over a row reads it from the cache.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::row_norm::{Layer, ParameterGradients, RowMoments, part_rows, task_rows, total};
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};

/// Elements of a row summed in f32 lanes before they are added to a double; a multiple of four vectors.
const SUM_ELEMENTS: usize = 4096;
/// Rows whose parameter gradients are summed in f32 before they are added to doubles.
const SUM_ROWS: usize = 128;

/// See [`crate::cpu::row_norm::reference::forward`].
pub(crate) fn forward<S: Stored>(
    set: InstructionSet,
    layer: &Layer<'_, f32>,
    x: &[S],
    moments: &mut [RowMoments<f32>],
    y: &mut [MaybeUninit<S>],
) {
    let width = layer.weight.len();
    assert!(x.len() == moments.len() * width && y.len() == x.len() && layer.bias.len() == width, "lengths");
    let task = task_rows(width);
    let rows = x.par_chunks(task * width).zip(moments.par_chunks_mut(task));
    y.par_chunks_mut(task * width).zip(rows).for_each(|(y, (x, moments))| {
        // SAFETY: `x` and `y` are as many whole rows as `moments`; weight and bias are one row.
        unsafe { forward_task(set, layer, x, moments, Shared::output(y)) };
    });
}

/// See [`crate::cpu::row_norm::reference::backward`].
pub(crate) fn backward<S: Stored>(
    set: InstructionSet,
    layer: &Layer<'_, f32>,
    x: &[S],
    moments: &[RowMoments<f32>],
    dy: &[S],
    trained: bool,
    dx: &mut [MaybeUninit<S>],
) -> ParameterGradients {
    let width = layer.weight.len();
    let columns = if trained { width } else { 0 };
    assert!(x.len() == moments.len() * width && dy.len() == x.len() && dx.len() == x.len(), "lengths");
    let part = part_rows(moments.len(), width);
    let rows = x.par_chunks(part * width).zip(dy.par_chunks(part * width)).zip(moments.par_chunks(part));
    let parts = dx.par_chunks_mut(part * width).zip(rows).map(|(dx, ((x, dy), moments))| {
        let mut sums = ParameterGradients::zeros(columns);
        let (mut weight, mut bias) = (vec![0.0; columns], vec![0.0; columns]);
        let rows = x.chunks(SUM_ROWS * width).zip(dy.chunks(SUM_ROWS * width)).zip(moments.chunks(SUM_ROWS));
        for (dx, ((x, dy), moments)) in dx.chunks_mut(SUM_ROWS * width).zip(rows) {
            weight.fill(0.0);
            bias.fill(0.0);
            let task = Backward { layer, x, moments, dy, dx: Shared::output(dx) };
            // SAFETY: `x`, `dy` and `dx` are as many whole rows as `moments`; weight and sums are one row each, or the sums empty.
            unsafe { backward_task(set, &task, &mut weight, &mut bias) };
            for column in 0..columns {
                sums.weight[column] += f64::from(weight[column]);
                sums.bias[column] += f64::from(bias[column]);
            }
        }
        sums
    });
    total(columns, parts.collect())
}

dispatch! {
    /// One task of `forward`.
    fn forward_task<S>(layer: &Layer<'_, f32>, x: &[S], moments: &mut [RowMoments<f32>], y: Shared<S>) = forward_body
}

#[inline(always)]
unsafe fn forward_body<V: Vector, S: Stored>(
    layer: &Layer<'_, f32>,
    x: &[S],
    moments: &mut [RowMoments<f32>],
    y: Shared<S>,
) {
    let width = layer.weight.len();
    let whole = width - width % V::LANES;
    let rest = width - whole;
    let (weight, bias) = (layer.weight.as_ptr(), layer.bias.as_ptr());
    for row in 0..moments.len() {
        // SAFETY: row `row` lies within `x` and `y`; reads and writes are below its width.
        unsafe {
            let (x, y) = (x.as_ptr().add(row * width), y.at(row * width));
            let mean = if layer.centred { sum::<V, S, false>(x, width, 0.0) / width as f64 } else { 0.0 };
            let variance = sum::<V, S, true>(x, width, mean as f32) / width as f64;
            let of_row = RowMoments { mean: mean as f32, reciprocal: (1.0 / (variance + layer.eps).sqrt()) as f32 };
            let (center, scale) = (V::splat(of_row.mean), V::splat(of_row.reciprocal));
            for at in (0..whole).step_by(V::LANES) {
                let normalised = S::load::<V>(x.add(at)).sub(center).mul(scale);
                S::store(normalised.fma(V::load(weight.add(at)), V::load(bias.add(at))), y.add(at));
            }
            if rest > 0 {
                let normalised = S::load_first::<V>(x.add(whole), rest, 0.0).sub(center).mul(scale);
                let weight = V::load_first(weight.add(whole), rest, 0.0);
                let value = normalised.fma(weight, V::load_first(bias.add(whole), rest, 0.0));
                S::store_first(value, y.add(whole), rest);
            }
            moments[row] = of_row;
        }
    }
}

/// The sum of a row, or the sum of the squares of its distances to `center`.
#[inline(always)]
unsafe fn sum<V: Vector, S: Stored, const SQUARES: bool>(row: *const S, width: usize, center: f32) -> f64 {
    let mut total = 0.0;
    // SAFETY: reads below `width`.
    unsafe {
        let shift = V::splat(center);
        for first in (0..width).step_by(SUM_ELEMENTS) {
            let last = width.min(first + SUM_ELEMENTS);
            let mut sums = [V::splat(0.0); 4];
            let mut at = first;
            while at + 4 * V::LANES <= last {
                for j in 0..4 {
                    let value = S::load::<V>(row.add(at + j * V::LANES));
                    if SQUARES {
                        let distance = value.sub(shift);
                        sums[j] = distance.fma(distance, sums[j]);
                    } else {
                        sums[j] = sums[j].add(value);
                    }
                }
                at += 4 * V::LANES;
            }
            while at < last {
                let count = V::LANES.min(last - at);
                // Lanes past the row's end hold the center or 0, so they add nothing.
                let value = S::load_first::<V>(row.add(at), count, if SQUARES { center } else { 0.0 });
                if SQUARES {
                    let distance = value.sub(shift);
                    sums[0] = distance.fma(distance, sums[0]);
                } else {
                    sums[0] = sums[0].add(value);
                }
                at += count;
            }
            total += f64::from(sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum());
        }
    }
    total
}

/// Some rows of `backward`.
struct Backward<'a, S> {
    layer: &'a Layer<'a, f32>,
    x: &'a [S],
    moments: &'a [RowMoments<f32>],
    dy: &'a [S],
    dx: Shared<S>,
}

dispatch! {
    /// Some rows of `backward`, whose parameter gradients are added to `d_weight` and `d_bias` unless these are empty.
    fn backward_task<S>(task: &Backward<'_, S>, d_weight: &mut [f32], d_bias: &mut [f32]) = backward_body
}

/// A vector of a row: the normalised values, the gradient, and the gradient times the weight.
#[inline(always)]
unsafe fn terms<V: Vector>(x: V, dy: V, weight: V, of_row: &RowMoments<f32>) -> (V, V, V) {
    // SAFETY: the caller has the instructions.
    unsafe { (x.sub(V::splat(of_row.mean)).mul(V::splat(of_row.reciprocal)), dy, dy.mul(weight)) }
}

#[inline(always)]
unsafe fn backward_body<V: Vector, S: Stored>(task: &Backward<'_, S>, d_weight: &mut [f32], d_bias: &mut [f32]) {
    // SAFETY: the caller's contract.
    unsafe {
        match d_weight.is_empty() {
            true => backward_rows::<V, S, false>(task, d_weight, d_bias),
            false => backward_rows::<V, S, true>(task, d_weight, d_bias),
        }
    }
}

#[inline(always)]
unsafe fn backward_rows<V: Vector, S: Stored, const TRAINED: bool>(
    task: &Backward<'_, S>,
    d_weight: &mut [f32],
    d_bias: &mut [f32],
) {
    let width = task.layer.weight.len();
    let whole = width - width % V::LANES;
    let rest = width - whole;
    let weight = task.layer.weight.as_ptr();
    let (d_weight, d_bias) = (d_weight.as_mut_ptr(), d_bias.as_mut_ptr());
    for (row, of_row) in task.moments.iter().enumerate() {
        // SAFETY: row `row` lies within `x`, `dy` and `dx`; reads and writes are below its width.
        unsafe {
            let (x, dy) = (task.x.as_ptr().add(row * width), task.dy.as_ptr().add(row * width));
            let dx = task.dx.at(row * width);
            let (plain, product) = row_sums::<V, S>(x, dy, weight, width, of_row);
            let plain = if task.layer.centred { plain / width as f64 } else { 0.0 };
            let plain = V::splat(-plain as f32);
            let product = V::splat((-product / width as f64) as f32);
            let scale = V::splat(of_row.reciprocal);
            for at in (0..whole).step_by(V::LANES) {
                let (x, dy) = (S::load::<V>(x.add(at)), S::load::<V>(dy.add(at)));
                let (normalised, dy, g) = terms(x, dy, V::load(weight.add(at)), of_row);
                if TRAINED {
                    dy.fma(normalised, V::load(d_weight.add(at))).store(d_weight.add(at));
                    dy.add(V::load(d_bias.add(at))).store(d_bias.add(at));
                }
                S::store(normalised.fma(product, g.add(plain)).mul(scale), dx.add(at));
            }
            if rest > 0 {
                let at = whole;
                let x = S::load_first::<V>(x.add(at), rest, of_row.mean);
                let dy = S::load_first::<V>(dy.add(at), rest, 0.0);
                let (normalised, dy, g) = terms(x, dy, V::load_first(weight.add(at), rest, 0.0), of_row);
                if TRAINED {
                    let sum = dy.fma(normalised, V::load_first(d_weight.add(at), rest, 0.0));
                    sum.store_first(d_weight.add(at), rest);
                    dy.add(V::load_first(d_bias.add(at), rest, 0.0)).store_first(d_bias.add(at), rest);
                }
                S::store_first(normalised.fma(product, g.add(plain)).mul(scale), dx.add(at), rest);
            }
        }
    }
}

/// The sums over a row of `g`, the gradient times the weight, and of `g` times the normalised values.
#[inline(always)]
unsafe fn row_sums<V: Vector, S: Stored>(
    x: *const S,
    dy: *const S,
    weight: *const f32,
    width: usize,
    of_row: &RowMoments<f32>,
) -> (f64, f64) {
    let (mut all_plain, mut all_products) = (0.0, 0.0);
    // SAFETY: reads below `width`.
    unsafe {
        for first in (0..width).step_by(SUM_ELEMENTS) {
            let last = width.min(first + SUM_ELEMENTS);
            let (mut plain, mut products) = ([V::splat(0.0); 4], [V::splat(0.0); 4]);
            let mut at = first;
            while at + 4 * V::LANES <= last {
                for j in 0..4 {
                    let at = at + j * V::LANES;
                    let (x, dy) = (S::load::<V>(x.add(at)), S::load::<V>(dy.add(at)));
                    let (normalised, _, g) = terms(x, dy, V::load(weight.add(at)), of_row);
                    plain[j] = plain[j].add(g);
                    products[j] = g.fma(normalised, products[j]);
                }
                at += 4 * V::LANES;
            }
            while at < last {
                let count = V::LANES.min(last - at);
                let x = S::load_first::<V>(x.add(at), count, of_row.mean);
                let dy = S::load_first::<V>(dy.add(at), count, 0.0);
                let (normalised, _, g) = terms(x, dy, V::load_first(weight.add(at), count, 0.0), of_row);
                plain[0] = plain[0].add(g);
                products[0] = g.fma(normalised, products[0]);
                at += count;
            }
            all_plain += f64::from(plain[0].add(plain[1]).add(plain[2].add(plain[3])).sum());
            all_products += f64::from(products[0].add(products[1]).add(products[2].add(products[3])).sum());
        }
    }
    (all_plain, all_products)
}
