//! Convolution as one node of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::cuda::call::Pointer;
use crate::cuda::convolution::convolve;
use crate::cuda::device::layer::{FilterGradients, Turned};
use crate::cuda::device::memory::{address, address_of, allocate, start, stored, tensor};
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Operands};
use crate::kept::Kept;
use crate::plan::ConvShape;

/// [`conv2d`](crate::conv2d()) of checked, contiguous arguments.
pub(crate) fn conv2d(shape: ConvShape, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> crate::Result<Tensor> {
    let node = Conv2d { shape, stored: stored(x)?, weight: weight.clone(), filters: Kept::default() };
    let y = x.apply_op2(weight, node)?;
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
    /// The filters in cuDNN's order, for both passes.
    filters: Kept<Turned>,
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
        let filters = Turned::new(device, self.stored, &[(shape, &self.weight)])?;
        let at = Operands { x: address(x, layout)?, weight: filters.at(0), y: start(&y)? };
        convolve(device, self.stored, shape, Direction::Forward, at)?;
        self.filters.set(filters);
        Ok((y, (shape.batch, shape.output.0, shape.output.1, shape.channels_out).into()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(filters) = self.filters.get() else { candle_core::bail!("conv2d: backward without forward") };
        let (shape, device) = (&self.shape, x.device().as_cuda_device()?);
        let contiguous = dy.contiguous()?;
        let dy = address_of(&contiguous)?;
        let layers = [(shape, weight)];
        let of_filters = FilterGradients::new(device, self.stored, &layers)?;
        if of_filters.at(0) != Pointer::NULL {
            let at = Operands { x: address_of(x)?, weight: of_filters.at(0), y: dy };
            convolve(device, self.stored, shape, Direction::Filter, at)?;
        }
        let dw = of_filters.finish(device, &layers)?.pop().flatten();
        if !x.track_op() {
            return Ok((None, dw));
        }
        let dx = allocate(device, self.stored, shape.x_len())?;
        let at = Operands { x: start(&dx)?, weight: filters.at(0), y: dy };
        convolve(device, self.stored, shape, Direction::Data { add: false }, at)?;
        Ok((Some(tensor(dx, x.shape())), dw))
    }
}
