//! Convolutions of channels-last images, converted to another order if cuDNN requires it.

use candle_core::Result;

use crate::cuda::call::Pointer;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Convolution, Direction, Operands, Order, Stream};
use crate::cuda::transpose::transpose;
use crate::plan::ConvShape;

/// One direction of a convolution of images (N, H, W, C) with filters (O, Kh, Kw, I); does nothing for an empty batch.
pub(crate) fn convolve<S: Stream>(
    stream: &S,
    element: ElementType,
    shape: &ConvShape,
    direction: Direction,
    at: Operands,
) -> Result<()> {
    if shape.y_len() == 0 {
        return Ok(());
    }
    // For f64, cuDNN supports only channels first.
    if element == ElementType::F64 {
        return channels_first(stream, element, shape, direction, at);
    }
    let convolution = Convolution { shape: *shape, element, order: Order::ChannelsLast };
    match stream.convolve(&convolution, direction, at) {
        // cuDNN may lack some arithmetic, such as f32 without TF32, for some shapes in channels-last order.
        Err(error) => channels_first(stream, element, shape, direction, at).map_err(|_| error),
        done => done,
    }
}

/// The same with channels-first copies.
fn channels_first<S: Stream>(
    stream: &S,
    element: ElementType,
    shape: &ConvShape,
    direction: Direction,
    at: Operands,
) -> Result<()> {
    let pixels = |(height, width): (usize, usize)| height * width;
    let x = (shape.batch, pixels(shape.input), shape.channels_in);
    let weight = (shape.channels_out, shape.taps(), shape.group_inputs());
    let y = (shape.batch, pixels(shape.output), shape.channels_out);
    let memory =
        |(batch, rows, columns): (usize, usize, usize)| stream.memory(batch * rows * columns * element.bytes());
    let (x_memory, weight_memory, y_memory) = (memory(x)?, memory(weight)?, memory(y)?);
    let [x_to, weight_to, y_to] = [&x_memory, &weight_memory, &y_memory].map(S::address);
    // Copy what is read or added to.
    if direction != (Direction::Data { add: false }) {
        turn(stream, element, x, at.x, x_to)?;
    }
    if direction != Direction::Filter {
        turn(stream, element, weight, at.weight, weight_to)?;
    }
    if direction != Direction::Forward {
        turn(stream, element, y, at.y, y_to)?;
    }
    let copies = Operands { x: x_to, weight: weight_to, y: y_to };
    stream.convolve(&Convolution { shape: *shape, element, order: Order::ChannelsFirst }, direction, copies)?;
    let back = |(batch, rows, columns), from, to| turn(stream, element, (batch, columns, rows), from, to);
    match direction {
        Direction::Forward => back(y, y_to, at.y),
        Direction::Data { .. } => back(x, x_to, at.x),
        Direction::Filter => back(weight, weight_to, at.weight),
    }
}

/// (batch, rows, columns) to (batch, columns, rows).
pub(crate) fn turn<S: Stream>(
    stream: &S,
    element: ElementType,
    extents: (usize, usize, usize),
    from: Pointer,
    to: Pointer,
) -> Result<()> {
    match transpose(element.bytes(), extents, from, to) {
        Some(call) => stream.launch(&call),
        None => candle_core::bail!("lookahead-kernels: {extents:?} elements of {element:?} cannot be transposed"),
    }
}
