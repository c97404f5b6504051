//! A layer of a network without shortcuts, forward and backward, independent of graph and device.

use candle_core::Result;

use crate::cuda::activation;
use crate::cuda::batch_norm::{Backward, Forward};
use crate::cuda::call::{Call, Pointer};
use crate::cuda::chain::{Stage, StageBackward};
use crate::cuda::columns::Matrix;
use crate::cuda::convolution::convolve;
use crate::cuda::layer::Norm;
use crate::cuda::pool;
use crate::cuda::relu;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Operands, Stream};
use crate::plan::{ConvShape, PoolShape};
use crate::{Activation, Mode};

/// A convolution, then an optional bias, max pool, batch norm and activation, in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) shape: ConvShape,
    /// (O, Kh, Kw, I), of the activations' type.
    pub(crate) filters: Pointer,
    pub(crate) element: ElementType,
    pub(crate) bias: Option<Bias>,
    pub(crate) pool: Option<PoolShape>,
    pub(crate) norm: Option<Norm>,
    pub(crate) after: Option<Activation>,
}

/// A layer's bias, (O).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bias {
    pub(crate) at: Pointer,
    pub(crate) parameter: ElementType,
}

/// Addresses for the gradients of a layer's parameters; that of the filters is in cuDNN's order. Null for gradients that are not
/// needed; scale and shift are set if the layer has a norm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerGradients {
    pub(crate) filters: Pointer,
    pub(crate) bias: Pointer,
    pub(crate) scale: Pointer,
    pub(crate) shift: Pointer,
}

/// Data that a layer keeps, without its output.
pub(crate) struct Left<M> {
    /// The position of each maximum of the pool.
    winners: Option<M>,
    /// The input of the norm or of the activation.
    given: Option<M>,
    /// The norm's statistics.
    numbers: Option<M>,
    /// The input of an activation after a norm; a rectifier is part of the norm.
    normalised: Option<M>,
}

impl Layer {
    fn convolved_bytes(&self) -> usize {
        self.shape.y_len() * self.element.bytes()
    }

    fn output_len(&self) -> usize {
        self.pool.as_ref().map_or(self.shape.y_len(), |pool| pool::lens(pool).1)
    }

    /// The convolution's output as a matrix, for the bias.
    fn biased(&self, bias: &Bias) -> Matrix {
        let (height, width) = self.shape.output;
        let (rows, channels) = (self.shape.batch * height * width, self.shape.channels_out);
        Matrix { rows, channels, element: self.element, parameter: bias.parameter }
    }

    /// The activation, unless it is a rectifier that is part of the norm.
    fn apart(&self) -> Option<Activation> {
        self.after.filter(|after| self.norm.is_none() || *after != Activation::Relu)
    }
}

impl Stage for Layer {
    type Left<M> = Left<M>;
    type Gradients = LayerGradients;

    fn input_bytes(&self) -> usize {
        self.shape.x_len() * self.element.bytes()
    }

    fn output_bytes(&self) -> usize {
        self.output_len() * self.element.bytes()
    }

    /// Runs the layer; its last operation writes to `y`.
    fn forward<S: Stream>(&self, stream: &S, mode: Mode, x: Pointer, y: Pointer) -> Result<Left<S::Memory>> {
        let room = |is_last: bool, bytes| if is_last { Ok(None) } else { stream.memory(bytes).map(Some) };
        let at = |memory: &Option<S::Memory>| memory.as_ref().map_or(y, S::address);
        let nothing_more = self.norm.is_none() && self.after.is_none();
        let mut given = room(nothing_more && self.pool.is_none(), self.convolved_bytes())?;
        let operands = Operands { x, weight: self.filters, y: at(&given) };
        convolve(stream, self.element, &self.shape, Direction::Forward, operands)?;
        if let Some(bias) = &self.bias {
            stream.launch(&self.biased(bias).add_bias(at(&given), bias.at))?;
        }
        let mut winners = None;
        if let Some(pool) = &self.pool {
            let pooled = room(nothing_more, self.output_bytes())?;
            let won = winners.insert(stream.memory(4 * self.output_len())?);
            stream.launch(&pool::max_pool(self.element, pool, at(&given), at(&pooled), S::address(won)))?;
            given = pooled;
        }
        let (mut numbers, mut normalised) = (None, None);
        if let Some(norm) = &self.norm {
            normalised = room(self.apart().is_none(), self.output_bytes())?;
            let relu = self.after == Some(Activation::Relu);
            let of_norm = Forward { x: at(&given), residual: Pointer::NULL, y: at(&normalised), relu };
            numbers = Some(norm.forward(stream, mode, &of_norm)?);
        }
        if let Some(after) = self.apart() {
            let from = if self.norm.is_some() { at(&normalised) } else { at(&given) };
            stream.launch(&activate(self.element, after, from, y, self.output_len()))?;
        }
        Ok(Left { winners, given, numbers, normalised })
    }

