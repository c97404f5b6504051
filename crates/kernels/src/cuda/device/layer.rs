//! What a convolution and a normalised layer do on the device, apart from any graph: shared by the nodes that contain them.

use candle_core::cuda_backend::CudaDevice;
use candle_core::{Result, Tensor};

use crate::cuda::batch_norm::{Backward, Matrix, Parameters, Statistics};
use crate::cuda::call::Pointer;
use crate::cuda::convolution::{self, turn};
use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{Scratch, address_of, allocate, start, stored, tensor, zeros};
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Operands};
use crate::plan::ConvShape;
use crate::{BatchNorm, Mode};

/// Filters as cuDNN wants them beside channels-last images, (O, Kh, Kw, I), and the memory they may have needed.
pub(super) struct Filters {
    at: Pointer,
    _memory: Option<Scratch>,
}

impl Filters {
    /// Filters (O, I, Kh, Kw) in that order; those of one tap or one channel are in it already.
    pub(super) fn new(device: &CudaDevice, shape: &ConvShape, weight: &Tensor) -> Result<Self> {
        let from = address_of(weight)?;
        if shape.taps() == 1 || shape.group_inputs() == 1 {
            return Ok(Self { at: from, _memory: None });
        }
        let element = stored(weight)?;
        let memory = Scratch::new(device, shape.weight_len() * element.bytes())?;
        turn(device, element, (shape.channels_out, shape.group_inputs(), shape.taps()), from, memory.at())?;
        Ok(Self { at: memory.at(), _memory: Some(memory) })
    }
}

/// `y`, the convolution of `x`.
pub(super) fn convolve(
    device: &CudaDevice,
    stored: ElementType,
    shape: &ConvShape,
    x: Pointer,
    filters: &Filters,
    y: Pointer,
) -> Result<()> {
    convolution::convolve(device, stored, shape, Direction::Forward, Operands { x, weight: filters.at, y })
}

/// The gradient of a convolution's input, added to what `dx` holds if `add`.
pub(super) fn data_gradient(
    device: &CudaDevice,
    stored: ElementType,
    shape: &ConvShape,
    dy: Pointer,
    filters: &Filters,
    add: bool,
    dx: Pointer,
) -> Result<()> {
    let operands = Operands { x: dx, weight: filters.at, y: dy };
    convolution::convolve(device, stored, shape, Direction::Data { add }, operands)
}

/// The gradient of a convolution's weight, if anybody asks for it.
pub(super) fn filters_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Pointer,
    dy: Pointer,
    weight: &Tensor,
) -> Result<Option<Tensor>> {
    if !weight.track_op() {
        return Ok(None);
    }
    let stored = stored(weight)?;
    if shape.y_len() == 0 {
        return Ok(Some(tensor(zeros(device, stored, shape.weight_len())?, weight.shape())));
    }
    let dw = allocate(device, stored, shape.weight_len())?;
    if shape.taps() == 1 || shape.group_inputs() == 1 {
        let operands = Operands { x, weight: start(&dw)?, y: dy };
        convolution::convolve(device, stored, shape, Direction::Filter, operands)?;
    } else {
        let turned = Scratch::new(device, shape.weight_len() * stored.bytes())?;
        let operands = Operands { x, weight: turned.at(), y: dy };
        convolution::convolve(device, stored, shape, Direction::Filter, operands)?;
        let extents = (shape.channels_out, shape.taps(), shape.group_inputs());
        turn(device, stored, extents, turned.at(), start(&dw)?)?;
    }
    Ok(Some(tensor(dw, weight.shape())))
}

/// A batch norm layer's shape and what a forward pass leaves for the backward one.
pub(super) struct Normalised {
    matrix: Matrix,
    mode: Mode,
    /// Mean and reciprocal of every channel.
    numbers: Scratch,
}

impl Normalised {
    fn statistics(&self) -> Statistics {
        let line = self.matrix.channels * self.matrix.element.wide_bytes();
        Statistics { mean: self.numbers.at(), reciprocal: self.numbers.at().offset(line) }
    }
}

/// Normalises `x`, (rows, C), into `y`, adds the residual unless it is null, and cuts. Training moves the running statistics.
#[allow(clippy::too_many_arguments, reason = "addresses of one pass, each with its name")]
pub(super) fn normalise(
    device: &CudaDevice,
    norm: &BatchNorm,
    mode: Mode,
    (element, rows): (ElementType, usize),
    x: Pointer,
    residual: Pointer,
    relu: bool,
    y: Pointer,
) -> Result<Normalised> {
    let channels = norm.weight.elem_count();
    let matrix = Matrix { rows, channels, element, parameter: stored(&norm.weight)? };
    let parameters = Parameters {
        weight: address_of(&norm.weight)?,
        bias: address_of(&norm.bias)?,
        running_mean: address_of(&norm.running_mean)?,
        running_var: address_of(&norm.running_var)?,
    };
    let numbers = Scratch::new(device, 2 * channels * element.wide_bytes())?;
    let normalised = Normalised { matrix, mode, numbers };
    let statistics = normalised.statistics();
    match mode {
        Mode::Train | Mode::BatchOnly => {
            let partials = Scratch::new(device, 8 * matrix.partials())?;
            let (eps, momentum) = (norm.eps, if mode == Mode::Train { norm.momentum } else { 0.0 });
            launch(device, &matrix.statistics(x, partials.at(), &parameters, eps, momentum, &statistics))?;
        }
        Mode::Eval => launch(device, [&matrix.frozen_statistics(&parameters, norm.eps, &statistics)])?,
    }
    launch(device, [&matrix.normalise(x, residual, y, &statistics, &parameters, relu)])?;
    Ok(normalised)
}

/// The gradients of scale and shift; `x`'s gradient goes to `dx`, the cut `dy` to `d_residual` unless that is null.
///
/// `y` is the layer's output if a rectifier ended it, else null.
#[allow(clippy::too_many_arguments, reason = "addresses of one pass, each with its name")]
pub(super) fn normalise_backward(
    device: &CudaDevice,
    norm: &BatchNorm,
    normalised: &Normalised,
    x: Pointer,
    y: Pointer,
    dy: Pointer,
    dx: Pointer,
    d_residual: Pointer,
) -> Result<(Tensor, Tensor)> {
    let matrix = &normalised.matrix;
    let partials = Scratch::new(device, 8 * matrix.partials())?;
    let terms = Scratch::new(device, 3 * matrix.channels * matrix.element.wide_bytes())?;
    let d_weight = allocate(device, matrix.parameter, matrix.channels)?;
    let d_bias = allocate(device, matrix.parameter, matrix.channels)?;
    let at = Backward {
        x,
        y,
        dy,
        partials: partials.at(),
        terms: terms.at(),
        d_weight: start(&d_weight)?,
        d_bias: start(&d_bias)?,
        dx,
        d_residual,
    };
    let weight = address_of(&norm.weight)?;
    launch(device, &matrix.backward(&at, &normalised.statistics(), weight, normalised.mode.uses_batch()))?;
    Ok((tensor(d_weight, matrix.channels), tensor(d_bias, matrix.channels)))
}
