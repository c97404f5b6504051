//! The launches of batch norm; the kernels are in `batch_norm.cu`.

use crate::cuda::call::{Argument, Call, Pointer, int};
use crate::cuda::source::{ElementType, File, Source};
use crate::cuda::stream::Meeting;

/// Parts that the rows of all tiles are cut into, if there are rows enough: as many as an H100 has blocks at once. Not measured.
const PARTS: usize = 132 * 4;

/// Rows of a part at least.
const PART_ROWS: usize = 128;

/// The matrix that is normalised: one row a pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) channels: usize,
    pub(crate) element: ElementType,
    pub(crate) parameter: ElementType,
}

/// A layer's parameters and running statistics, (C) each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) weight: Pointer,
    pub(crate) bias: Pointer,
    pub(crate) running_mean: Pointer,
    pub(crate) running_var: Pointer,
}

/// The numbers of a forward pass, (C) each, in the wide type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statistics {
    pub(crate) mean: Pointer,
    /// One over the root of variance plus eps.
    pub(crate) reciprocal: Pointer,
}

/// The tensors of a forward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forward {
    pub(crate) x: Pointer,
    /// What is added to the output, or null.
    pub(crate) residual: Pointer,
    pub(crate) y: Pointer,
    /// Whether a rectifier ends the layer.
    pub(crate) relu: bool,
}

/// The tensors of a backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backward {
    /// The layer's input, its output if a rectifier ended it (else null), and the output's gradient.
    pub(crate) x: Pointer,
    pub(crate) y: Pointer,
    pub(crate) dy: Pointer,
    /// Results; the residual's gradient may be null.
    pub(crate) d_weight: Pointer,
    pub(crate) d_bias: Pointer,
    pub(crate) dx: Pointer,
    pub(crate) d_residual: Pointer,
}

/// Scratch of a pass: [`Matrix::partials`] doubles, and for a backward one three wide numbers a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scratch {
    pub(crate) partials: Pointer,
    pub(crate) terms: Pointer,
}

impl Matrix {
    /// Channels that a block looks at.
    fn tile(&self) -> usize {
        self.channels.next_power_of_two().min(32)
    }

    fn tiles(&self) -> usize {
        self.channels.div_ceil(self.tile())
    }

    /// Parts of the rows, and the rows of each: a matter of the extents alone, so that sums do not depend on the device.
    fn parts(&self) -> (usize, usize) {
        let parts = (PARTS / self.tiles()).max(1).min(self.rows.div_ceil(PART_ROWS)).max(1);
        let rows = self.rows.div_ceil(parts).max(1);
        (self.rows.div_ceil(rows).max(1), rows)
    }

    /// Doubles that the parts leave behind.
    pub(crate) fn partials(&self) -> usize {
        2 * self.parts().0 * self.channels
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows * self.channels * self.element.bytes()
    }

    /// Bytes of mean and reciprocal, and where both are in memory of that size.
    pub(crate) fn statistics_bytes(&self) -> usize {
        2 * self.channels * self.element.wide_bytes()
    }

    pub(crate) fn statistics_at(&self, at: Pointer) -> Statistics {
        Statistics { mean: at, reciprocal: at.offset(self.statistics_bytes() / 2) }
    }

    /// Elements that a thread takes at once, as rows and addresses allow: 16 bytes, but for f64.
    fn pack(&self, pointers: &[Pointer]) -> usize {
        let widest: &[usize] = match self.element {
            ElementType::F32 => &[4],
            ElementType::F64 => &[],
            ElementType::Bf16 => &[8, 4],
        };
        let fits = |pack: &&usize| {
            let bytes = (**pack * self.element.bytes()) as u64;
            self.channels.is_multiple_of(**pack) && pointers.iter().all(|pointer| pointer.0.is_multiple_of(bytes))
        };
        widest.iter().find(fits).copied().unwrap_or(1)
    }

    fn call(&self, kernel: &'static str, pack: usize, blocks: Option<usize>, arguments: Vec<Argument>) -> Call {
        let file = File::BatchNorm(pack as u32);
        let source = Source { file, element: self.element, parameter: self.parameter };
        let (tiles, parts) = (self.tiles(), self.parts().0);
        // Blocks that meet all run at once: where there are more tiles and parts than that, each takes several.
        let (across, down) = match blocks {
            Some(blocks) => {
                let across = tiles.min(blocks.max(1));
                (across, parts.min(blocks / across).max(1))
            }
            None => (tiles, parts),
        };
        Call { source, kernel, grid: (across as u32, down as u32, 1), together: blocks.is_some(), arguments }
    }

    fn extents(&self) -> [Argument; 5] {
        let (parts, rows_per_part) = self.parts();
        [self.rows, self.channels, self.tile(), parts, rows_per_part].map(int)
    }

    /// Normalises with the batch's statistics, which go to `to`, and moves the running ones.
    pub(crate) fn train(
        &self,
        at: &Forward,
        parameters: &Parameters,
        (eps, momentum): (f64, f64),
        partials: Pointer,
        meeting: &Meeting,
        to: &Statistics,
    ) -> Call {
        let pack = self.pack(&[at.x, at.residual, at.y]);
        let mut arguments: Vec<Argument> =
            [at.x, at.residual, at.y, partials, meeting.gates].map(Argument::from).to_vec();
        arguments.extend(self.extents());
        arguments.extend([eps, momentum].map(Argument::from));
        let Parameters { weight, bias, running_mean, running_var } = *parameters;
        arguments.extend([weight, bias, running_mean, running_var, to.mean, to.reciprocal].map(Argument::from));
        arguments.push(int(usize::from(at.relu)));
        self.call("train", pack, Some(meeting.blocks), arguments)
    }

    /// Normalises with the running statistics, which go to `to`.
    pub(crate) fn evaluate(&self, at: &Forward, parameters: &Parameters, eps: f64, to: &Statistics) -> Call {
        let pack = self.pack(&[at.x, at.residual, at.y]);
        let mut arguments: Vec<Argument> = [at.x, at.residual, at.y].map(Argument::from).to_vec();
        arguments.extend(self.extents());
        arguments.push(eps.into());
        let Parameters { weight, bias, running_mean, running_var } = *parameters;
        arguments.extend([weight, bias, running_mean, running_var, to.mean, to.reciprocal].map(Argument::from));
        arguments.push(int(usize::from(at.relu)));
        self.call("evaluate", pack, None, arguments)
    }

    /// All gradients. `batch_statistics` says whether the statistics were the batch's own, or constants.
    pub(crate) fn backward(
        &self,
        at: &Backward,
        statistics: &Statistics,
        weight: Pointer,
        batch_statistics: bool,
        scratch: &Scratch,
        meeting: &Meeting,
    ) -> Call {
        let pack = self.pack(&[at.x, at.y, at.dy, at.dx, at.d_residual]);
        let mut arguments: Vec<Argument> =
            [at.x, at.y, at.dy, at.dx, at.d_residual, scratch.partials, meeting.gates].map(Argument::from).to_vec();
        arguments.extend(self.extents());
        arguments.push(if batch_statistics { 1.0 / self.rows as f64 } else { 0.0 }.into());
        let Statistics { mean, reciprocal } = *statistics;
        arguments.extend([weight, mean, reciprocal, at.d_weight, at.d_bias, scratch.terms].map(Argument::from));
        self.call("backward", pack, Some(meeting.blocks), arguments)
    }
}
