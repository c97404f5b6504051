//! Conversions between candle's tensors and the slices that kernels use.

use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor, WithDType};

use crate::Error;
use crate::cpu::element::Element;

/// The elements of a contiguous tensor seen by a custom op.
pub(crate) fn elements<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op: "lookahead-kernels" }.bt())?;
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// Runs `f` on the elements of a contiguous CPU tensor.
pub(crate) fn with_elements<T: Element, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(cpu) => f(elements(cpu, layout)?),
        _ => candle_core::bail!("lookahead-kernels: a saved tensor has left the CPU"),
    }
}

/// Runs `f` on the elements of a weight of type `T` or of its accumulator.
pub(crate) fn with_weight<T: Element, R>(weight: &Tensor, f: impl FnOnce(&[T::Accumulator]) -> Result<R>) -> Result<R> {
    with_elements::<T::Accumulator, R>(&weight.detach().to_dtype(T::Accumulator::DTYPE)?, f)
}

/// The numbers of a u32 tensor, in order, all of them below `count`; `rule` says so in words.
pub(crate) fn indices(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    count: usize,
    rule: &'static str,
) -> crate::Result<Vec<u32>> {
    let numbers = tensor.flatten_all()?.to_vec1::<u32>()?;
    match numbers.iter().find(|&&number| number as usize >= count) {
        Some(number) => Err(Error::Argument { op, argument, rule, value: format!("{number} of {count}") }),
        None => Ok(numbers),
    }
}

/// A tensor of these elements, without a graph.
pub(crate) fn tensor<T: Element>(elements: Vec<T>, shape: impl Into<Shape>) -> Tensor {
    let storage = Storage::Cpu(T::to_cpu_storage_owned(elements));
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}
