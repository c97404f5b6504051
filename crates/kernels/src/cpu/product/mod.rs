//! Matrix products (the reference, and the fast version that is tested against it), and the product with a mask.
//!
//! Every element of a matrix product is summed in one order, independent of tiles and tasks: the bits depend only on the problem.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

mod masked;
pub(crate) mod reference;
mod tiles;
mod transposed;
mod vectors;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::element::Element;

pub(crate) use masked::{mask_in_place, masked};
pub(crate) use tiles::{share, tile_of};
pub(crate) use transposed::product_of_columns;
pub(crate) use vectors::{Panels, Product, multiply_rows, pack, product, transpose};

/// Extents of `y = a b`: (rows, inner) times (inner, columns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProductShape {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

/// The memory layout of the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// (inner, columns).
    Rows,
    /// (columns, inner): a layer's weight, (outputs, inputs), in the forward pass.
    Columns,
}

/// One of the products `y = a^T b` with the same `a`.
pub(crate) struct OfColumns<'a, T> {
    /// (inner, columns), in two pieces that follow one another; the second may be empty.
    pub(crate) b: [&'a [T]; 2],
    pub(crate) columns: usize,
    /// (columns of `a`, columns).
    pub(crate) y: &'a mut [MaybeUninit<T>],
}

impl<T> OfColumns<'_, T> {
    fn check(&self, rows: usize, inner: usize) {
        let len: usize = self.b.iter().map(|piece| piece.len()).sum();
        assert!(len == inner * self.columns && self.y.len() == rows * self.columns, "lengths");
        assert!(self.columns == 0 || self.b[0].len().is_multiple_of(self.columns), "a piece ends within a row");
    }
}

/// Rows that are summed before the sum is added to a double.
const SUM_ROWS: usize = 128;
/// Columns of a task.
const SUM_COLUMNS: usize = 64;

/// The sum of each column.
pub(crate) fn column_sums<T: Element>(matrix: &[T], columns: usize) -> Vec<T> {
    let mut sums = vec![T::zero(); columns];
    sums.par_chunks_mut(SUM_COLUMNS).enumerate().for_each(|(task, sums)| {
        let width = sums.len();
        let (mut total, mut part) = ([0.0; SUM_COLUMNS], [T::zero(); SUM_COLUMNS]);
        for rows in matrix.chunks(SUM_ROWS * columns) {
            part.fill(T::zero());
            for row in rows.chunks_exact(columns) {
                for (part, value) in part[..width].iter_mut().zip(&row[task * SUM_COLUMNS..][..width]) {
                    *part += *value;
                }
            }
            for (total, part) in total.iter_mut().zip(&part) {
                *total += part.to_f64();
            }
        }
        for (sum, total) in sums.iter_mut().zip(total) {
            *sum = T::from_f64(total);
        }
    });
    sums
}

#[cfg(test)]
mod tests {
    #[test]
    fn column_sums_worked_by_hand() {
        assert_eq!(super::column_sums(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2), [9.0, 12.0]);
        // More columns than a task has, more rows than a part.
        let matrix: Vec<f64> = (0..300 * 67).map(|at| (at % 67) as f64).collect();
        assert_eq!(super::column_sums(&matrix, 67)[66], 300.0 * 66.0);
    }
}
