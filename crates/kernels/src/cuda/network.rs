//! Residual blocks, forward and backward, independent of graph and device.
//!
//! Inner gradients are passed on in place, and cuDNN adds a second gradient to the first.

use candle_core::Result;

use crate::Mode;
use crate::cuda::batch_norm::{Backward, Forward};
use crate::cuda::call::Pointer;
use crate::cuda::chain::{Stage, StageBackward};
use crate::cuda::convolution::convolve;
use crate::cuda::layer::Norm;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Operands, Stream};
use crate::plan::ConvShape;

/// A convolution and batch norm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) shape: ConvShape,
    /// (O, Kh, Kw, I), of the activations' type.
    pub(crate) filters: Pointer,
    pub(crate) norm: Norm,
}

/// The shortcut added to a block's path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Nothing,
    Identity,
    Projection(Layer),
}

/// Layers with a rectifier after each, and the shortcut added before the last rectifier.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) path: Vec<Layer>,
    pub(crate) side: Side,
}

/// Addresses for the gradients of a layer's parameters; that of the filters is in cuDNN's order, or null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerGradients {
    pub(crate) filters: Pointer,
    pub(crate) scale: Pointer,
    pub(crate) shift: Pointer,
}

/// The same for a block; the projection's are last.
pub(crate) type BlockGradients = Vec<LayerGradients>;

/// Data that a layer keeps: the convolution's output and the norm's statistics.
struct LeftOfLayer<M> {
    convolved: M,
    numbers: M,
}

/// Data that a block keeps.
pub(crate) struct LeftOfBlock<M> {
    path: Vec<LeftOfLayer<M>>,
    /// Outputs of the path's layers except the last.
    inner: Vec<M>,
    side: Option<LeftOfLayer<M>>,
}

impl Layer {
    fn element(&self) -> ElementType {
        self.norm.matrix.element
    }

    fn input_bytes(&self) -> usize {
        self.shape.x_len() * self.element().bytes()
    }

    fn forward<S: Stream>(&self, stream: &S, mode: Mode, at: Forward) -> Result<LeftOfLayer<S::Memory>> {
        let convolved = stream.memory(self.norm.matrix.bytes())?;
        let x = S::address(&convolved);
        let operands = Operands { x: at.x, weight: self.filters, y: x };
        convolve(stream, self.element(), &self.shape, Direction::Forward, operands)?;
        let numbers = self.norm.forward(stream, mode, &Forward { x, ..at })?;
        Ok(LeftOfLayer { convolved, numbers })
    }

    /// Computes the gradients of the parameters from that of the output; returns the gradient of the convolution's output.
    fn backward<S: Stream>(
        &self,
        stream: &S,
        mode: Mode,
        left: &LeftOfLayer<S::Memory>,
        at: LayerBackward,
        to: &LayerGradients,
    ) -> Result<S::Memory> {
        let d_convolved = stream.memory(self.norm.matrix.bytes())?;
        let dx = S::address(&d_convolved);
        let LayerBackward { x, y, dy, d_residual } = at;
        let (d_weight, d_bias) = (to.scale, to.shift);
        let norm = Backward { x: S::address(&left.convolved), y, dy, d_weight, d_bias, dx, d_residual };
        self.norm.backward(stream, mode, &left.numbers, &norm)?;
        if to.filters != Pointer::NULL {
            let operands = Operands { x, weight: to.filters, y: dx };
            convolve(stream, self.element(), &self.shape, Direction::Filter, operands)?;
        }
        Ok(d_convolved)
    }

    /// The gradient of the input, added to `dx` if `add`.
    fn input_gradient<S: Stream>(&self, stream: &S, d_convolved: &S::Memory, add: bool, dx: Pointer) -> Result<()> {
        let operands = Operands { x: dx, weight: self.filters, y: S::address(d_convolved) };
        convolve(stream, self.element(), &self.shape, Direction::Data { add }, operands)
    }
}

