//! The launches of activations; the kernels are in `activation.cu`. The rectifier has separate kernels, which read its
//! output.

use crate::Activation;
use crate::cuda::call::{Argument, Call, Pointer, int, unsigned};
use crate::cuda::source::{ElementType, File, Source};

/// The number of a function in the source; `None` for the rectifier.
fn kind(activation: Activation) -> Option<Argument> {
    match activation {
        Activation::Relu => None,
        Activation::Gelu => Some(int(0)),
        Activation::GeluTanh => Some(int(1)),
        Activation::Silu => Some(int(2)),
    }
}

/// The function of `x` to `y`.
pub(crate) fn activate(
    element: ElementType,
    activation: Activation,
    x: Pointer,
    y: Pointer,
    elements: usize,
) -> Option<Call> {
    let arguments = vec![x.into(), y.into(), kind(activation)?, unsigned(elements)];
    Some(Call::strided(Source::of(File::Activation, element), "activate", elements, arguments))
}

/// Writes the gradient of the input to `dx`.
pub(crate) fn activate_backward(
    element: ElementType,
    activation: Activation,
    x: Pointer,
    dy: Pointer,
    dx: Pointer,
    elements: usize,
) -> Option<Call> {
    let arguments = vec![x.into(), dy.into(), dx.into(), kind(activation)?, unsigned(elements)];
    Some(Call::strided(Source::of(File::Activation, element), "activate_backward", elements, arguments))
}
