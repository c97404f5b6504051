//! Evaluation at the weights that are meant for it.

pub use crate::reestimate::{Reestimate, with_reestimated_statistics};

use crate::{Optimizer, Result};

/// Runs `evaluate` with the weights meant for evaluation in the variables: slow weights (Lookahead), averages
/// ([`Averaged`](crate::Averaged)), or simply the weights. The fast weights are back afterwards, bit for bit, whether `evaluate`
/// succeeds, fails or panics.
///
/// Where your functions have an error type of their own, [`EvaluationWeights`] does the same without a closure.
///
/// # Errors
/// Those of `evaluate`; what candle reports.
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

/// The evaluation weights are in the variables while this lives; it brings the fast ones back when dropped.
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
    /// Puts the evaluation weights of `optimizer` in place.
    ///
    /// # Errors
    /// What candle reports.
    pub fn of(optimizer: &'a mut dyn Optimizer) -> Result<Self> {
        optimizer.swap_evaluation_weights()?;
        Ok(Self { optimizer, restored: false })
    }

    /// Brings the fast weights back, as dropping does, and reports what goes wrong.
    ///
    /// # Errors
    /// What candle reports.
    pub fn restore(mut self) -> Result<()> {
        self.restored = true;
        self.optimizer.swap_evaluation_weights()
    }
}

impl Drop for EvaluationWeights<'_> {
    fn drop(&mut self) {
        if !self.restored {
            // On the way out of an error or a panic, a second error has nowhere to go.
            let _ = self.optimizer.swap_evaluation_weights();
        }
    }
}