/// The tensors of a layer's backward pass: input, output (null without a rectifier), gradient of the output, and an address for
/// the masked gradient, or null.
struct LayerBackward {
    x: Pointer,
    y: Pointer,
    dy: Pointer,
    d_residual: Pointer,
}

impl Stage for Block {
    type Left<M> = LeftOfBlock<M>;
    type Gradients = BlockGradients;

    fn input_bytes(&self) -> usize {
        self.path.first().map_or(0, Layer::input_bytes)
    }

    fn output_bytes(&self) -> usize {
        self.path.last().map_or(0, |layer| layer.norm.matrix.bytes())
    }

    fn forward<S: Stream>(&self, stream: &S, mode: Mode, x: Pointer, y: Pointer) -> Result<LeftOfBlock<S::Memory>> {
        let mut projected = None;
        let (mut side, mut residual) = (None, Pointer::NULL);
        match &self.side {
            Side::Nothing => (),
            Side::Identity => residual = x,
            Side::Projection(layer) => {
                let memory = projected.insert(stream.memory(self.output_bytes())?);
                residual = S::address(memory);
                let at = Forward { x, residual: Pointer::NULL, y: residual, relu: false };
                side = Some(layer.forward(stream, mode, at)?);
            }
        }
        let (mut path, mut inner) = (Vec::with_capacity(self.path.len()), Vec::with_capacity(self.path.len()));
        let mut input = x;
        for (index, layer) in self.path.iter().enumerate() {
            let at = if index + 1 < self.path.len() {
                let memory = stream.memory(layer.norm.matrix.bytes())?;
                let y = S::address(&memory);
                inner.push(memory);
                Forward { x: input, residual: Pointer::NULL, y, relu: true }
            } else {
                Forward { x: input, residual, y, relu: true }
            };
            path.push(layer.forward(stream, mode, at)?);
            input = at.y;
        }
        Ok(LeftOfBlock { path, inner, side })
    }

    fn backward<S: Stream>(
        &self,
        stream: &S,
        mode: Mode,
        left: &LeftOfBlock<S::Memory>,
        at: StageBackward,
        to: &BlockGradients,
    ) -> Result<()> {
        // If the input itself was added, the masked gradient of the output is part of the input's gradient.
        let memory = match self.side {
            Side::Projection(_) => Some(stream.memory(self.output_bytes())?),
            Side::Nothing | Side::Identity => None,
        };
        let masked = match self.side {
            Side::Nothing => Pointer::NULL,
            Side::Identity => at.dx,
            Side::Projection(_) => memory.as_ref().map_or(Pointer::NULL, S::address),
        };
        let mut gradient: Option<S::Memory> = None;
        for (index, layer) in self.path.iter().enumerate().rev() {
            let is_last = index + 1 == self.path.len();
            let layer_at = LayerBackward {
                x: index.checked_sub(1).map_or(at.x, |before| S::address(&left.inner[before])),
                y: if is_last { at.y } else { S::address(&left.inner[index]) },
                dy: gradient.as_ref().map_or(at.dy, S::address),
                d_residual: if is_last { masked } else { Pointer::NULL },
            };
            let d_convolved = layer.backward(stream, mode, &left.path[index], layer_at, &to[index])?;
            if index > 0 {
                let dx = stream.memory(layer.input_bytes())?;
                layer.input_gradient(stream, &d_convolved, false, S::address(&dx))?;
                gradient = Some(dx);
                continue;
            }
            if let (Side::Projection(side), Some(left), Some(to)) = (&self.side, &left.side, to.last()) {
                let side_at = LayerBackward { x: at.x, y: Pointer::NULL, dy: masked, d_residual: Pointer::NULL };
                let d_projected = side.backward(stream, mode, left, side_at, to)?;
                if at.dx != Pointer::NULL {
                    side.input_gradient(stream, &d_projected, false, at.dx)?;
                }
            }
            if at.dx != Pointer::NULL {
                let add = !matches!(self.side, Side::Nothing);
                layer.input_gradient(stream, &d_convolved, add, at.dx)?;
            }
        }
        Ok(())
    }
}