    fn backward<S: Stream>(
        &self,
        stream: &S,
        mode: Mode,
        left: &Left<S::Memory>,
        at: StageBackward,
        to: &LayerGradients,
    ) -> Result<()> {
        let address = |memory: &Option<S::Memory>| memory.as_ref().map_or(Pointer::NULL, S::address);
        // The gradient of the input of the operations processed so far.
        let mut gradient: Option<S::Memory> = None;
        let mut dy = at.dy;
        let (bytes, given) = (self.output_bytes(), address(&left.given));
        if let Some(after) = self.apart() {
            let x = if self.norm.is_some() { address(&left.normalised) } else { given };
            let dx = gradient.insert(stream.memory(bytes)?);
            let dx = S::address(dx);
            stream.launch(&activate_backward(self.element, after, (x, at.y), dy, dx, self.output_len()))?;
            dy = dx;
        }
        if let (Some(norm), Some(numbers)) = (&self.norm, &left.numbers) {
            let memory = stream.memory(bytes)?;
            let y = if self.after == Some(Activation::Relu) { at.y } else { Pointer::NULL };
            let (dx, d_residual) = (S::address(&memory), Pointer::NULL);
            let of_norm = Backward { x: given, y, dy, d_weight: to.scale, d_bias: to.shift, dx, d_residual };
            norm.backward(stream, mode, numbers, &of_norm)?;
            (gradient, dy) = (Some(memory), dx);
        }
        if let (Some(pool), Some(winners)) = (&self.pool, &left.winners) {
            let memory = stream.memory(self.convolved_bytes())?;
            let dx = S::address(&memory);
            stream.launch(&pool::max_pool_backward(self.element, pool, dy, S::address(winners), dx))?;
            (gradient, dy) = (Some(memory), dx);
        }
        if let Some(bias) = self.bias.as_ref().filter(|_| to.bias != Pointer::NULL) {
            let matrix = self.biased(bias);
            let partials = stream.memory(8 * matrix.partials())?;
            stream.launch(&matrix.bias_gradient(dy, S::address(&partials), &stream.meeting()?, to.bias))?;
        }
        if to.filters != Pointer::NULL {
            let operands = Operands { x: at.x, weight: to.filters, y: dy };
            convolve(stream, self.element, &self.shape, Direction::Filter, operands)?;
        }
        if at.dx != Pointer::NULL {
            let operands = Operands { x: at.dx, weight: self.filters, y: dy };
            convolve(stream, self.element, &self.shape, Direction::Data { add: false }, operands)?;
        }
        // The memory of `dy` was needed until here.
        drop(gradient);
        Ok(())
    }
}

/// An activation function; the rectifier has separate kernels.
fn activate(element: ElementType, function: Activation, x: Pointer, y: Pointer, len: usize) -> Call {
    activation::activate(element, function, x, y, len).unwrap_or_else(|| relu::relu(element, x, y, len))
}

/// Its gradient, from its input or, for the rectifier, from its output.
fn activate_backward(
    element: ElementType,
    function: Activation,
    (x, y): (Pointer, Pointer),
    dy: Pointer,
    dx: Pointer,
    len: usize,
) -> Call {
    activation::activate_backward(element, function, x, dy, dx, len)
        .unwrap_or_else(|| relu::relu_backward(element, y, dy, dx, len))
}
