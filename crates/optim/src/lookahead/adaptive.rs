//! The adaptive slow step size.

use super::{Lookahead, StepSize};
use crate::{Error, Optimizer, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};

impl<O: Optimizer> Lookahead<O> {
    /// The step size that would minimise a quadratic with the gradient `grads` and the inner optimizer's curvature.
    ///
    /// Proposition 1 of the paper gives, for a quadratic with Hessian `A` and minimum `x`,
    /// `(slow - x)' A (slow - fast) / ((slow - fast)' A (slow - fast))`. With `x = fast - A^-1 g` the Hessian cancels in one term:
    /// `1 + (slow - fast)' g / ((slow - fast)' A (slow - fast))`.
    ///
    /// `grads` are raw: the inner optimizer clips its gradients and adds L2 decay for itself, so only the curvature has both in it.
    pub(super) fn adaptive_rate(&self, grads: &GradStore, moved: &[bool]) -> Result<f64> {
        let StepSize::Adaptive { lowest } = self.config.slow_step_size else { return Ok(1.0) };
        let curvature = self.inner.second_moments()?.ok_or(Error::NoCurvature)?;
        let mut sums: Option<Tensor> = None;
        for (((parameter, slow), curvature), moved) in
            self.inner.parameters().iter().zip(&self.slow.values).zip(&curvature).zip(moved)
        {
            let (true, Some(gradient)) = (*moved, grads.get(parameter.var())) else { continue };
            let gap = (slow.as_detached_tensor() - parameter.weights().as_detached_tensor())?;
            let slope = (&gap * gradient.detach().to_dtype(gap.dtype())?)?.sum_all()?;
            let bend = (gap.sqr()? * curvature)?.sum_all()?;
            // Metal has no f64; there, f32 weights sum in f32.
            let wide = if gap.device().is_metal() { DType::F32 } else { DType::F64 };
            let both = Tensor::stack(&[slope, bend], 0)?.to_dtype(wide)?;
            sums = Some(match sums {
                Some(total) => (total + both.to_device(&gap.device().clone())?)?,
                None => both,
            });
        }
        let Some(sums) = sums else { return Ok(1.0) };
        let sums = sums.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let size = 1.0 + sums[0] / sums[1];
        // No movement or no curvature yet: nothing to extrapolate from.
        Ok(if size.is_finite() { size.clamp(lowest, 1.0) } else { 1.0 })
    }
}
