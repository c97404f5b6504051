//! Transposition, and the extents of grids.

use crate::cuda::batch_norm::{Forward, Parameters};
use crate::cuda::call::{Call, Pointer};
use crate::cuda::columns::Matrix;
use crate::cuda::source::ElementType;
use crate::cuda::stream::Meeting;
use crate::cuda::tests::memory::{Memory, all};
use crate::cuda::transpose;

#[test]
fn transposing_moves_every_element() {
    let (batch, rows, columns) = (2, 135, 67);
    let len = batch * rows * columns;
    // With fewer blocks than tiles of rows and images, as with more than a grid may have, a block takes several.
    let types = [ElementType::Bf16, ElementType::F32, ElementType::F64];
    for (stored, is_cut) in types.into_iter().flat_map(|stored| [(stored, false), (stored, true)]) {
        let values: Vec<f64> = (0..len).map(|i| (i % 251) as f64).collect();
        let (mut from, mut to) = (Memory::of(stored, &values), Memory::new(stored, len));
        let call = transpose::transpose(stored.bytes(), (batch, rows, columns), from.at(), to.at()).unwrap();
        assert_eq!(call.grid, (3, 5, 2));
        let grid = if is_cut { (3, 2, 1) } else { call.grid };
        if !all(&[&[Call { grid, ..call }]]) {
            return;
        }
        let got = to.values();
        for b in 0..batch {
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(got[(b * columns + c) * rows + r], values[(b * rows + r) * columns + c]);
                }
            }
        }
    }
}

#[test]
fn a_grid_has_no_more_blocks_than_cuda_allows() {
    let at = Pointer(64);
    let call = transpose::transpose(4, (200_000, 3, 49), at, at).unwrap();
    assert!(call.grid.1 <= 65_535 && call.grid.2 <= 65_535);
    // An image of three million pixels, whose rows a block takes in strides.
    assert_eq!(transpose::transpose(8, (1, 3_000_000, 1), at, at).unwrap().grid, (1, 65_535, 1));
    assert!(transpose::transpose(3, (1, 3, 1), at, at).is_none());
    let matrix =
        Matrix { rows: 1024 * 112 * 112, channels: 64, element: ElementType::F32, parameter: ElementType::F32 };
    let parameters = Parameters { weight: at, bias: at, running_mean: at, running_var: at };
    let (forward, statistics) = (Forward { x: at, residual: at, y: at, relu: true }, matrix.statistics_at(at));
    for blocks in [1, 7, 528] {
        let call = matrix.train(&forward, &parameters, (1e-5, 0.1), at, &Meeting { gates: at, blocks }, &statistics);
        assert!(call.together && call.grid.0 * call.grid.1 <= blocks as u32, "{call:?}");
    }
    let call = matrix.evaluate(&forward, &parameters, 1e-5, &statistics);
    assert!(call.grid.1 <= 65_535, "{call:?}");
}
