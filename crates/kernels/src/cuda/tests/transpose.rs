//! Transposition, and the extents of grids.

use crate::cuda::batch_norm::{Forward, Parameters};
use crate::cuda::call::Pointer;
use crate::cuda::columns::Matrix;
use crate::cuda::source::ElementType;
use crate::cuda::stream::Meeting;
use crate::cuda::tests::memory::{Memory, all};
use crate::cuda::transpose;

#[test]
fn transposing_moves_every_element() {
    let (batch, rows, columns) = (2, 35, 67);
    let len = batch * rows * columns;
    for stored in [ElementType::Bf16, ElementType::F32, ElementType::F64] {
        let values: Vec<f64> = (0..len).map(|i| (i % 251) as f64).collect();
        let (mut from, mut to) = (Memory::of(stored, &values), Memory::new(stored, len));
        let call = transpose::transpose(stored.bytes(), (batch, rows, columns), from.at(), to.at());
        if !all(&[call.as_slice()]) {
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
    assert!(transpose::transpose(4, (1, 3_000_000, 1), at, at).is_none());
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
