//! The launches of batch norm; the kernels are in `batch_norm.cu`.

use crate::cuda::call::{Argument, Call, Pointer, THREADS, int, unsigned};
use crate::cuda::source::{ElementType, File, Source};

/// Blocks that a summing kernel is cut into, if there are rows enough: eight for each processor of an H100. Not measured.
const SUM_BLOCKS: usize = 132 * 8;

/// Rows a thread of a summing kernel adds up at least.
const ROWS_PER_THREAD: usize = 4;

/// The matrix that is normalised: one row a pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) channels: usize,
    pub(crate) element: ElementType,
    pub(crate) parameter: ElementType,
}

/// Where a layer's parameters and running statistics are, (C) each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) weight: Pointer,
    pub(crate) bias: Pointer,
    pub(crate) running_mean: Pointer,
    pub(crate) running_var: Pointer,
}

/// Where the numbers of a forward pass are, (C) each, in the wide type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statistics {
    pub(crate) mean: Pointer,
    /// One over the root of variance plus eps.
    pub(crate) reciprocal: Pointer,
}

/// Where the parts of a backward pass are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backward {
    /// The layer's input, its output if a rectifier ended it (else null), and the output's gradient.
    pub(crate) x: Pointer,
    pub(crate) y: Pointer,
    pub(crate) dy: Pointer,
    /// Scratch: [`Matrix::partials`] doubles, and three wide numbers a channel.
    pub(crate) partials: Pointer,
    pub(crate) terms: Pointer,
    /// Results; the residual's gradient may be null.
    pub(crate) d_weight: Pointer,
    pub(crate) d_bias: Pointer,
    pub(crate) dx: Pointer,
    pub(crate) d_residual: Pointer,
}

impl Matrix {
    /// Channels that a block of a summing kernel looks at.
    fn tile(&self) -> usize {
        self.channels.next_power_of_two().min(32)
    }

    fn tiles(&self) -> usize {
        self.channels.div_ceil(self.tile())
    }

    /// Blocks that share the rows, and the rows of each.
    fn row_blocks(&self) -> (usize, usize) {
        let least = (THREADS / self.tile()) * ROWS_PER_THREAD;
        let blocks = (SUM_BLOCKS / self.tiles()).max(1).min(self.rows.div_ceil(least)).max(1);
        let rows = self.rows.div_ceil(blocks).max(1);
        (self.rows.div_ceil(rows).max(1), rows)
    }

    /// Doubles that the summing kernels leave behind.
    pub(crate) fn partials(&self) -> usize {
        2 * self.row_blocks().0 * self.channels
    }

    fn elements(&self) -> usize {
        self.rows * self.channels
    }

    fn source(&self) -> Source {
        Source { file: File::BatchNorm, element: self.element, parameter: self.parameter }
    }

    fn over_tiles(&self, kernel: &'static str, row_blocks: usize, arguments: Vec<Argument>) -> Call {
        Call { source: self.source(), kernel, grid: (self.tiles() as u32, row_blocks as u32, 1), arguments }
    }

    /// The name of the elementwise kernel that takes as many elements at once as rows and addresses allow, and that number.
    fn widest(&self, one: &'static str, four: &'static str, pointers: &[Pointer]) -> (&'static str, usize) {
        let pack = 4 * self.element.bytes() as u64;
        let fits = self.channels.is_multiple_of(4) && pointers.iter().all(|p| p.0.is_multiple_of(pack));
        if fits { (four, 4) } else { (one, 1) }
    }

    /// The batch's statistics; moves the running ones.
    pub(crate) fn statistics(
        &self,
        x: Pointer,
        partials: Pointer,
        parameters: &Parameters,
        eps: f64,
        momentum: f64,
        to: &Statistics,
    ) -> [Call; 2] {
        let (blocks, rows_per_block) = self.row_blocks();
        let extents = [int(self.rows), int(self.channels), int(self.tile())];
        let mut sums = vec![x.into(), partials.into()];
        sums.extend(extents);
        sums.push(int(rows_per_block));
        let mut end = vec![x.into(), partials.into(), int(blocks)];
        end.extend(extents);
        end.extend([eps, momentum].map(Argument::from));
        end.extend([parameters.running_mean, parameters.running_var, to.mean, to.reciprocal].map(Argument::from));
        [self.over_tiles("moments", blocks, sums), self.over_tiles("statistics", 1, end)]
    }

    /// The running statistics, made ready.
    pub(crate) fn frozen_statistics(&self, parameters: &Parameters, eps: f64, to: &Statistics) -> Call {
        let arguments = vec![
            parameters.running_mean.into(),
            parameters.running_var.into(),
            int(self.channels),
            eps.into(),
            to.mean.into(),
            to.reciprocal.into(),
        ];
        Call::each(self.source(), "frozen_statistics", self.channels, arguments)
    }

    /// Normalises `x` into `y`, adds the residual unless it is null, and cuts at zero.
    pub(crate) fn normalise(
        &self,
        x: Pointer,
        residual: Pointer,
        y: Pointer,
        statistics: &Statistics,
        parameters: &Parameters,
        relu: bool,
    ) -> Call {
        let (kernel, width) = self.widest("normalise_1", "normalise_4", &[x, residual, y]);
        let arguments = vec![
            x.into(),
            residual.into(),
            y.into(),
            statistics.mean.into(),
            statistics.reciprocal.into(),
            parameters.weight.into(),
            parameters.bias.into(),
            int(usize::from(relu)),
            unsigned(self.elements()),
            unsigned(self.channels),
        ];
        Call::strided(self.source(), kernel, self.elements() / width, arguments)
    }

    /// All gradients. `batch_statistics` says whether the statistics were the batch's own, or constants.
    pub(crate) fn backward(
        &self,
        at: &Backward,
        statistics: &Statistics,
        weight: Pointer,
        batch_statistics: bool,
    ) -> [Call; 3] {
        let (blocks, rows_per_block) = self.row_blocks();
        let (channels, tile) = (int(self.channels), int(self.tile()));
        let line = self.channels * self.element.wide_bytes();
        let (scale, slope, offset) = (at.terms, at.terms.offset(line), at.terms.offset(2 * line));
        let mut sums: Vec<Argument> = [at.x, at.y, at.dy, statistics.mean, at.partials].map(Argument::from).to_vec();
        sums.extend([int(self.rows), channels, tile, int(rows_per_block)]);
        let batch = if batch_statistics { 1.0 / self.rows as f64 } else { 0.0 };
        let mut middle = vec![at.partials.into(), int(blocks), channels, tile, batch.into()];
        middle
            .extend([weight, statistics.reciprocal, at.d_weight, at.d_bias, scale, slope, offset].map(Argument::from));
        let (kernel, width) =
            self.widest("normalise_backward_1", "normalise_backward_4", &[at.x, at.y, at.dy, at.dx, at.d_residual]);
        let mut end: Vec<Argument> = [at.x, at.y, at.dy, at.dx, at.d_residual, statistics.mean, scale, slope, offset]
            .map(Argument::from)
            .to_vec();
        end.extend([unsigned(self.elements()), unsigned(self.channels)]);
        [
            self.over_tiles("gradient_sums", blocks, sums),
            self.over_tiles("gradient_terms", 1, middle),
            Call::strided(self.source(), kernel, self.elements() / width, end),
        ]
    }
}
