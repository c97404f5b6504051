//! The rectifier as a node of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{address, address_of, allocate, start, stored, tensor};
use crate::cuda::relu as calls;
use crate::cuda::source::ElementType;

/// [`relu`](crate::relu()) of a checked, contiguous argument.
pub(crate) fn relu(x: &Tensor) -> crate::Result<Tensor> {
    Ok(x.apply_op1(Relu(stored(x)?))?)
}

struct Relu(ElementType);

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("relu: a node of the CUDA device ran on the CPU")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let len = layout.shape().elem_count();
        let y = allocate(&x.device, self.0, len)?;
        launch(&x.device, [&calls::relu(self.0, address(x, layout)?, start(&y)?, len)])?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (device, dy) = (x.device().as_cuda_device()?, dy.contiguous()?);
        let dx = allocate(device, self.0, x.elem_count())?;
        let call = calls::relu_backward(self.0, address_of(y)?, address_of(&dy)?, start(&dx)?, x.elem_count());
        launch(device, [&call])?;
        Ok(Some(tensor(dx, x.shape())))
    }
}
