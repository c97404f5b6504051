//! The launches of layer norm and RMS norm; the kernels are in `row_norm.cu`.

use crate::cuda::call::{Argument, Call, Pointer, THREADS, int};
use crate::cuda::source::{ElementType, File, Source};

/// Rows per block in the sums for the parameter gradients. Not measured.
const PART_ROWS: usize = 64;
/// Maximum number of parts: the second extent of a grid is at most 65,535.
const MOST_PARTS: usize = 1024;

/// The rows and parameters. Tensors have fewer than 2^31 elements, the maximum of a grid's first extent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowLayer {
    pub(crate) element: ElementType,
    pub(crate) parameter: ElementType,
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) centred: bool,
    pub(crate) eps: f64,
    /// (width), or null.
    pub(crate) weight: Pointer,
    /// (width), or null.
    pub(crate) bias: Pointer,
}

/// Data that a forward pass keeps for the backward pass, (rows) each in the wide type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) means: Pointer,
    pub(crate) reciprocals: Pointer,
}

impl RowLayer {
    fn call(&self, kernel: &'static str, grid: (usize, usize), arguments: Vec<Argument>) -> Call {
        let source = Source { file: File::RowNorm, element: self.element, parameter: self.parameter };
        Call { source, kernel, grid: (grid.0.max(1) as u32, grid.1.max(1) as u32, 1), together: false, arguments }
    }

    fn rows_per_part(&self) -> usize {
        self.rows.div_ceil(MOST_PARTS).max(PART_ROWS)
    }

    fn parts(&self) -> usize {
        self.rows.div_ceil(self.rows_per_part()).max(1)
    }

    /// Number of doubles of scratch memory for the backward pass.
    pub(crate) fn partials(&self) -> usize {
        2 * self.parts() * self.width
    }

    pub(crate) fn forward(&self, x: Pointer, y: Pointer, to: &Moments) -> Call {
        let arguments = vec![
            x.into(),
            self.weight.into(),
            self.bias.into(),
            y.into(),
            int(self.width),
            int(usize::from(self.centred)),
            self.eps.into(),
            to.means.into(),
            to.reciprocals.into(),
        ];
        self.call("row_norm", (self.rows, 1), arguments)
    }

    /// The input's gradient.
    pub(crate) fn backward(&self, x: Pointer, dy: Pointer, dx: Pointer, from: &Moments) -> Call {
        let arguments = vec![
            x.into(),
            self.weight.into(),
            dy.into(),
            dx.into(),
            int(self.width),
            int(usize::from(self.centred)),
            from.means.into(),
            from.reciprocals.into(),
        ];
        self.call("row_norm_backward", (self.rows, 1), arguments)
    }

    /// The gradients of weight and bias, each of which may be null.
    pub(crate) fn parameters(
        &self,
        x: Pointer,
        dy: Pointer,
        from: &Moments,
        partials: Pointer,
        d_weight: Pointer,
        d_bias: Pointer,
    ) -> [Call; 2] {
        let columns = vec![
            x.into(),
            dy.into(),
            int(self.rows),
            int(self.width),
            int(self.rows_per_part()),
            from.means.into(),
            from.reciprocals.into(),
            partials.into(),
        ];
        let sums = vec![partials.into(), int(self.parts()), int(self.width), d_weight.into(), d_bias.into()];
        let tiles = self.width.div_ceil(THREADS);
        [
            self.call("row_norm_columns", (tiles, self.parts()), columns),
            self.call("row_norm_parameters", (tiles, 1), sums),
        ]
    }
}
