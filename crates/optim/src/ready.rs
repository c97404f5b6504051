//! The gradients of one step, ready for an update.

use crate::parameter::Parameter;
use crate::{Error, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

/// A parameter's gradient: contiguous, in the shape and dtype of the update.
pub(crate) struct Ready {
    pub(crate) index: usize,
    pub(crate) gradient: Tensor,
}

/// The gradients of the parameters that have one, in parameter order.
pub(crate) fn ready(parameters: &[Parameter], grads: &GradStore) -> Result<Vec<Ready>> {
    let mut ready = Vec::with_capacity(parameters.len());
    for (index, parameter) in parameters.iter().enumerate() {
        let Some(gradient) = grads.get(parameter.var()) else { continue };
        if gradient.dims() != parameter.var().dims() {
            return Err(Error::GradientShape {
                name: parameter.name().to_string(),
                expected: parameter.var().dims().to_vec(),
                found: gradient.dims().to_vec(),
            });
        }
        // Without a master copy, changed weights are simply the new starting point.
        if parameter.master().is_some() {
            parameter.check_unchanged()?;
        }
        let gradient = gradient.detach().to_dtype(parameter.weights().dtype())?.contiguous()?;
        ready.push(Ready { index, gradient });
    }
    if ready.is_empty() { Err(Error::NoGradient { parameters: parameters.len() }) } else { Ok(ready) }
}
