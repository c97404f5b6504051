//! The launches of batch norm; the kernels are in `batch_norm.cu`.

use crate::cuda::call::{Argument, Call, Pointer, int};
use crate::cuda::columns::Matrix;
use crate::cuda::source::File;
use crate::cuda::stream::Meeting;

/// A layer's parameters and running statistics, (C) each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) weight: Pointer,
    pub(crate) bias: Pointer,
    pub(crate) running_mean: Pointer,
    pub(crate) running_var: Pointer,
}

/// Statistics of a forward pass, (C) each, in the wide type.
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
    /// The residual added to the output, or null.
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

/// Scratch memory of a pass: [`Matrix::partials`] doubles and, for a backward pass, three wide numbers per channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scratch {
    pub(crate) partials: Pointer,
    pub(crate) terms: Pointer,
}

impl Matrix {
    /// Bytes of mean and reciprocal, and where both are in memory of that size.
    pub(crate) fn statistics_bytes(&self) -> usize {
        2 * self.channels * self.element.wide_bytes()
    }

    pub(crate) fn statistics_at(&self, at: Pointer) -> Statistics {
        Statistics { mean: at, reciprocal: at.offset(self.statistics_bytes() / 2) }
    }

    /// Normalises with the batch's statistics, writes them to `to`, and updates the running ones unless they are null.
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
        self.call(File::BatchNorm(pack), "train", Some(meeting.blocks), arguments)
    }

    /// Normalises with the running statistics and writes them to `to`.
    pub(crate) fn evaluate(&self, at: &Forward, parameters: &Parameters, eps: f64, to: &Statistics) -> Call {
        let pack = self.pack(&[at.x, at.residual, at.y]);
        let mut arguments: Vec<Argument> = [at.x, at.residual, at.y].map(Argument::from).to_vec();
        arguments.extend(self.extents());
        arguments.push(eps.into());
        let Parameters { weight, bias, running_mean, running_var } = *parameters;
        arguments.extend([weight, bias, running_mean, running_var, to.mean, to.reciprocal].map(Argument::from));
        arguments.push(int(usize::from(at.relu)));
        self.call(File::BatchNorm(pack), "evaluate", None, arguments)
    }

    /// All gradients. `batch_statistics` is true if the statistics were those of the batch, false if they were constants.
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
        self.call(File::BatchNorm(pack), "backward", Some(meeting.blocks), arguments)
    }
}
