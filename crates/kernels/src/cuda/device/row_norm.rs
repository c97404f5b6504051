//! Layer norm and RMS norm as nodes of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::cuda::call::Pointer;
use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::row_norm::{Moments, RowLayer};
use crate::cuda::source::ElementType;
use crate::kept::Kept;
use crate::plan::RowNormPlan;

/// Layer norm or RMS norm of a checked, contiguous argument.
pub(crate) fn row_norm(x: &Tensor, mut plan: RowNormPlan) -> crate::Result<Tensor> {
    // A kernel has one parameter type: with two different types, both become the wider one.
    if let (Some(weight), Some(bias)) = (&plan.weight, &plan.bias)
        && weight.dtype() != bias.dtype()
    {
        let (weight, bias) = (weight.to_dtype(candle_core::DType::F32)?, bias.to_dtype(candle_core::DType::F32)?);
        (plan.weight, plan.bias) = (Some(weight), Some(bias));
    }
    let element = stored(x)?;
    let node = |plan, parameter, slot| RowNorm { plan, element, parameter, slot, moments: Kept::default() };
    Ok(match (&plan.weight, &plan.bias) {
        (None, None) => x.apply_op1(node(plan, element, Slot::default()))?,
        (Some(first), second) | (second, Some(first)) => {
            let (parameters, slot) = bundle::pair(first, second.as_ref().unwrap_or(first))?;
            let parameter = stored(first)?;
            x.apply_op2(&parameters, node(plan, parameter, slot))?
        }
    })
}

struct RowNorm {
    plan: RowNormPlan,
    element: ElementType,
    parameter: ElementType,
    /// Gradients of weight and bias, or of the one that there is.
    slot: Slot,
    /// Mean and reciprocal of every row.
    moments: Kept<Scratch>,
}

impl RowNorm {
    fn layer(&self, elements: usize) -> Result<RowLayer> {
        let RowNormPlan { width, centred, eps, weight, bias, .. } = &self.plan;
        let at = |parameter: &Option<Tensor>| parameter.as_ref().map_or(Ok(Pointer::NULL), address_of);
        Ok(RowLayer {
            element: self.element,
            parameter: self.parameter,
            rows: elements / width,
            width: *width,
            centred: *centred,
            eps: *eps,
            weight: at(weight)?,
            bias: at(bias)?,
        })
    }

    fn moments_at(&self, scratch: &Scratch, rows: usize) -> Moments {
        Moments { means: scratch.at(), reciprocals: scratch.at().offset(rows * self.element.wide_bytes()) }
    }

    fn forward(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (device, len) = (&x.device, layout.shape().elem_count());
        let layer = self.layer(len)?;
        let y = allocate(device, self.element, len)?;
        let scratch = Scratch::new(device, 2 * layer.rows * self.element.wide_bytes())?;
        if len > 0 {
            let to = self.moments_at(&scratch, layer.rows);
            launch(device, [&layer.forward(address(x, layout)?, start(&y)?, &to)])?;
        }
        self.moments.set(scratch);
        Ok((y, layout.shape().clone()))
    }

    /// Stores the gradients of the parameters in the slot; returns that of the input, if it is needed.
    fn backward(&self, x: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(scratch) = self.moments.get() else {
            candle_core::bail!("{}: backward without forward", self.plan.op);
        };
        let (device, dy, len) = (x.device().as_cuda_device()?, dy.contiguous()?, x.elem_count());
        let layer = self.layer(len)?;
        let from = self.moments_at(&scratch, layer.rows);
        let (x_at, dy_at) = (address_of(x)?, address_of(&dy)?);
        let dx = if x.track_op() { Some(allocate(device, self.element, len)?) } else { None };
        if let Some(dx) = dx.as_ref().filter(|_| len > 0) {
            launch(device, [&layer.backward(x_at, dy_at, start(dx)?, &from)])?;
        }
        let room = |of: &Option<Tensor>| match of.as_ref().filter(|of| of.track_op()) {
            Some(_) => allocate(device, self.parameter, layer.width).map(Some),
            None => Ok(None),
        };
        let (d_weight, d_bias) = (room(&self.plan.weight)?, room(&self.plan.bias)?);
        if d_weight.is_some() || d_bias.is_some() {
            let at = |storage: &Option<CudaStorage>| storage.as_ref().map_or(Ok(Pointer::NULL), start);
            let partials = Scratch::new(device, 8 * layer.partials())?;
            launch(device, &layer.parameters(x_at, dy_at, &from, partials.at(), at(&d_weight)?, at(&d_bias)?))?;
        }
        let mut gradients = Vec::with_capacity(2);
        for (parameter, storage) in [(&self.plan.weight, d_weight), (&self.plan.bias, d_bias)] {
            if let Some(parameter) = parameter {
                gradients.push(storage.map(|storage| tensor(storage, parameter.shape())));
            }
        }
        gradients.resize(2, None);
        self.slot.put(gradients)?;
        Ok(dx.map(|dx| tensor(dx, x.shape())))
    }

    fn wrong_device<T>(&self) -> Result<T> {
        candle_core::bail!("{}: a node of the CUDA device ran on the CPU", self.plan.op)
    }
}

impl CustomOp1 for RowNorm {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.wrong_device()
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        self.backward(x, dy)
    }
}

impl CustomOp2 for RowNorm {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.wrong_device()
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, dy)?, bundle::gradient(parameters)))
    }
}
