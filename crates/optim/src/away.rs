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

    /// Puts `weights + factor * offset` in place of each parameter's weights; after an error, the weights are back.
    pub(crate) fn put<'a>(
        &mut self,
        mut parameters: impl Iterator<Item = (&'a Parameter, &'a Var)>,
        factor: f64,
    ) -> Result<()> {
        let mut away = Vec::new();
        let result = parameters.try_for_each(|(parameter, offset)| {
            let weights = parameter.weights().as_detached_tensor().copy()?;
            let others = (&weights + (offset.as_detached_tensor() * factor)?)?;
            away.push((parameter.clone(), weights));
            set(parameter, &others)
        });
        self.0 = Some(away);
        if result.is_err() {
            // The first error says more than a second one would.
            let _ = self.bring_back();
        }
        result
    }

    /// Restores the training weights bit for bit. They are away until the last of them is back, so that a failed call can be repeated.
    pub(crate) fn bring_back(&mut self) -> Result<()> {
        self.0.iter().flatten().try_for_each(|(parameter, weights)| set(parameter, weights))?;
        self.0 = None;
        Ok(())
    }
}

fn set(parameter: &Parameter, weights: &Tensor) -> Result<()> {
    parameter.weights().set(weights)?;
    parameter.publish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_swap_that_fails_halfway_leaves_the_training_weights() {
        let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
        let (a, b) = (var(&[1.0]), var(&[2.0]));
        let parameters = Parameter::list([("a", a.clone()), ("b", b.clone())]).unwrap();
        let swap = |away: &mut Away, offsets: &[Var]| away.put(parameters.iter().zip(offsets), 2.0);
        let seen = || [a.to_vec1::<f32>().unwrap(), b.to_vec1::<f32>().unwrap()].concat();
        let mut away = Away::default();
        assert!(swap(&mut away, &[var(&[3.0]), var(&[3.0, 3.0])]).is_err());
        assert!(away.is_empty() && seen() == [1.0, 2.0]);
        swap(&mut away, &[var(&[3.0]), var(&[4.0])]).unwrap();
        assert!(!away.is_empty() && seen() == [7.0, 10.0]);
        away.bring_back().unwrap();
        assert!(away.is_empty() && seen() == [1.0, 2.0]);
    }
}
