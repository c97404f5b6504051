//! The graph node behind `batch_norm` and `conv2d_batch_norm` on the device.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::Activation;
use crate::bundle::{self, Slot};
use crate::cuda::batch_norm::{Backward, Forward};
use crate::cuda::call::Pointer;
use crate::cuda::convolution::convolve;
use crate::cuda::device::activation::activate;
use crate::cuda::device::layer::{FilterGradients, NormGradients, Turned, norm};
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Operands};
use crate::kept::Kept;
use crate::plan::{Input, NormPlan};

/// Data that a forward pass keeps for the backward pass.
struct Saved {
    /// Transposed filters and the convolution's output, if there is one.
    convolved: Option<(Turned, Scratch)>,
    /// Mean and reciprocal of every channel.
    numbers: Scratch,
}

struct NormNode {
    plan: NormPlan,
    element: ElementType,
    /// Gradients of the weights, if any, then of scale and shift.
    gradients: Slot,
    saved: Kept<Saved>,
}

/// The gradients of input and residual.
type Gradients = (Option<Tensor>, Option<Tensor>);

/// Batch norm of checked, contiguous arguments, alone or after a convolution.
pub(crate) fn batch_norm(x: &Tensor, residual: Option<&Tensor>, mut plan: NormPlan) -> crate::Result<Tensor> {
    // Activations other than the rectifier are separate nodes here.
    let apart = plan.after.filter(|after| *after != Activation::Relu);
    if let Some(after) = apart {
        plan.after = None;
        return activate(&batch_norm(x, residual, plan)?, after);
    }
    let (parameters, gradients) = match &plan.input {
        Input::Given => bundle::pair(&plan.norm.weight, &plan.norm.bias)?,
        Input::Convolved(_, weight) => bundle::triple(weight, &plan.norm.weight, &plan.norm.bias)?,
    };
    let node = NormNode { plan, element: stored(x)?, gradients, saved: Kept::default() };
    Ok(match residual {
        Some(residual) => x.apply_op3(residual, &parameters, node)?,
        None => x.apply_op2(&parameters, node)?,
    })
}

impl NormNode {
    fn rows(&self) -> usize {
        self.plan.output.0 * self.plan.output.1 * self.plan.output.2
    }

    fn len(&self) -> usize {
        self.rows() * self.plan.output.3
    }

    fn forward(&self, x: &CudaStorage, layout: &Layout, residual: Pointer) -> Result<(CudaStorage, Shape)> {
        let (device, x_at) = (&x.device, address(x, layout)?);
        let convolved = match &self.plan.input {
            Input::Given => None,
            Input::Convolved(shape, weight) => {
                let filters = Turned::new(device, self.element, &[(shape, weight)])?;
                let convolved = Scratch::new(device, self.len() * self.element.bytes())?;
                let at = Operands { x: x_at, weight: filters.at(0), y: convolved.at() };
                convolve(device, self.element, shape, Direction::Forward, at)?;
                Some((filters, convolved))
            }
        };
        let y = allocate(device, self.element, self.len())?;
        let input = convolved.as_ref().map_or(x_at, |(_, convolved)| convolved.at());
        let at = Forward { x: input, residual, y: start(&y)?, relu: self.plan.after.is_some() };
        let norm = norm(&self.plan.norm, self.element, self.rows())?;
        let numbers = norm.forward(device, self.plan.mode, &at)?;
        self.saved.set(Saved { convolved, numbers });
        Ok((y, self.plan.output.into()))
    }

    fn backward(&self, x: &Tensor, residual: Option<&Tensor>, y: &Tensor, dy: &Tensor) -> Result<Gradients> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("{}: backward without forward", self.plan.op);
        };
        let device = x.device().as_cuda_device()?;
        let (x_at, dy) = (address_of(x)?, dy.contiguous()?);
        let y_at = if self.plan.after.is_some() { address_of(y)? } else { Pointer::NULL };
        let input = saved.convolved.as_ref().map_or(x_at, |(_, convolved)| convolved.at());
        let d_residual = match residual.filter(|residual| residual.track_op()) {
            Some(_) => Some(allocate(device, self.element, self.len())?),
            None => None,
        };
        let d_residual_at = d_residual.as_ref().map_or(Ok(Pointer::NULL), start)?;
        let d_input = allocate(device, self.element, self.len())?;
        let d_input_at = start(&d_input)?;
        let norm = norm(&self.plan.norm, self.element, self.rows())?;
        let of_norm = NormGradients::new(device, &norm.matrix)?;
        let (d_weight, d_bias) = of_norm.at()?;
        let at = Backward {
            x: input,
            y: y_at,
            dy: address_of(&dy)?,
            d_weight,
            d_bias,
            dx: d_input_at,
            d_residual: d_residual_at,
        };
        norm.backward(device, self.plan.mode, &saved.numbers, &at)?;
        let mut parameters = Vec::with_capacity(3);
        let dx = match (&self.plan.input, &saved.convolved) {
            (Input::Convolved(shape, weight), Some((filters, _))) => {
                let layers = [(shape, weight)];
                let of_filters = FilterGradients::new(device, self.element, &layers)?;
                if of_filters.at(0) != Pointer::NULL {
                    let at = Operands { x: x_at, weight: of_filters.at(0), y: d_input_at };
                    convolve(device, self.element, shape, Direction::Filter, at)?;
                }
                parameters.extend(of_filters.finish(device, &layers)?);
                if x.track_op() {
                    let dx = allocate(device, self.element, shape.x_len())?;
                    let at = Operands { x: start(&dx)?, weight: filters.at(0), y: d_input_at };
                    convolve(device, self.element, shape, Direction::Data { add: false }, at)?;
                    Some(tensor(dx, x.shape()))
                } else {
                    None
                }
            }
            _ => x.track_op().then(|| tensor(d_input, x.shape())),
        };
        parameters.extend(of_norm.tensors());
        self.gradients.put(parameters)?;
        Ok((dx, d_residual.map(|d_residual| tensor(d_residual, self.plan.output))))
    }
}

impl CustomOp2 for NormNode {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("{}: a node of the CUDA device ran on the CPU", self.plan.op)
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward(x, layout, Pointer::NULL)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, _) = self.backward(x, None, y, dy)?;
        Ok((dx, bundle::gradient(parameters)))
    }
}

impl CustomOp3 for NormNode {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("{}: a node of the CUDA device ran on the CPU", self.plan.op)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        residual: &CudaStorage,
        residual_layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward(x, x_layout, address(residual, residual_layout)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, d_residual) = self.backward(x, Some(residual), y, dy)?;
        Ok((dx, d_residual, bundle::gradient(parameters)))
    }
}
