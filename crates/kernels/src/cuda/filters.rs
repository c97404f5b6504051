//! The launches that transpose the filters of all layers of a network at once; the kernels are in `filters.cu`.

use std::sync::Arc;

use crate::cuda::call::{Argument, Call, Pointer, TABLE_WORDS, int};
use crate::cuda::source::{ElementType, File, Source};
use crate::plan::ConvShape;

/// Elements of one block, the source's `CHUNK`.
pub(crate) const CHUNK: usize = 2048;

/// Words of a filter's entry.
const WORDS: usize = 4;

/// Filters of one launch, the source's `ITEMS`.
pub(crate) const ITEMS: usize = TABLE_WORDS / WORDS;

/// A layer's filters in both orders: (O, I, Kh, Kw) as parameters, and (O, Kh, Kw, I) for cuDNN with channels-last
/// activations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filters {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) taps: usize,
    pub(crate) ours: Pointer,
    pub(crate) theirs: Pointer,
}

impl Filters {
    pub(crate) fn of(shape: &ConvShape, ours: Pointer, theirs: Pointer) -> Self {
        let (outputs, inputs, taps) = (shape.channels_out, shape.group_inputs(), shape.taps());
        Self { outputs, inputs, taps, ours, theirs }
    }

    fn len(&self) -> usize {
        self.outputs * self.inputs * self.taps
    }
}

/// True if both orders and types are equal, so that nothing has to be transposed.
pub(crate) fn are_one(shape: &ConvShape, element: ElementType, parameter: ElementType) -> bool {
    element == parameter && (shape.taps() == 1 || shape.group_inputs() == 1)
}

/// Converts parameters to cuDNN's order.
pub(crate) fn to_cudnn(element: ElementType, parameter: ElementType, filters: &[Filters]) -> Vec<Call> {
    let entry = |f: &Filters| (f.ours, f.theirs, f.inputs, f.taps);
    calls("to_cudnn", element, parameter, filters, entry)
}

/// Converts cuDNN's gradients to the parameters' order.
pub(crate) fn from_cudnn(element: ElementType, parameter: ElementType, filters: &[Filters]) -> Vec<Call> {
    let entry = |f: &Filters| (f.theirs, f.ours, f.taps, f.inputs);
    calls("from_cudnn", element, parameter, filters, entry)
}

/// `entry` gives from, to, rows and columns.
fn calls(
    kernel: &'static str,
    element: ElementType,
    parameter: ElementType,
    filters: &[Filters],
    entry: impl Fn(&Filters) -> (Pointer, Pointer, usize, usize),
) -> Vec<Call> {
    let call = |filters: &[Filters]| {
        let mut table = [0u64; TABLE_WORDS];
        let mut blocks = 0;
        for (filter, words) in filters.iter().zip(table.chunks_exact_mut(WORDS)) {
            let (from, to, rows, columns) = entry(filter);
            let extents = (columns as u64) << 32 | rows as u64;
            words.copy_from_slice(&[from.0, to.0, extents, (blocks as u64) << 32 | filter.len() as u64]);
            blocks += filter.len().div_ceil(CHUNK);
        }
        let arguments = vec![Argument::Table(Arc::new(table)), int(filters.len())];
        let source = Source { file: File::Filters, element, parameter };
        Call { source, kernel, grid: (blocks.max(1) as u32, 1, 1), together: false, arguments }
    };
    filters.chunks(ITEMS).map(call).collect()
}
