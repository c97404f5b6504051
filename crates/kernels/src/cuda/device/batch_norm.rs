//! The graph node behind `batch_norm` and `conv2d_batch_norm` on the device.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::Activation;
use crate::bundle::{self, Slot};
use crate::cuda::call::Pointer;
use crate::cuda::device::activation::activate;
use crate::cuda::device::layer::{self, Filters, Normalised};
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::source::ElementType;
use crate::kept::Kept;
use crate::plan::{Input, NormPlan};

/// What a forward pass leaves for the backward one.
struct Saved {
    /// The convolution's output, if there is one.
    convolved: Option<Scratch>,
    normalised: Normalised,
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

/// Batch norm of checked, contiguous arguments, behind a convolution or alone.
pub(crate) fn batch_norm(x: &Tensor, residual: Option<&Tensor>, mut plan: NormPlan) -> crate::Result<Tensor> {
    plan.norm.require_one_dtype(plan.op)?;
    // Functions other than the rectifier are nodes of their own here.
    let apart = plan.after.filter(|after| *after != Activation::Relu);
    if let Some(after) = apart {
        plan.after = None;
        return activate(&batch_norm(x, residual, plan)?, after);
    }
    let (parameters, gradients) = match &mut plan.input {
        Input::Given => bundle::pair(&plan.norm.weight, &plan.norm.bias)?,
        Input::Convolved(_, weight) => {
            // cuDNN takes filters of the activations' type; the gradient of the cast brings theirs back.
            *weight = weight.to_dtype(x.dtype())?;
            bundle::triple(weight, &plan.norm.weight, &plan.norm.bias)?
        }
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
                let convolved = Scratch::new(device, self.len() * self.element.bytes())?;
                let filters = Filters::new(device, shape, weight)?;
                layer::convolve(device, self.element, shape, x_at, &filters, convolved.at())?;
                Some(convolved)
            }
        };
        let input = convolved.as_ref().map_or(x_at, Scratch::at);
        let y = allocate(device, self.element, self.len())?;
        let of = (self.element, self.rows());
        let normalised = layer::normalise(
            device,
            &self.plan.norm,
            self.plan.mode,
            of,
            input,
            residual,
            self.plan.after.is_some(),
            start(&y)?,
        )?;
        self.saved.set(Saved { convolved, normalised });
        Ok((y, self.plan.output.into()))
    }

    fn backward(&self, x: &Tensor, residual: Option<&Tensor>, y: &Tensor, dy: &Tensor) -> Result<Gradients> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("{}: backward without forward", self.plan.op);
        };
        let device = x.device().as_cuda_device()?;
        let (x_at, dy) = (address_of(x)?, dy.contiguous()?);
        let y_at = if self.plan.after.is_some() { address_of(y)? } else { Pointer::NULL };
        let input = saved.convolved.as_ref().map_or(x_at, Scratch::at);
        let d_residual = match residual.filter(|residual| residual.track_op()) {
            Some(_) => Some(allocate(device, self.element, self.len())?),
            None => None,
        };
        let d_residual_at = d_residual.as_ref().map_or(Ok(Pointer::NULL), start)?;
        let d_input = allocate(device, self.element, self.len())?;
        let d_input_at = start(&d_input)?;
        let (d_scale, d_shift) = layer::normalise_backward(
            device,
            &self.plan.norm,
            &saved.normalised,
            input,
            y_at,
            address_of(&dy)?,
            d_input_at,
            d_residual_at,
        )?;
        let mut parameters = Vec::with_capacity(3);
        let dx = match &self.plan.input {
            Input::Given => x.track_op().then(|| tensor(d_input, x.shape())),
            Input::Convolved(shape, weight) => {
                parameters.push(layer::filters_gradient(device, shape, x_at, d_input_at, weight)?);
                if x.track_op() {
                    let dx = allocate(device, self.element, shape.x_len())?;
                    let filters = Filters::new(device, shape, weight)?;
                    layer::data_gradient(device, self.element, shape, d_input_at, &filters, false, start(&dx)?)?;
                    Some(tensor(dx, x.shape()))
                } else {
                    None
                }
            }
        };
        parameters.extend([Some(d_scale), Some(d_shift)]);
        self.gradients.put(parameters);
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
        Ok((dx, bundle::gradient(parameters)?))
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
        Ok((dx, d_residual, bundle::gradient(parameters)?))
    }
}
