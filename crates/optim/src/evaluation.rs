//! Evaluation at the evaluation weights: slow weights or averages.

pub use crate::reestimate::{Reestimate, with_reestimated_statistics};

use crate::{Error, Optimizer, Result};

/// Runs `evaluate` with the evaluation weights in the variables: slow weights (Lookahead), averages ([`Averaged`](crate::Averaged)), or
/// else the weights themselves. Afterwards the fast weights are restored bit for bit, also after an error or a panic.
///
/// If your functions have their own error type, use [`EvaluationWeights`], which needs no closure.
///
/// # Errors
/// [`Error::EvaluationWeightsInPlace`]; [`Error::WeightsChanged`] for weights loaded without [`Optimizer::adopt_weights`]; errors of
/// `evaluate`; candle errors.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Sgd, with_evaluation_weights};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0)?, LookaheadConfig::default())?;
/// optimizer.backward_step(&w.sum_all()?)?;
/// let seen = with_evaluation_weights(&mut optimizer, || Ok(w.to_vec1::<f32>()?))?;
/// assert_eq!((seen, w.to_vec1::<f32>()?), (vec![3.0], vec![2.0]));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub fn with_evaluation_weights<T>(optimizer: &mut dyn Optimizer, evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
    let weights = EvaluationWeights::of(optimizer)?;
    let result = evaluate();
    weights.restore()?;
    result
}

/// A guard that keeps the evaluation weights in the variables and restores the fast weights when dropped.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Sgd, evaluation::EvaluationWeights};
///
/// let w = Var::new(3f32, &Device::Cpu)?;
/// let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0)?, LookaheadConfig::default())?;
/// optimizer.backward_step(w.as_tensor())?;
///
/// let slow = EvaluationWeights::of(&mut optimizer)?;
/// assert_eq!(w.to_scalar::<f32>()?, 3.0);
/// slow.restore()?;
/// assert_eq!(w.to_scalar::<f32>()?, 2.0);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the fast weights are back as soon as this is dropped"]
pub struct EvaluationWeights<'a> {
    optimizer: &'a mut dyn Optimizer,
    restored: bool,
}

impl<'a> EvaluationWeights<'a> {
    /// Swaps in the evaluation weights of `optimizer`.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`] if they are swapped in already: a swap would put the fast weights in their place.
    /// [`Error::WeightsChanged`] for weights loaded without [`Optimizer::adopt_weights`]; candle errors.
    pub fn of(optimizer: &'a mut dyn Optimizer) -> Result<Self> {
        if optimizer.evaluation_weights_in_place() {
            return Err(Error::EvaluationWeightsInPlace { operation: "begin an evaluation" });
        }
        optimizer.swap_evaluation_weights()?;
        Ok(Self { optimizer, restored: false })
    }

    /// Restores the fast weights, as dropping does, and reports errors.
    ///
    /// # Errors
    /// Candle errors.
    pub fn restore(mut self) -> Result<()> {
        self.restored = true;
        self.optimizer.swap_evaluation_weights()
    }
}

impl Drop for EvaluationWeights<'_> {
    fn drop(&mut self) {
        if !self.restored {
            // After an error or during a panic, a second error cannot be reported.
            let _ = self.optimizer.swap_evaluation_weights();
        }
    }
}
