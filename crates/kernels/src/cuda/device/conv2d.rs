//! Convolution as one node of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::cuda::device::layer::{self, Filters};
use crate::cuda::device::memory::{address, address_of, allocate, start, stored, tensor};
use crate::cuda::source::ElementType;
use crate::plan::ConvShape;

/// [`conv2d`](crate::conv2d()) of checked, contiguous arguments.
pub(crate) fn conv2d(shape: ConvShape, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> crate::Result<Tensor> {
    // cuDNN takes filters of the activations' type; the gradient of the cast brings theirs back.
    let weight = weight.to_dtype(x.dtype())?;
    let y = x.apply_op2(&weight, Conv2d { shape, stored: stored(x)?, weight: weight.clone() })?;
    match bias {
        Some(bias) => Ok(y.broadcast_add(&bias.to_dtype(x.dtype())?)?),
        None => Ok(y),
    }
}

struct Conv2d {
    shape: ConvShape,
    stored: ElementType,
    /// The second input again, as a tensor.
    weight: Tensor,
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("conv2d: a node of the CUDA device ran on the CPU")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let (shape, device) = (&self.shape, &x.device);
        let y = allocate(device, self.stored, shape.y_len())?;
        let filters = Filters::new(device, shape, &self.weight)?;
        layer::convolve(device, self.stored, shape, address(x, layout)?, &filters, start(&y)?)?;
        Ok((y, (shape.batch, shape.output.0, shape.output.1, shape.channels_out).into()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (shape, dy) = (&self.shape, dy.contiguous()?);
        let device = x.device().as_cuda_device()?;
        let dw = layer::filters_gradient(device, shape, address_of(x)?, address_of(&dy)?, weight)?;
        if !x.track_op() {
            return Ok((None, dw));
        }
        let dx = allocate(device, self.stored, shape.x_len())?;
        let filters = Filters::new(device, shape, weight)?;
        layer::data_gradient(device, self.stored, shape, address_of(&dy)?, &filters, false, start(&dx)?)?;
        Ok((Some(tensor(dx, x.shape())), dw))
    }
}
