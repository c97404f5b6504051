//! Evaluation weights that a rule keeps in addition to the training weights.

use crate::parameter::Parameter;
use crate::{Error, Result};
use candle_core::{Tensor, Var};

/// The training weights of the parameters whose evaluation weights are swapped in; empty otherwise.
#[derive(Debug, Default)]
pub(crate) struct Away(Option<Vec<(Parameter, Tensor)>>);

impl Away {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::EvaluationWeightsInPlace { operation }) }
    }

    /// Puts `weights + factor * offset` in place of each parameter's weights.
    pub(crate) fn put<'a>(
        &mut self,
        parameters: impl Iterator<Item = (&'a Parameter, &'a Var)>,
        factor: f64,
    ) -> Result<()> {
        self.0 = Some(Vec::new());
        for (parameter, offset) in parameters {
            let weights = parameter.weights().as_detached_tensor().copy()?;
            let others = (&weights + (offset.as_detached_tensor() * factor)?)?;
            self.0.get_or_insert_default().push((parameter.clone(), weights));
            parameter.weights().set(&others)?;
            parameter.publish()?;
        }
        Ok(())
    }

    /// Restores the training weights bit for bit.
    pub(crate) fn bring_back(&mut self) -> Result<()> {
        self.0.take().unwrap_or_default().into_iter().try_for_each(|(parameter, weights)| {
            parameter.weights().set(&weights)?;
            parameter.publish()
        })
    }
}
