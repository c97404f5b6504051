//! Any optimizer of candle's as an inner optimizer.

use crate::parameter::{Parameter, Variables};
use crate::{Error, Optimizer, Result};
use candle_core::Var;
use candle_core::backprop::GradStore;

/// An optimizer written against `candle_nn::Optimizer`, candle's own or anybody's, as one of this crate: something for
/// [`Lookahead`](crate::Lookahead) and [`Averaged`](crate::Averaged) to stand around.
///
/// Its learning rate goes through. Its state is out of reach, so Lookahead keeps it ([`StatePolicy::Keep`](crate::StatePolicy::Keep));
/// the other policies, saving and loading are [`Error::Unsupported`]. bf16 and f16 variables are updated as that optimizer does it; slow
/// weights and averages of them are in f32 all the same.
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
    /// Builds the optimizer over `variables` ([what they can be](Variables)).
    ///
    /// # Errors
    /// As [`Parameter::list`]; what the optimizer's own constructor reports.
    pub fn new(variables: impl Into<Variables>, config: O::Config) -> Result<Self> {
        let parameters = Parameter::list(variables)?;
        let vars: Vec<Var> = parameters.iter().map(|p| p.var().clone()).collect();
        Ok(Self { inner: O::new(vars, config)?, parameters })
    }

    /// Takes one that is built already, over these same variables: candle's trait does not tell which it has.
    ///
    /// # Errors
    /// As [`Parameter::list`].
    pub fn built(inner: O, variables: impl Into<Variables>) -> Result<Self> {
        Ok(Self { inner, parameters: Parameter::list(variables)? })
    }

    /// What is inside.
    pub fn get(&self) -> &O {
        &self.inner
    }

    /// What is inside, to change its settings.
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
        let ready: Vec<&Parameter> = self.parameters.iter().filter(|p| grads.get(p.var()).is_some()).collect();
        if ready.is_empty() {
            return Err(Error::NoGradient { parameters: self.parameters.len() });
        }
        self.inner.step(grads)?;
        // The step was made on the variables; master copies follow.
        ready.into_iter().filter(|p| p.master().is_some()).try_for_each(Parameter::adopt)
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

    fn can_reset_state(&self) -> bool {
        false
    }
}
