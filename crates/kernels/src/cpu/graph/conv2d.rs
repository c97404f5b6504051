//! Convolution as one node of candle's graph.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::cpu::choose::Kernels;
use crate::cpu::layer::{convolve, input_gradient, weight_gradient};
use crate::cpu::memory::Place;
use crate::cpu::tensors::{elements, tensor, with_elements};
use crate::plan::ConvShape;

pub(crate) fn conv2d<T: Kernels>(shape: ConvShape, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.apply_op2(weight, Conv2d::<T> { shape, weight: weight.detach(), element: PhantomData })
}

struct Conv2d<T> {
    shape: ConvShape,
    /// The weight apart from the graph, of whichever type it is.
    weight: Tensor,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> CustomOp2 for Conv2d<T> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = &self.shape;
        let y = convolve::<T>(shape, elements(x, layout)?, &self.weight, Place::Tensor)?.into_vec();
        Ok((T::to_cpu_storage_owned(y), shape.output_extents().into()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (shape, dy) = (&self.shape, dy.contiguous()?);
        with_elements::<T, _>(&dy, |dy| {
            let dx = match x.track_op() {
                true => Some(tensor(input_gradient(shape, dy, weight, Place::Tensor)?.into_vec(), x.shape())),
                false => None,
            };
            Ok((dx, with_elements::<T, _>(x, |x| weight_gradient(shape, x, dy, weight))?))
        })
    }
}
