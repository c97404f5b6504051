//! The rectifier.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::cpu::choose::Kernels;
use crate::cpu::run::pairwise;
use crate::cpu::tensors::{elements, tensor, with_elements};

/// Elements one task works on.
const TASK_ELEMENTS: usize = 1 << 16;

pub(crate) fn relu<T: Kernels>(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Relu::<T>(PhantomData))
}

struct Relu<T>(PhantomData<fn() -> T>);

impl<T: Kernels> CustomOp1 for Relu<T> {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements::<T>(x, layout)?;
        let y = pairwise(x, x, TASK_ELEMENTS, |x, _| if x < T::zero() { T::zero() } else { x });
        Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let mask = |dy: T, y: T| if y <= T::zero() { T::zero() } else { dy };
        let dx =
            with_elements::<T, _>(&dy, |dy| with_elements::<T, _>(y, |y| Ok(pairwise(dy, y, TASK_ELEMENTS, mask))))?;
        Ok(Some(tensor(dx, y.shape())))
    }
}
