//! Activations as nodes of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::Activation;
use crate::cuda::activation as calls;
use crate::cuda::call::Call;
use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{address, address_of, allocate, start, stored, tensor};
use crate::cuda::source::ElementType;

/// [`activate`](crate::activate) of a checked, contiguous argument, except for the rectifier.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> crate::Result<Tensor> {
    Ok(x.apply_op1(Activate { element: stored(x)?, activation })?)
}

struct Activate {
    element: ElementType,
    activation: Activation,
}

impl Activate {
    fn known(&self, call: Option<Call>) -> Result<Call> {
        call.ok_or_else(|| candle_core::Error::msg(format!("activate: no kernel for {:?}", self.activation)))
    }
}

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("activate: a node of the CUDA device ran on the CPU")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let len = layout.shape().elem_count();
        let y = allocate(&x.device, self.element, len)?;
        let call = calls::activate(self.element, self.activation, address(x, layout)?, start(&y)?, len);
        launch(&x.device, [&self.known(call)?])?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (device, dy, len) = (x.device().as_cuda_device()?, dy.contiguous()?, x.elem_count());
        let dx = allocate(device, self.element, len)?;
        let (x_at, dy_at) = (address_of(x)?, address_of(&dy)?);
        let call = calls::activate_backward(self.element, self.activation, x_at, dy_at, start(&dx)?, len);
        launch(device, [&self.known(call)?])?;
        Ok(Some(tensor(dx, x.shape())))
    }
}
