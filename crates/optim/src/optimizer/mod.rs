//! The trait that every optimizer and every wrapper implements.

mod boxed;

use crate::lookahead::Synced;
use crate::parameter::Parameter;
use crate::pull::{Pull, towards};
use crate::{Error, Result, State};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

/// An optimizer, or a wrapper around one. The trait is object safe and implemented for boxes, so wrappers also compose at run time.
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
/// The concrete types also have the everyday methods (`step`, `backward_step`, the learning rate) as inherent methods, and implement
/// `candle_nn::Optimizer`: a program may import this trait, candle's, both or neither.
///
/// # An optimizer of your own
/// Four methods have no default. The others that a wrapper may need (state, reset) return [`Error::Unsupported`] until you implement them.
/// For an update that is a formula of one element, [`Rule`](crate::rule::Rule) is shorter.
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
/// Implement [`inner`](Self::inner) and [`inner_mut`](Self::inner_mut): every method with a default is then forwarded to the wrapped
/// optimizer, evaluation weights and state included.
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
    /// The parameters, sorted by name.
    fn parameters(&self) -> &[Parameter];

    /// One update. Parameters without a gradient in `grads` are not touched: no decay, no change of state.
    ///
    /// While a step or a swap of weights runs, no other thread may use the variables: it locks many of them at a time, and a model that
    /// locks the same ones in another order would wait for it, and it for the model.
    ///
    /// # Errors
    /// A gradient of the wrong shape; [`Error::NoGradient`] if no parameter has one; [`Error::WeightsChanged`]; hyper-parameters out of
    /// range; the checks that the options request. On error nothing changes.
    fn step(&mut self, grads: &GradStore) -> Result<()>;

    /// The learning rate.
    #[doc(alias = "lr")]
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate; the next [`step`](Self::step) checks it.
    #[doc(alias = "lr")]
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The wrapped optimizer; `None`, the default, if there is none. A wrapper implements both this and [`inner_mut`](Self::inner_mut).
    fn inner(&self) -> Option<&dyn Optimizer> {
        None
    }

    /// The wrapped optimizer, to change it.
    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        None
    }

    /// The name used in messages.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Computes the gradients of `loss` and takes one [`step`](Self::step) with them.
    ///
    /// # Errors
    /// As [`step`](Self::step); candle errors.
    fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        self.step(&loss.backward()?)
    }

    /// The momentum that a schedule may set: that of SGD and RMSProp, Adam's beta1. `None` if there is none.
    fn momentum(&self) -> Option<f64> {
        self.inner()?.momentum()
    }

    /// Sets the momentum.
    ///
    /// # Errors
    /// [`Error::NoMomentum`] if [`momentum`](Self::momentum) is `None`; [`Error::OutOfRange`] outside `[0, 1)`.
    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        let optimizer = self.name();
        self.inner_mut().ok_or(Error::NoMomentum { optimizer })?.set_momentum(momentum)
    }

    /// A copy of the state kept between steps, without the fast weights.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; [`Error::WeightsChanged`] as at a [`step`](Self::step); [`Error::Unsupported`], the default;
    /// candle errors.
    fn state(&self) -> Result<State> {
        self.inner().ok_or(Error::Unsupported { optimizer: self.name(), operation: "save its state" })?.state()
    }

    /// Loads a saved state; on error nothing changes.
    ///
    /// # Errors
    /// The first difference, by name; [`Error::Unsupported`], the default.
    fn load_state(&mut self, state: &State) -> Result<()> {
        let error = Error::Unsupported { optimizer: self.name(), operation: "load a state" };
        self.inner_mut().ok_or(error)?.load_state(state)
    }

    /// Resets every buffer and counter to those of a newly built optimizer. Weights and rates stay. Implement it together with
    /// [`can_reset_state`](Self::can_reset_state).
    ///
    /// # Errors
    /// [`Error::Unsupported`], the default; candle errors.
    fn reset_state(&mut self) -> Result<()> {
        let error = Error::Unsupported { optimizer: self.name(), operation: "reset its state" };
        self.inner_mut().ok_or(error)?.reset_state()
    }

    /// Whether [`reset_state`](Self::reset_state) is supported; Lookahead with the policy `Reset` requires it. By default the answer of the
    /// wrapped optimizer, or false if there is none: an optimizer that implements `reset_state` returns true here.
    fn can_reset_state(&self) -> bool {
        self.inner().is_some_and(|inner| inner.can_reset_state())
    }

    /// Moves `anchor`, an earlier [`state`](Self::state), towards the present state by `rate`, then loads it: Lookahead's `Interpolate`.
    /// Counters keep their present values.
    ///
    /// # Errors
    /// As [`state`](Self::state) and [`load_state`](Self::load_state).
    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        // A wrapper without its own state has that of the wrapped optimizer.
        let (own, inner) = (self.state()?, self.inner().map(|inner| inner.state()).transpose()?);
        let wraps = inner.is_some();
        let passes_through = inner.is_some_and(|inner| inner.settings == own.settings);
        if let Some(inner) = self.inner_mut() {
            if passes_through {
                return inner.interpolate_state(anchor, rate);
            }
            // The wrapped optimizer interpolates its own part: Adam's counters belong to its moments.
            inner.interpolate_state(&mut anchor.inner(), rate)?;
        }
        let mut now = self.state()?;
        for (key, tensor) in now.tensors.iter_mut().filter(|(key, _)| !(wraps && State::is_inner(key))) {
            *tensor = towards(anchor.tensor(key)?, tensor, rate)?;
        }
        self.load_state(&now)?;
        *anchor = now;
        Ok(())
    }

    /// [`step`](Self::step), then `pull` on the new weights. Override it to do both in one pass.
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
    /// Candle errors.
    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
        self.inner().map_or(Ok(None), |inner| inner.second_moments())
    }

    /// Steps since the last sync, if there is a Lookahead inside: 0 right after a sync, always below the period.
    fn steps_since_sync(&self) -> Option<usize> {
        self.inner()?.steps_since_sync()
    }

    /// The last sync of the outermost Lookahead inside that [measures](crate::Lookahead::measuring_syncs) them.
    fn last_sync(&self) -> Option<&Synced> {
        self.inner()?.last_sync()
    }

    /// Whether the evaluation weights are swapped in. By default the answer of the wrapped optimizer, or false if there is none: an
    /// optimizer that implements [`swap_evaluation_weights`](Self::swap_evaluation_weights) implements both.
    fn evaluation_weights_in_place(&self) -> bool {
        self.inner().is_some_and(|inner| inner.evaluation_weights_in_place())
    }

    /// Swaps the weights with the evaluation weights, if they differ; a second call restores them bit for bit. Prefer
    /// [`with_evaluation_weights`](crate::with_evaluation_weights), which always makes the second call and refuses to begin between the two.
    ///
    /// # Errors
    /// [`Error::WeightsChanged`] as at a [`step`](Self::step); nothing is swapped. Candle errors.
    fn swap_evaluation_weights(&mut self) -> Result<()> {
        self.inner_mut().map_or(Ok(()), |inner| inner.swap_evaluation_weights())
    }

    /// Restarts from the weights now in the variables, loaded after the optimizer was built: f32 master copies, slow weights and averages,
    /// also those of Schedule-Free, become equal to them, and a cycle begins. Momentum and moments stay; [`reset_state`](Self::reset_state)
    /// clears those.
    ///
    /// Call it after `VarMap::load` and the like. Otherwise the next step, evaluation or saved state is [`Error::WeightsChanged`], because the
    /// slow weights would pull the loaded weights back to the old ones. Changes are detected on the CPU, from two elements of each tensor, by
    /// Lookahead, by averages, by Schedule-Free, and by any optimizer of bf16 and f16 weights.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; candle errors.
    fn adopt_weights(&mut self) -> Result<()> {
        match self.inner_mut() {
            Some(inner) => inner.adopt_weights(),
            None => self.parameters().iter().try_for_each(Parameter::adopt),
        }
    }

    /// Continues from weights changed by hand between two steps, such as clamped or projected ones: f32 master copies follow them; slow
    /// weights and averages stay. Parameters without a gradient so far are evaluated as they are: they may be running statistics.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`]; candle errors.
    fn accept_adjustment(&mut self) -> Result<()> {
        match self.inner_mut() {
            Some(inner) => inner.accept_adjustment(),
            None => self.parameters().iter().try_for_each(Parameter::adopt),
        }
    }
}
