//! The launches of pooling; the kernels are in `pool.cu`.

use crate::cuda::call::{Argument, Call, Pointer, int, unsigned};
use crate::cuda::source::{ElementType, File, Source};
use crate::plan::PoolShape;

/// Elements on the input and the output side.
pub(crate) fn lens(shape: &PoolShape) -> (usize, usize) {
    let extent = |(height, width): (usize, usize)| shape.batch * height * width * shape.channels;
    (extent(shape.input), extent(shape.output))
}

/// Writes the largest value of each window to `y` and its pixel index, u32, to `winners`.
pub(crate) fn max_pool(element: ElementType, shape: &PoolShape, x: Pointer, y: Pointer, winners: Pointer) -> Call {
    let outputs = lens(shape).1;
    let mut arguments = vec![x.into(), y.into(), winners.into(), unsigned(outputs)];
    arguments.extend(extents(shape));
    arguments.push(int(shape.window.kernel.0));
    arguments.extend(steps(shape));
    Call::each(Source::of(File::Pool, element), "max_pool", outputs, arguments)
}

/// The gradient of [`max_pool`].
pub(crate) fn max_pool_backward(
    element: ElementType,
    shape: &PoolShape,
    dy: Pointer,
    winners: Pointer,
    dx: Pointer,
) -> Call {
    let inputs = lens(shape).0;
    let mut arguments = vec![dy.into(), winners.into(), dx.into(), unsigned(inputs)];
    arguments.extend(extents(shape));
    arguments.push(int(shape.window.kernel.0));
    arguments.extend(steps(shape));
    Call::each(Source::of(File::Pool, element), "max_pool_backward", inputs, arguments)
}

/// Writes the mean of each window to `y`.
pub(crate) fn avg_pool(element: ElementType, shape: &PoolShape, x: Pointer, y: Pointer) -> Call {
    average(element, shape, "avg_pool", x, y, lens(shape).1)
}

/// The gradient of [`avg_pool`].
pub(crate) fn avg_pool_backward(element: ElementType, shape: &PoolShape, dy: Pointer, dx: Pointer) -> Call {
    average(element, shape, "avg_pool_backward", dy, dx, lens(shape).0)
}

fn average(
    element: ElementType,
    shape: &PoolShape,
    kernel: &'static str,
    from: Pointer,
    to: Pointer,
    work: usize,
) -> Call {
    let mut arguments = vec![from.into(), to.into(), unsigned(work)];
    arguments.extend(extents(shape));
    arguments.extend([int(shape.window.kernel.0), int(shape.window.kernel.1)]);
    arguments.extend(steps(shape));
    Call::each(Source::of(File::Pool, element), kernel, work, arguments)
}

fn extents(shape: &PoolShape) -> [Argument; 5] {
    [shape.input.0, shape.input.1, shape.channels, shape.output.0, shape.output.1].map(int)
}

fn steps(shape: &PoolShape) -> [Argument; 2] {
    [int(shape.window.stride), int(shape.window.padding)]
}
