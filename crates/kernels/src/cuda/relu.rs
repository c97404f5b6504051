//! The launches of the rectifier; the kernels are in `relu.cu`.

use crate::cuda::call::{Call, Pointer, unsigned};
use crate::cuda::source::{ElementType, File, Source};

/// `max(x, 0)` to `y`.
pub(crate) fn relu(element: ElementType, x: Pointer, y: Pointer, elements: usize) -> Call {
    let arguments = vec![x.into(), y.into(), unsigned(elements)];
    Call::strided(Source::of(File::Relu, element), "relu", elements, arguments)
}

/// `dy` where `y` is above 0, to `dx`.
pub(crate) fn relu_backward(element: ElementType, y: Pointer, dy: Pointer, dx: Pointer, elements: usize) -> Call {
    let arguments = vec![y.into(), dy.into(), dx.into(), unsigned(elements)];
    Call::strided(Source::of(File::Relu, element), "relu_backward", elements, arguments)
}
