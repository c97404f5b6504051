//! The graph node behind `batch_norm` and `conv2d_batch_norm` on the device.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::cuda::call::Pointer;
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::device::unit::{self, Filters, Normalised};
use crate::cuda::source::Stored;
use crate::norm_op::Source;
use crate::{BatchNorm, Mode};

/// What a forward pass leaves for the backward one.
struct Saved {
    /// The convolution's output, if there is one.
    convolved: Option<Scratch>,
    normalised: Normalised,
}

struct NormNode {
    op: &'static str,
    source: Source,
    output: (usize, usize, usize, usize),
    stored: Stored,
    norm: BatchNorm,
    relu: bool,
    mode: Mode,
    /// Gradients of the weights, if any, then of scale and shift.
    gradients: Slot,
    saved: Mutex<Option<Saved>>,
}

/// The gradients of input and residual.
type Gradients = (Option<Tensor>, Option<Tensor>);

/// Batch norm of checked, contiguous arguments, behind a convolution or alone.
#[allow(clippy::too_many_arguments, reason = "one private call, checked arguments handed over as they came")]
pub(crate) fn norm(
    op: &'static str,
    x: &Tensor,
    source: Source,
    output: (usize, usize, usize, usize),
    norm: &BatchNorm,
    residual: Option<&Tensor>,
    relu: bool,
    mode: Mode,
) -> crate::Result<Tensor> {
    let source = match source {
        // cuDNN takes filters of the activations' type; the gradient of the cast brings theirs back.
        Source::Conv2d(shape, weight) => Source::Conv2d(shape, weight.to_dtype(x.dtype())?),
        Source::Input => Source::Input,
    };
    let (parameters, gradients) = match &source {
        Source::Input => bundle::pair(&norm.weight, &norm.bias)?,
        Source::Conv2d(_, weight) => bundle::triple(weight, &norm.weight, &norm.bias)?,
    };
    let (stored, norm, saved) = (stored(x)?, norm.clone(), Mutex::new(None));
    let node = NormNode { op, source, output, stored, norm, relu, mode, gradients, saved };
    Ok(match residual {
        Some(residual) => x.apply_op3(residual, &parameters, node)?,
        None => x.apply_op2(&parameters, node)?,
    })
}

impl NormNode {
    fn rows(&self) -> usize {
        self.output.0 * self.output.1 * self.output.2
    }

    fn len(&self) -> usize {
        self.rows() * self.output.3
    }

    fn forward(&self, x: &CudaStorage, layout: &Layout, residual: Pointer) -> Result<(CudaStorage, Shape)> {
        let (device, x_at) = (&x.device, address(x, layout)?);
        let convolved = match &self.source {
            Source::Input => None,
            Source::Conv2d(shape, weight) => {
                let convolved = Scratch::new(device, self.len() * self.stored.bytes())?;
                let filters = Filters::new(device, shape, weight)?;
                unit::convolve(device, self.stored, shape, x_at, &filters, convolved.at())?;
                Some(convolved)
            }
        };
        let input = convolved.as_ref().map_or(x_at, Scratch::at);
        let y = allocate(device, self.stored, self.len())?;
        let of = (self.stored, self.rows());
        let normalised = unit::normalise(device, &self.norm, self.mode, of, input, residual, self.relu, start(&y)?)?;
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Saved { convolved, normalised });
        Ok((y, self.output.into()))
    }

    fn backward(&self, x: &Tensor, residual: Option<&Tensor>, y: &Tensor, dy: &Tensor) -> Result<Gradients> {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = saved.as_ref() else {
            candle_core::bail!("{}: backward without forward", self.op);
        };
        let device = x.device().as_cuda_device()?;
        let (x_at, dy) = (address_of(x)?, dy.contiguous()?);
        let y_at = if self.relu { address_of(y)? } else { Pointer::NULL };
        let input = saved.convolved.as_ref().map_or(x_at, Scratch::at);
        let d_residual = match residual.filter(|residual| residual.track_op()) {
            Some(_) => Some(allocate(device, self.stored, self.len())?),
            None => None,
        };
        let d_residual_at = d_residual.as_ref().map_or(Ok(Pointer::NULL), start)?;
        let d_input = allocate(device, self.stored, self.len())?;
        let d_input_at = start(&d_input)?;
        let (d_scale, d_shift) = unit::normalise_backward(
            device,
            &self.norm,
            &saved.normalised,
            input,
            y_at,
            address_of(&dy)?,
            d_input_at,
            d_residual_at,
        )?;
        let mut parameters = Vec::with_capacity(3);
        let dx = match &self.source {
            Source::Input => x.track_op().then(|| tensor(d_input, x.shape())),
            Source::Conv2d(shape, weight) => {
                parameters.push(unit::filters_gradient(device, shape, x_at, d_input_at, weight)?);
                if x.track_op() {
                    let dx = allocate(device, self.stored, shape.x_len())?;
                    let filters = Filters::new(device, shape, weight)?;
                    unit::data_gradient(device, self.stored, shape, d_input_at, &filters, false, start(&dx)?)?;
                    Some(tensor(dx, x.shape()))
                } else {
                    None
                }
            }
        };
        parameters.extend([Some(d_scale), Some(d_shift)]);
        self.gradients.put(parameters);
        Ok((dx, d_residual.map(|d_residual| tensor(d_residual, self.output))))
    }
}

impl CustomOp2 for NormNode {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("{}: a node of the CUDA device ran on the CPU", self.op)
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
        self.op
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
        candle_core::bail!("{}: a node of the CUDA device ran on the CPU", self.op)
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
