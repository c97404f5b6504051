//! The trait that every optimizer and every wrapper implements.

mod boxed;

use crate::lookahead::Synced;
use crate::parameter::Parameter;
use crate::pull::Pull;
use crate::{Error, Result, State};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

/// An optimizer, or a wrapper around one. Object safe, and implemented for boxes, so that wrappers compose at run time too.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Sgd};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let sgd: Box<dyn Optimizer> = Box::new(Sgd::new([("w", w.clone())], 0.1)?);
/// let mut optimizer: Box<dyn Optimizer> = Box::new(Lookahead::new(sgd, LookaheadConfig::default())?);
/// optimizer.set_learning_rate(0.5);
/// optimizer.backward_step(&w.sum_all()?)?;
/// assert_eq!(w.to_vec1::<f32>()?, [2.5]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// The concrete types have the everyday methods (`step`, `backward_step`, the learning rate) of their own, and implement
/// `candle_nn::Optimizer` as well: a program may import this trait, candle's, both or neither.
///
/// # An optimizer of your own
/// Four methods have no default. What else a wrapper may ask for (its state, a reset) is an honest error until you write it:
/// [`Error::Unsupported`]. [`Rule`](crate::rule::Rule) is a shorter way where a formula of one element is all there is.
///
/// ```
/// use candle_core::{Device, Var, backprop::GradStore};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Result, parameter::Parameter};
///
/// #[derive(Debug)]
/// struct SignDescent { parameters: Vec<Parameter>, learning_rate: f64 }
///
/// impl Optimizer for SignDescent {
///     fn parameters(&self) -> &[Parameter] { &self.parameters }
///     fn learning_rate(&self) -> f64 { self.learning_rate }
///     fn set_learning_rate(&mut self, learning_rate: f64) { self.learning_rate = learning_rate }
///     fn step(&mut self, grads: &GradStore) -> Result<()> {
///         for parameter in &self.parameters {
///             let Some(gradient) = grads.get(parameter.var()) else { continue };
///             let w = parameter.weights();
///             w.set(&(w.as_detached_tensor() - (gradient.sign()?.to_dtype(w.dtype())? * self.learning_rate)?)?)?;
///             parameter.publish()?;
///         }
///         Ok(())
///     }
/// }
///
/// let w = Var::new(&[1f32, -1.0], &Device::Cpu)?;
/// let inner = SignDescent { parameters: Parameter::list([("w", w.clone())])?, learning_rate: 0.25 };
/// let mut optimizer = Lookahead::new(inner, LookaheadConfig::default())?;
/// optimizer.backward_step(&w.sqr()?.sum_all()?)?;
/// assert_eq!(w.to_vec1::<f32>()?, [0.75, -0.75]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # A wrapper of your own
/// Give [`inner`](Self::inner) and [`inner_mut`](Self::inner_mut): every method with a default then goes through to what is
/// wrapped, evaluation weights and state included, so that none can be forgotten.
///
/// ```
/// use candle_core::backprop::GradStore;
/// use lookahead_optim::{Optimizer, Result, parameter::Parameter};
///
/// /// Counts steps.
/// #[derive(Debug)]
/// struct Counted<O> { inner: O, steps: usize }
///
/// impl<O: Optimizer> Optimizer for Counted<O> {
///     fn inner(&self) -> Option<&dyn Optimizer> { Some(&self.inner) }
///     fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> { Some(&mut self.inner) }
///     fn parameters(&self) -> &[Parameter] { self.inner.parameters() }
///     fn learning_rate(&self) -> f64 { self.inner.learning_rate() }
///     fn set_learning_rate(&mut self, learning_rate: f64) { self.inner.set_learning_rate(learning_rate) }
///     fn step(&mut self, grads: &GradStore) -> Result<()> {
///         self.steps += 1;
///         self.inner.step(grads)
///     }
/// }
/// ```
pub trait Optimizer: std::fmt::Debug + Send {
    /// What is optimized, sorted by name.
    fn parameters(&self) -> &[Parameter];

    /// One update. A parameter without a gradient in `grads` is left as it is, decay and state included.
    ///
    /// # Errors
    /// A gradient of the wrong shape, [`Error::NoGradient`] where no parameter has one, [`Error::WeightsChanged`], hyper-parameters
    /// out of range, and what the options ask to be reported; nothing is changed then.
    fn step(&mut self, grads: &GradStore) -> Result<()>;

    /// The learning rate.
    #[doc(alias = "lr")]
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate; the next [`step`](Self::step) checks it.
    #[doc(alias = "lr")]
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// What this wraps; `None`, the default, for an optimizer that wraps nothing. A wrapper gives both this and
    /// [`inner_mut`](Self::inner_mut).
    fn inner(&self) -> Option<&dyn Optimizer> {
        None
    }

