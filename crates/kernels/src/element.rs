//! The element types and, for each, the kernels that serve it.

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, Layout, Tensor, WithDType};

use crate::geometry::ConvShape;
use crate::reference;
use crate::workspace::Pool;

/// Per-channel numbers of one normalisation pass, in double precision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f64>,
    /// Biased: divided by the count.
    pub(crate) variance: Vec<f64>,
}

/// `y = max((x - center) * scale + shift + residual, floor)`, channel by channel.
#[derive(Debug, Clone)]
pub(crate) struct Affine<T> {
    pub(crate) center: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) shift: Vec<T>,
}

/// Elements that activations can consist of, and the kernels that serve them: the slow, plain ones by default, faster ones
/// where they exist.
///
/// Activations are channels-last; weights are in candle's (O, I, Kh, Kw) order. Outputs are written completely.
pub(crate) trait Element: WithDType {
    /// What weights, per-channel numbers and sums consist of: f32 for bf16, the type itself otherwise.
    type Accumulator: Element<Accumulator = Self::Accumulator>;

    fn widen(self) -> Self::Accumulator;
    /// The nearest element.
    fn narrow(sum: Self::Accumulator) -> Self;
    /// Runs `sum` on the elements of `out` as accumulators; each element is rounded once, when all is summed.
    fn accumulate(out: &mut [Self], sum: impl FnOnce(&mut [Self::Accumulator]));
    /// The vectors of this type that wait for their next use.
    fn idle() -> &'static Pool<Self>;

    fn conv2d_forward(shape: &ConvShape, x: &[Self], weight: &[Self::Accumulator], y: &mut [MaybeUninit<Self>]) {
        reference::conv2d::forward(shape, x, weight, y);
    }
    /// Adds to what `dx` holds if `add`; then all of it must have been written.
    fn conv2d_backward_data(
        shape: &ConvShape,
        dy: &[Self],
        weight: &[Self::Accumulator],
        add: bool,
        dx: &mut [MaybeUninit<Self>],
    ) {
        reference::conv2d::backward_data(shape, dy, weight, add, dx);
    }
    fn conv2d_backward_weight(shape: &ConvShape, x: &[Self], dy: &[Self], dw: &mut [MaybeUninit<Self::Accumulator>]) {
        reference::conv2d::backward_weight(shape, x, dy, dw);
    }
    fn moments(x: &[Self], channels: usize) -> Moments {
        reference::norm::moments(x, channels)
    }
    fn normalise(
        x: &[Self],
        affine: &Affine<Self::Accumulator>,
        residual: Option<&[Self]>,
        relu: bool,
        y: &mut [MaybeUninit<Self>],
    ) {
        reference::norm::apply(x, affine, residual, relu, y);
    }
    /// Per channel, the sums of `dy` and of `dy * (x - center)`; `dy` counts only where `y` is positive, if given.
    fn gradient_sums(
        x: &[Self],
        center: &[Self::Accumulator],
        y: Option<&[Self]>,
        dy: &[Self],
    ) -> (Vec<f64>, Vec<f64>) {
        reference::norm::gradient_sums(x, center, y, dy)
    }
    /// `dx = scale * dy + slope * (x - center) + offset`, with `dy` cut by `y` as above; the cut `dy` goes to `residual`.
    fn normalise_backward(
        x: &[Self],
        terms: &GradientTerms<Self::Accumulator>,
        y: Option<&[Self]>,
        dy: &[Self],
        dx: &mut [MaybeUninit<Self>],
        residual: Option<&mut [MaybeUninit<Self>]>,
    ) {
        reference::norm::backward(x, terms, y, dy, dx, residual);
    }
}

/// The per-channel numbers of batch norm's input gradient.
#[derive(Debug, Clone)]
pub(crate) struct GradientTerms<T> {
    pub(crate) center: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) slope: Vec<T>,
    pub(crate) offset: Vec<T>,
}

impl Element for f64 {
    type Accumulator = f64;

    fn widen(self) -> f64 {
        self
    }
    fn narrow(sum: f64) -> f64 {
        sum
    }
    fn accumulate(out: &mut [f64], sum: impl FnOnce(&mut [f64])) {
        sum(out);
    }
    fn idle() -> &'static Pool<f64> {
        static IDLE: Pool<f64> = Pool::new();
        &IDLE
    }
}

/// The elements of a contiguous tensor seen by a custom op.
pub(crate) fn elements<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [T]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op: "lookahead-kernels" }.bt())?;
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// Runs `f` on the elements of a contiguous CPU tensor.
pub(crate) fn with_elements<T: Element, R>(
    tensor: &Tensor,
    f: impl FnOnce(&[T]) -> candle_core::Result<R>,
) -> candle_core::Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(cpu) => f(elements(cpu, layout)?),
        _ => candle_core::bail!("lookahead-kernels: a saved tensor has left the CPU"),
    }
}

/// Runs `f` on the elements of a weight that is of `T` or of its accumulators.
pub(crate) fn with_weight<T: Element, R>(
    weight: &Tensor,
    f: impl FnOnce(&[T::Accumulator]) -> candle_core::Result<R>,
) -> candle_core::Result<R> {
    with_elements::<T::Accumulator, R>(&weight.detach().to_dtype(T::Accumulator::DTYPE)?, f)
}

/// A tensor without a graph around elements.
pub(crate) fn tensor<T: Element>(elements: Vec<T>, shape: impl Into<candle_core::Shape>) -> Tensor {
    let storage = candle_core::Storage::Cpu(T::to_cpu_storage_owned(elements));
    Tensor::from_storage(storage, shape, candle_core::op::BackpropOp::none(), false)
}
