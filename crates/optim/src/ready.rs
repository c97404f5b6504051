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

/// The gradients of the parameters that have one, in parameter order, ready for an update.
pub(crate) fn ready(parameters: &[Parameter], grads: &GradStore) -> Result<Vec<Ready>> {
    let prepare = |(index, gradient): (usize, &Tensor)| {
        let dtype = parameters[index].weights().dtype();
        Ok(Ready { index, gradient: gradient.detach().to_dtype(dtype)?.contiguous()? })
    };
    checked(parameters, grads)?.into_iter().map(prepare).collect()
}

/// The gradients of the parameters that have one, in parameter order, as they are.
///
/// # Errors
/// [`Error::GradientShape`]; [`Error::WeightsChanged`] for a master copy that is out of date; [`Error::NoGradient`].
pub(crate) fn checked<'a>(parameters: &[Parameter], grads: &'a GradStore) -> Result<Vec<(usize, &'a Tensor)>> {
    let mut checked = Vec::with_capacity(parameters.len());
    for (index, parameter) in parameters.iter().enumerate() {
        let Some(gradient) = grads.get(parameter.var()) else { continue };
        if gradient.dims() != parameter.var().dims() {
            return Err(Error::GradientShape {
                name: parameter.name().to_string(),
                expected: parameter.var().dims().to_vec(),
                found: gradient.dims().to_vec(),
            });
        }
        if parameter.master().is_some() {
            parameter.check_unchanged()?;
        }
        checked.push((index, gradient));
    }
    if checked.is_empty() { Err(Error::NoGradient { parameters: parameters.len() }) } else { Ok(checked) }
}
