//! A product with a constant.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::cpu::element::Element;
use crate::cpu::memory::Place;
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements};

pub(crate) fn masked<T: Element>(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    x.apply_op1(Masked::<T> { mask: mask.clone(), element: PhantomData })
}

struct Masked<T> {
    mask: Tensor,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Masked<T> {
    fn times(&self, x: &[T]) -> Result<Vec<T>> {
        with_elements::<T, _>(&self.mask, |mask| Ok(run::masked(x, mask, Place::Tensor).into_vec()))
    }
}

impl<T: Element> CustomOp1 for Masked<T> {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.times(elements::<T>(x, layout)?)?;
        Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_elements::<T, _>(&dy.contiguous()?, |dy| self.times(dy))?;
        Ok(Some(tensor(dx, x.shape())))
    }
}
