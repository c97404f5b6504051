//! Rows of a table by index, and times a mask.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::cpu::element::Element;
use crate::cpu::embedding::gradient;
use crate::cpu::graph::pass::on_the_pool;
use crate::cpu::run;
use crate::cpu::tensors::{indices, tensor, with_elements};

/// `op` is the function that was called, for messages.
pub(crate) fn embedding<T: Element>(
    op: &'static str,
    weight: &Tensor,
    ids: &Tensor,
    mask: Option<&Tensor>,
) -> crate::Result<Tensor> {
    let (count, width) = weight.dims2()?;
    let shape = Shape::from([ids.dims(), &[width]].concat());
    let ids = indices(op, "ids", ids, count, "below the number of rows")?;
    let (token, slot) = bundle::pair(weight, weight)?;
    let (weight, mask) = (weight.clone(), mask.cloned());
    Ok(token.apply_op1(Embedding::<T> { weight, ids, mask, shape, slot, element: PhantomData })?)
}

struct Embedding<T> {
    weight: Tensor,
    ids: Vec<u32>,
    mask: Option<Tensor>,
    /// That of the ids, and a row.
    shape: Shape,
    slot: Slot,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Embedding<T> {
    fn with_mask<R>(&self, f: impl FnOnce(Option<&[T]>) -> Result<R>) -> Result<R> {
        match &self.mask {
            Some(mask) => with_elements::<T, _>(mask, |mask| f(Some(mask))),
            None => f(None),
        }
    }
}

impl<T: Element> CustomOp1 for Embedding<T> {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = self.weight.dims2()?;
        let rows = with_elements::<T, _>(&self.weight, |weight| {
            self.with_mask(|mask| Ok(run::rows(weight, width, &self.ids, mask)))
        })?;
        Ok((T::to_cpu_storage_owned(rows), self.shape.clone()))
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (count, width) = self.weight.dims2()?;
        let table = with_elements::<T, _>(&dy.contiguous()?, |dy| {
            self.with_mask(|mask| Ok(on_the_pool(|| gradient(dy, (count, width), &self.ids, mask))))
        })?;
        self.slot.put(vec![Some(tensor(table, self.weight.shape())), None])?;
        Ok(bundle::gradient(token))
    }
}
