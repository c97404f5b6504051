//! Convolution as one node of candle's graph.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::cpu::choose::Kernels;
use crate::cpu::layer::{bias_gradient, input_gradient, weight_gradient};
use crate::cpu::memory::Place;
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements, with_weight};
use crate::plan::ConvShape;

pub(crate) fn conv2d<T: Kernels>(
    shape: ConvShape,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let node = Conv2d::<T> { shape, weight: weight.detach(), bias: bias.map(Tensor::detach), element: PhantomData };
    match bias {
        Some(bias) => x.apply_op3(weight, bias, node),
        None => x.apply_op2(weight, node),
    }
}

struct Conv2d<T> {
    shape: ConvShape,
    /// The parameters, detached from the graph, in their own type.
    weight: Tensor,
    bias: Option<Tensor>,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> Conv2d<T> {
    fn forward(&self, x: &[T]) -> Result<(CpuStorage, Shape)> {
        let shape = &self.shape;
        let y = with_weight::<T, _>(&self.weight, |weight| match &self.bias {
            Some(bias) => with_weight::<T, _>(bias, |bias| {
                Ok(run::conv2d_forward_biased(shape, x, weight, Some(bias), Place::Tensor))
            }),
            None => Ok(run::conv2d_forward(shape, x, weight, Place::Tensor)),
        })?;
        Ok((T::to_cpu_storage_owned(y.into_vec()), shape.output_extents().into()))
    }

    fn backward(&self, x: &Tensor, weight: &Tensor, dy: &[T]) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let shape = &self.shape;
        let dx = match x.track_op() {
            true => Some(tensor(input_gradient(shape, dy, weight, Place::Tensor)?.into_vec(), x.shape())),
            false => None,
        };
        Ok((dx, with_elements::<T, _>(x, |x| weight_gradient(shape, x, dy, weight))?))
    }
}

impl<T: Kernels> CustomOp2 for Conv2d<T> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(elements(x, layout)?)
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        with_elements::<T, _>(&dy, |dy| self.backward(x, weight, dy))
    }
}

impl<T: Kernels> CustomOp3 for Conv2d<T> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(elements(x, layout)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        with_elements::<T, _>(&dy, |dy| {
            let (dx, dw) = self.backward(x, weight, dy)?;
            Ok((dx, dw, bias_gradient(dy, bias)?))
        })
    }
}
