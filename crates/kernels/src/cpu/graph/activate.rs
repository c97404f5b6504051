//! Activation functions as a graph node. The backward pass needs only the input, which candle keeps.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::Activation;
use crate::cpu::choose::Kernels;
use crate::cpu::memory::Place;
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements};

pub(crate) fn activate<T: Kernels>(x: &Tensor, activation: Activation) -> Result<Tensor> {
    x.apply_op1(Activate::<T> { activation, element: PhantomData })
}

struct Activate<T> {
    activation: Activation,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> CustomOp1 for Activate<T> {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = run::activate(self.activation, elements::<T>(x, layout)?, Place::Tensor);
        Ok((T::to_cpu_storage_owned(y.into_vec()), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let dx = with_elements::<T, _>(&dy, |dy| {
            with_elements::<T, _>(x, |x| Ok(run::activate_backward(self.activation, x, dy, Place::Tensor).into_vec()))
        })?;
        Ok(Some(tensor(dx, x.shape())))
    }
}
