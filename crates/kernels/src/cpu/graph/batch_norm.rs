//! The graph node behind [`batch_norm`](crate::batch_norm()) and [`conv2d_batch_norm`](crate::conv2d_batch_norm).
//!
//! Forward: an optional convolution, statistics, and one pass that normalises, adds the residual and applies the activation;
//! in evaluation, convolution and batch norm are one pass if no backward pass may follow.
//! Backward: one pass for the sums, one for the gradient of the layer's input, then the convolution's two gradients. The
//! node keeps the convolution's output and the statistics for the backward pass.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::{OfParameters, on_the_pool};
use crate::cpu::layer::{self, Statistics};
use crate::cpu::memory::{Place, Values};
use crate::cpu::tensors::{elements, tensor, with_elements};
use crate::plan::{Input, NormPlan};

pub(crate) fn batch_norm<T: Kernels>(x: &Tensor, residual: Option<&Tensor>, plan: NormPlan) -> Result<Tensor> {
    let norm = plan.norm.clone();
    let (parameters, gradients) = match &plan.input {
        Input::Given => bundle::pair(&norm.weight, &norm.bias)?,
        Input::Convolved(_, weight) => bundle::triple(weight, &norm.weight, &norm.bias)?,
    };
    let saved = Kept::default();
    let tracked = x.track_op() || parameters.track_op() || residual.is_some_and(Tensor::track_op);
    let node = NormNode::<T> { plan, gradients, tracked, saved: saved.clone() };
    let y = match residual {
        Some(residual) => x.apply_op3(residual, &parameters, node)?,
        None => x.apply_op2(&parameters, node)?,
    };
    if let Some(saved) = saved.get() {
        saved.statistics.update_running(&norm)?;
    }
    Ok(y)
}

/// Data that a forward pass keeps for the backward pass.
struct Saved<T: Kernels> {
    /// The convolution's output, if there is one.
    convolved: Option<Values<T>>,
    statistics: Statistics<T>,
}

struct NormNode<T: Kernels> {
    plan: NormPlan,
    /// Gradients of the weights, if any, then of scale and shift.
    gradients: Slot,
    /// Whether a backward pass may follow.
    tracked: bool,
    saved: Kept<Saved<T>>,
}

/// The gradients of input and residual.
type Gradients = (Option<Tensor>, Option<Tensor>);

impl<T: Kernels> NormNode<T> {
    fn forward(&self, x: &[T], residual: Option<&[T]>) -> Result<(CpuStorage, Shape)> {
        let NormPlan { norm, mode, after, .. } = &self.plan;
        let output = |y: Values<T>| Ok((T::to_cpu_storage_owned(y.into_vec()), self.plan.output.into()));
        if let Input::Convolved(shape, weight) = &self.plan.input
            && layer::folds(*mode, self.tracked, *after)
        {
            return output(layer::convolve_normalised(shape, x, (weight, norm), residual, *after, Place::Tensor)?);
        }
        let convolved = match &self.plan.input {
            Input::Given => None,
            Input::Convolved(shape, weight) => Some(layer::convolve(shape, x, weight, Place::Workspace)?),
        };
        let input: &[T] = convolved.as_deref().unwrap_or(x);
        let (y, statistics) = layer::normalise(norm, *mode, input, residual, *after, Place::Tensor, self.tracked)?;
        self.saved.set(Saved { convolved, statistics });
        output(y)
    }

    fn backward(&self, x: &Tensor, residual: Option<&Tensor>, dy: &Tensor) -> Result<Gradients> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("{}: backward without forward", self.plan.op);
        };
        let dy = dy.contiguous()?;
        let (dx, d_residual, parameters) = with_elements::<T, _>(&dy, |dy| {
            with_elements::<T, _>(x, |elements| on_the_pool(|| self.gradients_of(&saved, x, elements, residual, dy)))
        })?;
        self.gradients.put(parameters)?;
        Ok((dx, d_residual))
    }

    /// The gradients of input, residual and parameters.
    fn gradients_of(
        &self,
        saved: &Saved<T>,
        x: &Tensor,
        x_elements: &[T],
        residual: Option<&Tensor>,
        dy: &[T],
    ) -> Result<(Option<Tensor>, Option<Tensor>, OfParameters)> {
        let (norm, statistics) = (&self.plan.norm, &saved.statistics);
        let input: &[T] = saved.convolved.as_deref().unwrap_or(x_elements);
        let residual = residual.filter(|residual| residual.track_op());
        let beside = residual.map(|_| Place::Tensor);
        let backward = |place| layer::normalise_backward(norm, statistics, input, dy, place, beside);
        let (gradients, dx, mut parameters) = match &self.plan.input {
            Input::Given => {
                let mut gradients = backward(Place::Tensor)?;
                let dx = std::mem::replace(&mut gradients.input, Values::Tensor(Vec::new()));
                (gradients, x.track_op().then(|| tensor(dx.into_vec(), x.shape())), Vec::new())
            }
            Input::Convolved(shape, weight) => {
                let gradients = backward(Place::Workspace)?;
                let dc = &gradients.input;
                let dw = layer::weight_gradient(shape, x_elements, dc, weight)?;
                let dx = match x.track_op() {
                    true => Some(layer::input_gradient(shape, dc, weight, Place::Tensor)?.into_vec()),
                    false => None,
                };
                (gradients, dx.map(|dx| tensor(dx, x.shape())), vec![dw])
            }
        };
        parameters.extend([Some(gradients.scale), Some(gradients.bias)]);
        let d_residual = residual.zip(gradients.residual);
        let d_residual = d_residual.map(|(residual, gradient)| tensor(gradient.into_vec(), residual.shape()));
        Ok((dx, d_residual, parameters))
    }
}

impl<T: Kernels> CustomOp2 for NormNode<T> {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements(x, layout)?;
        on_the_pool(|| self.forward(x, None))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, _) = self.backward(x, None, dy)?;
        Ok((dx, bundle::gradient(parameters)))
    }
}

impl<T: Kernels> CustomOp3 for NormNode<T> {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, residual) = (elements(x, x_layout)?, elements(residual, residual_layout)?);
        on_the_pool(|| self.forward(x, Some(residual)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, d_residual) = self.backward(x, Some(residual), dy)?;
        Ok((dx, d_residual, bundle::gradient(parameters)))
    }
}
