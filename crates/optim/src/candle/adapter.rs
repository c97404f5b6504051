//! Adapts candle's optimizers for use as inner optimizers.

use crate::error::not_negative;
use crate::parameter::{Parameter, Variables};
use crate::ready::checked;
use crate::{Optimizer, Result};
use candle_core::Var;
use candle_core::backprop::GradStore;

/// Adapts an optimizer written against `candle_nn::Optimizer`, candle's own or any other, to this crate, so that
/// [`Lookahead`](crate::Lookahead) and [`Averaged`](crate::Averaged) can wrap it.
///
/// The learning rate is passed on. The state is not accessible, so Lookahead keeps it ([`StatePolicy::Keep`](crate::StatePolicy::Keep));
/// the other policies, saving and loading are [`Error::Unsupported`](crate::Error::Unsupported). The wrapped optimizer updates bf16 and
/// f16 variables its own way; their slow weights and averages are still in f32.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{FromCandle, Lookahead, LookaheadConfig};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let adamw = FromCandle::<candle_nn::AdamW>::new([("w", w.clone())], candle_nn::ParamsAdamW::default())?;
/// let mut optimizer = Lookahead::new(adamw, LookaheadConfig::default())?;
/// for _ in 0..10 {
///     optimizer.backward_step(&w.sqr()?.sum_all()?)?;
/// }
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub struct FromCandle<O> {
    inner: O,
    parameters: Vec<Parameter>,
}

impl<O: candle_nn::Optimizer> FromCandle<O> {
    /// Builds the optimizer over `variables` ([accepted forms](Variables)).
    ///
    /// # Errors
    /// As [`Parameter::list`]; errors of the optimizer's own constructor.
    pub fn new(variables: impl Into<Variables>, config: O::Config) -> Result<Self> {
        let parameters = Parameter::list(variables)?;
        let vars: Vec<Var> = parameters.iter().map(|p| p.var().clone()).collect();
        Ok(Self { inner: O::new(vars, config)?, parameters })
    }

    /// Wraps an optimizer already built over these same variables, which candle's trait does not expose.
    ///
    /// # Errors
    /// As [`Parameter::list`].
    pub fn built(inner: O, variables: impl Into<Variables>) -> Result<Self> {
        Ok(Self { inner, parameters: Parameter::list(variables)? })
    }

    /// The wrapped optimizer.
    pub fn get(&self) -> &O {
        &self.inner
    }

    /// The wrapped optimizer, to change its settings.
    pub fn get_mut(&mut self) -> &mut O {
        &mut self.inner
    }
}

/// Candle's optimizers need not be `Debug`.
impl<O> std::fmt::Debug for FromCandle<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromCandle").field("optimizer", &std::any::type_name::<O>()).finish_non_exhaustive()
    }
}

impl<O: candle_nn::Optimizer + Send> Optimizer for FromCandle<O> {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn step(&mut self, grads: &GradStore) -> Result<()> {
        not_negative("learning_rate", self.inner.learning_rate())?;
        let checked = checked(&self.parameters, grads)?;
        self.inner.step(grads)?;
        // The step changed the variables; update the master copies.
        let stepped = checked.into_iter().map(|(index, _)| &self.parameters[index]);
        stepped.filter(|p| p.master().is_some()).try_for_each(Parameter::adopt)
    }

    fn learning_rate(&self) -> f64 {
        self.inner.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.inner.set_learning_rate(learning_rate);
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<O>()
    }
}
