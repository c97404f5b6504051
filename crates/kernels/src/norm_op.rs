//! The graph node behind [`batch_norm`](crate::batch_norm()) and [`conv2d_batch_norm`](crate::conv2d_batch_norm).
//!
//! Forward: an optional convolution, statistics, one pass that normalises, adds and cuts. Backward: one pass that sums,
//! one that forms the gradient of the normalised values, then the convolution's two gradients. What backward needs and
//! candle does not keep, the convolution's output and the statistics, stays in the node.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{marker::PhantomData, sync::Arc};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::conv2d::input_gradient;
use crate::element::{Element, elements, tensor, with_elements};
use crate::geometry::ConvShape;
use crate::unit::{self, Statistics};
use crate::workspace::Buffer;
use crate::{BatchNorm, Mode, memory};

/// What is normalised.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The input itself.
    Input,
    /// The input convolved with these weights.
    Conv2d(ConvShape, Tensor),
}

/// What a forward pass leaves for the backward one.
struct Saved<T: Element> {
    /// The convolution's output, if there is one.
    convolved: Option<Buffer<T>>,
    statistics: Statistics<T>,
}

pub(crate) struct NormOp<T: Element> {
    op: &'static str,
    source: Source,
    output: (usize, usize, usize, usize),
    norm: BatchNorm,
    relu: bool,
    mode: Mode,
    /// Gradients of the weights, if any, then of scale and shift.
    gradients: Slot,
    saved: Arc<Mutex<Option<Saved<T>>>>,
    element: PhantomData<fn() -> T>,
}

/// The gradients of input and residual.
type Gradients = (Option<Tensor>, Option<Tensor>);

impl<T: Element> NormOp<T> {
    #[allow(clippy::too_many_arguments, reason = "one private call, checked arguments handed over as they came")]
    pub(crate) fn apply(
        op: &'static str,
        x: &Tensor,
        source: Source,
        output: (usize, usize, usize, usize),
        norm: &BatchNorm,
        residual: Option<&Tensor>,
        relu: bool,
        mode: Mode,
    ) -> Result<Tensor> {
        let (parameters, gradients) = match &source {
            Source::Input => bundle::pair(&norm.weight, &norm.bias)?,
            Source::Conv2d(_, weight) => bundle::triple(weight, &norm.weight, &norm.bias)?,
        };
        let saved = Arc::new(Mutex::new(None));
        let node = Self {
            op,
            source,
            output,
            norm: norm.clone(),
            relu,
            mode,
            gradients,
            saved: saved.clone(),
            element: PhantomData,
        };
        let y = match residual {
            Some(residual) => x.apply_op3(residual, &parameters, node)?,
            None => x.apply_op2(&parameters, node)?,
        };
        if let Some(saved) = lock(&saved).as_ref() {
            saved.statistics.update_running(norm)?;
        }
        Ok(y)
    }

    fn forward(&self, x: &[T], residual: Option<&[T]>) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = self.output;
        let convolved = match &self.source {
            Source::Input => None,
            Source::Conv2d(shape, weight) => Some(unit::convolve(shape, x, weight)?),
        };
        let input: &[T] = convolved.as_deref().unwrap_or(x);
        let mut y = memory::uninit(input.len());
        let statistics = unit::normalise(&self.norm, self.mode, input, residual, self.relu, &mut y)?;
        // SAFETY: `normalise` writes every element of its output.
        let y = unsafe { memory::assume_init(y) };
        *lock(&self.saved) = Some(Saved { convolved, statistics });
        Ok((T::to_cpu_storage_owned(y), (batch, height, width, channels).into()))
    }

    fn backward(&self, x: &Tensor, residual: Option<&Tensor>, y: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        let saved = lock(&self.saved);
        let Some(saved) = saved.as_ref() else {
            candle_core::bail!("{}: backward without forward", self.op);
        };
        let gradient = gradient.contiguous()?;
        with_elements::<T, _>(&gradient, |dy| {
            with_elements::<T, _>(y, |y| {
                with_elements::<T, _>(x, |x_elements| {
                    self.gradients_of(saved, x, x_elements, residual, self.relu.then_some(y), dy)
                })
            })
        })
    }

    fn gradients_of(
        &self,
        saved: &Saved<T>,
        x: &Tensor,
        x_elements: &[T],
        residual: Option<&Tensor>,
        y: Option<&[T]>,
        dy: &[T],
    ) -> Result<Gradients> {
        let statistics = &saved.statistics;
        let input: &[T] = saved.convolved.as_deref().unwrap_or(x_elements);
        let wants_residual = residual.filter(|residual| residual.track_op());
        let mut d_residual = wants_residual.map(|_| memory::uninit(dy.len()));
        let out = d_residual.as_deref_mut();
        let (dx, filters, (d_scale, d_bias)) = match &self.source {
            Source::Input => {
                let mut dx = memory::uninit(dy.len());
                let gradients = unit::normalise_backward(&self.norm, statistics, input, y, dy, &mut dx, out)?;
                // SAFETY: `normalise_backward` writes every element of its output.
                let dx = unsafe { memory::assume_init(dx) };
                (x.track_op().then(|| tensor(dx, x.shape())), None, gradients)
            }
            Source::Conv2d(shape, weight) => {
                let mut dc = Buffer::<T>::take(dy.len());
                let dc_out = memory::as_output(&mut dc);
                let gradients = unit::normalise_backward(&self.norm, statistics, input, y, dy, dc_out, out)?;
                let dw = unit::filters_gradient(shape, x_elements, &dc, weight)?;
                let dx = x.track_op().then(|| input_gradient::<T>(shape, &dc, weight)).transpose()?;
                (dx, Some(dw), gradients)
            }
        };
        let mut parameters: Vec<Option<Tensor>> = filters.into_iter().collect();
        parameters.extend([Some(d_scale), Some(d_bias)]);
        self.gradients.put(parameters);
        let d_residual = wants_residual.zip(d_residual).map(|(residual, d_residual)| {
            // SAFETY: `normalise_backward` writes every element of the residual's gradient.
            tensor(unsafe { memory::assume_init(d_residual) }, residual.shape())
        });
        Ok((dx, d_residual))
    }
}

fn lock<S>(saved: &Mutex<S>) -> MutexGuard<'_, S> {
    saved.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Element> CustomOp2 for NormOp<T> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(elements(x, layout)?, None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, _) = self.backward(x, None, y, gradient)?;
        Ok((dx, bundle::gradient(parameters)?))
    }
}

impl<T: Element> CustomOp3 for NormOp<T> {
    fn name(&self) -> &'static str {
        self.op
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
        self.forward(elements(x, x_layout)?, Some(elements(residual, residual_layout)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, d_residual) = self.backward(x, Some(residual), y, gradient)?;
        Ok((dx, d_residual, bundle::gradient(parameters)?))
    }
}
