//! Forward and backward passes of a normalised layer, independent of graph and device, shared by the nodes that contain one.

use candle_core::Result;

use crate::Mode;
use crate::cuda::batch_norm::{Backward, Forward, Parameters, Scratch};
use crate::cuda::call::Pointer;
use crate::cuda::columns::Matrix;
use crate::cuda::stream::Stream;

/// Batch norm over the pixels of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    pub(crate) matrix: Matrix,
    pub(crate) parameters: Parameters,
    pub(crate) eps: f64,
    pub(crate) momentum: f64,
}

impl Norm {
    /// A forward pass. Returns mean and reciprocal of every channel. Training updates the running statistics.
    pub(crate) fn forward<S: Stream>(&self, stream: &S, mode: Mode, at: &Forward) -> Result<S::Memory> {
        let Self { matrix, parameters, eps, momentum } = self;
        let left = stream.memory(matrix.statistics_bytes())?;
        let to = matrix.statistics_at(S::address(&left));
        match mode {
            Mode::Train | Mode::BatchOnly => {
                let partials = stream.memory(8 * matrix.partials())?;
                // Without an address they are left alone: a momentum of 0 would still turn them to NaN by a NaN in the batch.
                let parameters = match mode {
                    Mode::Train => *parameters,
                    _ => Parameters { running_mean: Pointer::NULL, running_var: Pointer::NULL, ..*parameters },
                };
                let meeting = stream.meeting()?;
                let partials = S::address(&partials);
                stream.launch(&matrix.train(at, &parameters, (*eps, *momentum), partials, &meeting, &to))?;
            }
            Mode::Eval => stream.launch(&matrix.evaluate(at, parameters, *eps, &to))?,
        }
        Ok(left)
    }

    /// Computes all gradients, from the result of a forward pass in the same mode.
    pub(crate) fn backward<S: Stream>(&self, stream: &S, mode: Mode, left: &S::Memory, at: &Backward) -> Result<()> {
        let matrix = &self.matrix;
        let partials = stream.memory(8 * matrix.partials())?;
        let terms = stream.memory(3 * matrix.channels * matrix.element.wide_bytes())?;
        let scratch = Scratch { partials: S::address(&partials), terms: S::address(&terms) };
        let statistics = matrix.statistics_at(S::address(left));
        let (weight, meeting) = (self.parameters.weight, stream.meeting()?);
        stream.launch(&matrix.backward(at, &statistics, weight, mode.uses_batch(), &scratch, &meeting))
    }
}
