//! The trait that every optimizer and every wrapper implements.

use crate::pull::Pull;
use crate::{Error, Parameter, Result, State};
use candle_core::Var;
use candle_core::backprop::GradStore;

/// An optimizer, or a wrapper around one. Object safe, and implemented for boxes, so that wrappers compose at run time too.
///
/// `candle_nn::Optimizer` is implemented as well by the concrete types, for loops written against it. The two traits share method
/// names: import one of them.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Sgd, SgdConfig};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let sgd: Box<dyn Optimizer> = Box::new(Sgd::new(vec![("w".into(), w.clone())], SgdConfig::default())?);
/// let mut optimizer: Box<dyn Optimizer> = Box::new(Lookahead::new(sgd, LookaheadConfig::default())?);
/// optimizer.set_learning_rate(0.5);
/// optimizer.step(&w.sum_all()?.backward()?)?;
/// assert_eq!(w.to_vec1::<f32>()?, [2.5]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// Only the methods without a default are needed to write one; [`Rule`](crate::Rule) is a shorter way.
pub trait Optimizer: std::fmt::Debug + Send {
    /// What is optimized, sorted by name.
    fn parameters(&self) -> &[Parameter];

    /// One update. A parameter without a gradient in `grads` is left as it is, decay and state included.
    ///
    /// # Errors
    /// A gradient of the wrong shape, hyper-parameters out of range, and what the options ask to be reported; nothing is changed then.
    fn step(&mut self, grads: &GradStore) -> Result<()>;

    /// The learning rate.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate; the next [`step`](Self::step) checks it.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The momentum a schedule may drive: that of SGD and RMSProp, Adam's beta1. `None` if there is none.
    fn momentum(&self) -> Option<f64>;

    /// Sets it.
    ///
    /// # Errors
    /// [`Error::NoMomentum`] where [`momentum`](Self::momentum) is `None`; [`Error::OutOfRange`] outside `[0, 1)`.
    fn set_momentum(&mut self, momentum: f64) -> Result<()>;

    /// A copy of everything remembered between steps, but the fast weights.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; what candle reports.
    fn state(&self) -> Result<State>;

    /// Takes over a saved state, or changes nothing.
    ///
    /// # Errors
    /// The first difference, by name.
    fn load_state(&mut self, state: &State) -> Result<()>;

    /// Makes the state that of a newly built optimizer: every buffer and every counter. Weights and rates stay.
    ///
    /// # Errors
    /// What candle reports.
    fn reset_state(&mut self) -> Result<()>;

    /// Moves `anchor`, an earlier [`state`](Self::state), towards the present one by `rate`, then takes it over: Lookahead's
    /// `Interpolate`. Counters are taken from the present.
    ///
    /// # Errors
    /// What candle reports.
    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        let mut now = self.state()?;
        for (key, tensor) in &mut now.tensors {
            let before = anchor.tensor(key)?;
            let gap = (&*tensor - before)?;
            *tensor = if rate < 0.5 { (before + (gap * rate)?)? } else { (&*tensor + (gap * (rate - 1.0))?)? };
        }
        self.load_state(&now)?;
        *anchor = now;
        Ok(())
    }

    /// [`step`](Self::step), and then `pull` on the new weights. Override it if both can be done in one pass.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    fn step_and_pull(&mut self, grads: &GradStore, pull: &Pull<'_>) -> Result<()> {
        self.step(grads)?;
        pull.apply(self.parameters())
    }

    /// Bias-corrected averages of the squared gradients, one per parameter, if the optimizer has them.
    ///
    /// # Errors
    /// What candle reports.
    fn second_moments(&self) -> Result<Option<Vec<candle_core::Tensor>>> {
        Ok(None)
    }

    /// Steps since the last sync if Lookahead is in it: 0 right after one, below the period always.
    fn steps_since_sync(&self) -> Option<usize> {
        None
    }

    /// Exchanges the weights with those meant for evaluation, where they differ; a second call changes them back, bit for bit.
    /// Call [`with_evaluation_weights`] instead, which does not forget the second.
    ///
    /// # Errors
    /// What candle reports.
    fn swap_evaluation_weights(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn parameters(&self) -> &[Parameter] {
        (**self).parameters()
    }
    fn step(&mut self, grads: &GradStore) -> Result<()> {
        (**self).step(grads)
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }
    fn momentum(&self) -> Option<f64> {
        (**self).momentum()
    }
    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        (**self).set_momentum(momentum)
    }
    fn state(&self) -> Result<State> {
        (**self).state()
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        (**self).load_state(state)
    }
    fn reset_state(&mut self) -> Result<()> {
        (**self).reset_state()
    }
    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        (**self).interpolate_state(anchor, rate)
    }
    fn step_and_pull(&mut self, grads: &GradStore, pull: &Pull<'_>) -> Result<()> {
        (**self).step_and_pull(grads, pull)
    }
    fn second_moments(&self) -> Result<Option<Vec<candle_core::Tensor>>> {
        (**self).second_moments()
    }
    fn steps_since_sync(&self) -> Option<usize> {
        (**self).steps_since_sync()
    }
    fn swap_evaluation_weights(&mut self) -> Result<()> {
        (**self).swap_evaluation_weights()
    }
}

/// Runs `evaluate` with the weights meant for evaluation in the variables: slow weights (Lookahead), averages
/// ([`Averaged`](crate::Averaged)), or simply the weights. The fast weights are back afterwards, bit for bit, whether `evaluate`
/// succeeds, fails or panics.
///
/// # Errors
/// Those of `evaluate`; what candle reports.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{with_evaluation_weights, Lookahead, LookaheadConfig, Optimizer, Sgd, SgdConfig};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let sgd = Sgd::new(vec![("w".into(), w.clone())], SgdConfig { learning_rate: 1.0, ..SgdConfig::default() })?;
/// let mut optimizer = Lookahead::new(sgd, LookaheadConfig::default())?;
/// optimizer.step(&w.sum_all()?.backward()?)?;
/// let seen = with_evaluation_weights(&mut optimizer, || Ok::<_, lookahead_optim::Error>(w.to_vec1::<f32>()?))?;
/// assert_eq!((seen, w.to_vec1::<f32>()?), (vec![3.0], vec![2.0]));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub fn with_evaluation_weights<T, E: From<Error>>(
    optimizer: &mut dyn Optimizer,
    evaluate: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let guard = SwapGuard::new(optimizer)?;
    let result = evaluate();
    guard.restore()?;
    result
}

/// Brings the fast weights back when dropped.
struct SwapGuard<'a> {
    optimizer: &'a mut dyn Optimizer,
    restored: bool,
}

impl<'a> SwapGuard<'a> {
    fn new(optimizer: &'a mut dyn Optimizer) -> Result<Self> {
        optimizer.swap_evaluation_weights()?;
        Ok(Self { optimizer, restored: false })
    }

    fn restore(mut self) -> Result<()> {
        self.restored = true;
        self.optimizer.swap_evaluation_weights()
    }
}

impl Drop for SwapGuard<'_> {
    fn drop(&mut self) {
        if !self.restored {
            // Reached only while a panic unwinds, where a second error has nowhere to go.
            let _ = self.optimizer.swap_evaluation_weights();
        }
    }
}

/// Parameters of variables that come without names, as through `candle_nn::Optimizer`: their positions, padded so that they sort.
pub(crate) fn numbered(vars: Vec<Var>) -> Vec<(String, Var)> {
    vars.into_iter().enumerate().map(|(i, var)| (format!("{i:06}"), var)).collect()
}
