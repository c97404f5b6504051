//! The launches of cross-entropy; the kernels are in `cross_entropy.cu`.

use crate::cuda::call::{Call, Pointer, int, unsigned};
use crate::cuda::source::{ElementType, File, Source};

/// A batch of logits (N, K) and its targets: weights (N, K) of the wide type, or class numbers (N), u32; the other is null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) element: ElementType,
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(crate) smoothing: f64,
    pub(crate) logits: Pointer,
    pub(crate) targets: Pointer,
    pub(crate) indices: Pointer,
}

/// Data that a forward pass keeps for the backward pass, (N) each in the wide type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    /// The largest logit.
    pub(crate) maxima: Pointer,
    /// The sum of exponentials of the distances from it.
    pub(crate) sums: Pointer,
    /// The sum of the targets; NaN where the class number is none.
    pub(crate) weights: Pointer,
}

impl Batch {
    fn source(&self) -> Source {
        Source::of(File::CrossEntropy, self.element)
    }

    /// Writes the mean loss to `loss`, one element of the wide type; `losses` is scratch memory for N doubles, `gates` belongs to
    /// the stream.
    pub(crate) fn forward(&self, losses: Pointer, rows: &Rows, gates: Pointer, loss: Pointer) -> Call {
        let arguments = vec![
            self.logits.into(),
            self.targets.into(),
            self.indices.into(),
            int(self.classes),
            self.smoothing.into(),
            losses.into(),
            rows.maxima.into(),
            rows.sums.into(),
            rows.weights.into(),
            gates.into(),
            loss.into(),
        ];
        let grid = (self.rows as u32, 1, 1);
        Call { source: self.source(), kernel: "cross_entropy_rows", grid, together: false, arguments }
    }

    /// The gradient of the logits; `upstream` is the gradient of the loss, one element of the wide type.
    pub(crate) fn backward(&self, rows: &Rows, upstream: Pointer, d_logits: Pointer) -> Call {
        let elements = self.rows * self.classes;
        let arguments = vec![
            self.logits.into(),
            self.targets.into(),
            self.indices.into(),
            unsigned(elements),
            int(self.classes),
            int(self.rows),
            self.smoothing.into(),
            upstream.into(),
            rows.maxima.into(),
            rows.sums.into(),
            rows.weights.into(),
            d_logits.into(),
        ];
        Call::each(self.source(), "cross_entropy_backward", elements, arguments)
    }
}
