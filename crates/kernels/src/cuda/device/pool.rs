//! Pooling as nodes of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::pool;
use crate::cuda::source::ElementType;
use crate::kept::Kept;
use crate::plan::PoolShape;

/// [`max_pool2d`](crate::max_pool2d()) of a checked, contiguous argument.
pub(crate) fn max_pool(shape: PoolShape, x: &Tensor) -> crate::Result<Tensor> {
    Ok(x.apply_op1(MaxPool { shape, stored: stored(x)?, winners: Kept::default() })?)
}

/// [`avg_pool2d`](crate::avg_pool2d()) or the mean of whole images, likewise.
pub(crate) fn avg_pool(op: &'static str, shape: PoolShape, x: &Tensor) -> crate::Result<Tensor> {
    Ok(x.apply_op1(AvgPool { op, shape, stored: stored(x)? })?)
}

fn output(shape: &PoolShape) -> Shape {
    (shape.batch, shape.output.0, shape.output.1, shape.channels).into()
}

struct MaxPool {
    shape: PoolShape,
    stored: ElementType,
    /// The position of each output element's maximum: a pixel of its image, u32.
    winners: Kept<Scratch>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("max_pool2d: a node of the CUDA device ran on the CPU")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let outputs = pool::lens(&self.shape).1;
        let y = allocate(&x.device, self.stored, outputs)?;
        let winners = Scratch::new(&x.device, 4 * outputs)?;
        let call = pool::max_pool(self.stored, &self.shape, address(x, layout)?, start(&y)?, winners.at());
        launch(&x.device, [&call])?;
        self.winners.set(winners);
        Ok((y, output(&self.shape)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(winners) = self.winners.get() else { candle_core::bail!("max_pool2d: backward without forward") };
        let (device, dy) = (x.device().as_cuda_device()?, dy.contiguous()?);
        let dx = allocate(device, self.stored, pool::lens(&self.shape).0)?;
        let call = pool::max_pool_backward(self.stored, &self.shape, address_of(&dy)?, winners.at(), start(&dx)?);
        launch(device, [&call])?;
        Ok(Some(tensor(dx, x.shape())))
    }
}

struct AvgPool {
    op: &'static str,
    shape: PoolShape,
    stored: ElementType,
}

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("{}: a node of the CUDA device ran on the CPU", self.op)
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let y = allocate(&x.device, self.stored, pool::lens(&self.shape).1)?;
        launch(&x.device, [&pool::avg_pool(self.stored, &self.shape, address(x, layout)?, start(&y)?)])?;
        Ok((y, output(&self.shape)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (device, dy) = (x.device().as_cuda_device()?, dy.contiguous()?);
        let dx = allocate(device, self.stored, pool::lens(&self.shape).0)?;
        launch(device, [&pool::avg_pool_backward(self.stored, &self.shape, address_of(&dy)?, start(&dx)?)])?;
        Ok(Some(tensor(dx, x.shape())))
    }
}