    /// What this wraps, to change it.
    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        None
    }

    /// Its name in messages.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// The gradients of `loss`, and one [`step`](Self::step) with them.
    ///
    /// # Errors
    /// As [`step`](Self::step); what candle reports.
    fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        self.step(&loss.backward()?)
    }

    /// The momentum a schedule may drive: that of SGD and RMSProp, Adam's beta1. `None` if there is none.
    fn momentum(&self) -> Option<f64> {
        self.inner()?.momentum()
    }

    /// Sets it.
    ///
    /// # Errors
    /// [`Error::NoMomentum`] where [`momentum`](Self::momentum) is `None`; [`Error::OutOfRange`] outside `[0, 1)`.
    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        let optimizer = self.name();
        self.inner_mut().ok_or(Error::NoMomentum { optimizer })?.set_momentum(momentum)
    }

    /// A copy of everything remembered between steps, but the fast weights.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; [`Error::Unsupported`], the default; what candle reports.
    fn state(&self) -> Result<State> {
        self.inner().ok_or(Error::Unsupported { optimizer: self.name(), operation: "save its state" })?.state()
    }

    /// Takes over a saved state, or changes nothing.
    ///
    /// # Errors
    /// The first difference, by name; [`Error::Unsupported`], the default.
    fn load_state(&mut self, state: &State) -> Result<()> {
        let error = Error::Unsupported { optimizer: self.name(), operation: "load a state" };
        self.inner_mut().ok_or(error)?.load_state(state)
    }

    /// Makes the state that of a newly built optimizer: every buffer and every counter. Weights and rates stay.
    ///
    /// # Errors
    /// [`Error::Unsupported`], the default; what candle reports.
    fn reset_state(&mut self) -> Result<()> {
        let error = Error::Unsupported { optimizer: self.name(), operation: "reset its state" };
        self.inner_mut().ok_or(error)?.reset_state()
    }

    /// Whether [`reset_state`](Self::reset_state) can work at all, which Lookahead asks when it is built with the policy `Reset`.
    fn can_reset_state(&self) -> bool {
        self.inner().is_none_or(|inner| inner.can_reset_state())
    }

    /// Moves `anchor`, an earlier [`state`](Self::state), towards the present one by `rate`, then takes it over: Lookahead's
    /// `Interpolate`. Counters are taken from the present.
    ///
    /// # Errors
    /// As [`state`](Self::state) and [`load_state`](Self::load_state).
    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        // A wrapper without state of its own has that of what it wraps.
        let (own, inner) = (self.state()?, self.inner().map(|inner| inner.state()).transpose()?);
        let wraps = inner.is_some();
        let passes_through = inner.is_some_and(|inner| inner.settings == own.settings);
        if let Some(inner) = self.inner_mut() {
            if passes_through {
                return inner.interpolate_state(anchor, rate);
            }
            // What is wrapped mixes its share itself: Adam's counters go with its moments.
            inner.interpolate_state(&mut anchor.inner(), rate)?;
        }
        let mut now = self.state()?;
        for (key, tensor) in now.tensors.iter_mut().filter(|(key, _)| !(wraps && State::is_inner(key))) {
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
    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
        self.inner().map_or(Ok(None), |inner| inner.second_moments())
    }

    /// Steps since the last sync if Lookahead is in it: 0 right after one, below the period always.
    fn steps_since_sync(&self) -> Option<usize> {
        self.inner()?.steps_since_sync()
    }

    /// The last sync of the outermost Lookahead in it that [measures](crate::Lookahead::measuring_syncs) them.
    fn last_sync(&self) -> Option<&Synced> {
        self.inner()?.last_sync()
    }

    /// Exchanges the weights with those meant for evaluation, where they differ; a second call changes them back, bit for bit.
    /// Call [`with_evaluation_weights`](crate::with_evaluation_weights) instead, which does not forget the second.
    ///
    /// # Errors
    /// What candle reports.
    fn swap_evaluation_weights(&mut self) -> Result<()> {
        self.inner_mut().map_or(Ok(()), |inner| inner.swap_evaluation_weights())
    }

    /// Starts from the weights that are in the variables now, loaded there after the optimizer was built: f32 master copies, slow
    /// weights and averages become equal to them, and a cycle begins. Momentum and moments stay; [`reset_state`](Self::reset_state)
    /// is for those.
    ///
    /// Call it after `VarMap::load` and the like. Without it the next step is [`Error::WeightsChanged`], since the slow weights
    /// would pull the loaded ones back to where the network was. What is noticed: on the CPU, another value at one of two places
    /// looked at in each tensor, by Lookahead, by averages, and by any optimizer of bf16 and f16 weights.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; what candle reports.
    fn adopt_weights(&mut self) -> Result<()> {
        match self.inner_mut() {
            Some(inner) => inner.adopt_weights(),
            None => self.parameters().iter().try_for_each(Parameter::adopt),
        }
    }

    /// Goes on from weights that were changed by hand between two steps, clamped or projected: f32 master copies follow them, and
    /// slow weights and averages stay where they are.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; what candle reports.
    fn accept_adjustment(&mut self) -> Result<()> {
        match self.inner_mut() {
            Some(inner) => inner.accept_adjustment(),
            None => self.parameters().iter().try_for_each(Parameter::adopt),
        }
    }
}
