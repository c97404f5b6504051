//! Averages of the weights over time: Polyak's and exponential.

mod average;

pub use average::Average;

use crate::evaluation::with_evaluation_weights;
use crate::parameter::Parameter;
use crate::pull::Pull;
use crate::shadow::Shadow;
use crate::{Error, Optimizer, Result, State};
use candle_core::backprop::GradStore;

/// Wraps an optimizer and keeps an average of its weights for evaluation. Training is unaffected.
///
/// The built-in optimizers update the average in the same pass as the step. Parameters that never had a gradient are not averaged. Around
/// [`Lookahead`](crate::Lookahead), it averages the fast weights after each step, synced or not.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Average, Averaged, Sgd};
///
/// let w = Var::new(3f64, &Device::Cpu)?;
/// let sgd = Sgd::new([("w", w.clone())], 1.0)?;
/// let mut optimizer = Averaged::new(sgd, Average::Polyak { start: 0, power: 0.0 })?;
/// for _ in 0..3 {
///     optimizer.backward_step(&w)?; // 3 -> 2 -> 1 -> 0
/// }
/// let mean = optimizer.with_average(|| Ok(w.to_scalar::<f64>()?))?;
/// assert_eq!((mean, w.to_scalar::<f64>()?), (1.0, 0.0));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// BatchNorm's running statistics match the fast weights; re-estimate them at the average with
/// [`with_reestimated_statistics`](crate::evaluation::with_reestimated_statistics).
#[doc(alias = "AveragedModel")]
#[doc(alias = "SWA")]
#[doc(alias = "EMA")]
#[derive(Debug)]
pub struct Averaged<O> {
    inner: O,
    average: Average,
    values: Shadow,
    steps: usize,
    average_in_place: bool,
}

impl<O: Optimizer> Averaged<O> {
    /// Averages the weights of `inner`.
    ///
    /// # Errors
    /// As [`Average::validate`].
    pub fn new(inner: O, average: Average) -> Result<Self> {
        average.validate()?;
        let values = Shadow::new("average", inner.parameters())?;
        inner.parameters().iter().for_each(Parameter::look_without_master);
        Ok(Self { inner, average, values, steps: 0, average_in_place: false })
    }

    /// The inner optimizer.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// The inner optimizer, to change its settings.
    pub fn inner_mut(&mut self) -> &mut O {
        &mut self.inner
    }

    /// Runs `evaluate` with the averaged weights in the variables, then restores the fast weights bit for bit, also after an error or a
    /// panic. [`EvaluationWeights`](crate::evaluation::EvaluationWeights) does the same without a closure.
    ///
    /// # Errors
    /// [`Error::WeightsChanged`] for weights loaded without [`adopt_weights`](Optimizer::adopt_weights); errors of `evaluate`; candle
    /// errors.
    pub fn with_average<T>(&mut self, evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
        with_evaluation_weights(self, evaluate)
    }

    fn advance(&mut self, grads: &GradStore, outer: Option<&Pull<'_>>) -> Result<()> {
        self.check_weights_in_place("take a step")?;
        let moved = self.values.moved_by(grads, self.inner.parameters())?;
        match (self.average.rate(self.steps + 1), outer) {
            (None, None) => self.inner.step(grads)?,
            (None, Some(outer)) => self.inner.step_and_pull(grads, outer)?,
            (Some(rate), outer) => {
                self.inner.step_and_pull(grads, &self.values.pull(&moved, rate, false))?;
                if let Some(outer) = outer {
                    outer.apply(self.inner.parameters())?;
                }
            }
        }
        self.values.stepped(self.inner.parameters(), moved, false);
        self.steps += 1;
        Ok(())
    }

    /// Starts the average at the present weights, after `steps` steps.
    fn begin(&mut self, steps: usize) -> Result<()> {
        self.values.restart(self.inner.parameters())?;
        self.steps = steps;
        Ok(())
    }

    fn check_weights_in_place(&self, operation: &'static str) -> Result<()> {
        if self.average_in_place { Err(Error::EvaluationWeightsInPlace { operation }) } else { Ok(()) }
    }
}

impl<O: Optimizer> Optimizer for Averaged<O> {
    fn parameters(&self) -> &[Parameter] {
        self.inner.parameters()
    }

    fn step(&mut self, grads: &GradStore) -> Result<()> {
        self.advance(grads, None)
    }

    fn step_and_pull(&mut self, grads: &GradStore, pull: &Pull<'_>) -> Result<()> {
        self.advance(grads, Some(pull))
    }

    fn learning_rate(&self) -> f64 {
        self.inner.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.inner.set_learning_rate(learning_rate);
    }

    fn inner(&self) -> Option<&dyn Optimizer> {
        Some(&self.inner)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        Some(&mut self.inner)
    }

    fn name(&self) -> &'static str {
        "averaged"
    }

    fn state(&self) -> Result<State> {
        self.check_weights_in_place("save the state")?;
        self.values.check_unchanged(self.inner.parameters())?;
        let mut state = State::new("averaged").with_inner(self.inner.state()?);
        state.settings_mut().set("average", format!("{:?}", self.average));
        state.count("steps", self.steps);
        self.values.save(self.inner.parameters(), &mut state)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        state.check_fits(&Parameter::unchecked(self.inner.parameters(), || self.state())?)?;
        let steps = state.steps("steps")? as usize;
        let values = self.values.saved(self.inner.parameters(), state)?;
        self.inner.load_state(&state.inner())?;
        self.inner.parameters().iter().for_each(Parameter::forget);
        self.values = values;
        self.steps = steps;
        Ok(())
    }

    /// Resets the inner state and restarts the average at the present weights.
    fn reset_state(&mut self) -> Result<()> {
        self.check_weights_in_place("reset the state")?;
        self.inner.reset_state()?;
        self.inner.parameters().iter().for_each(Parameter::look_without_master);
        self.begin(0)
    }

    fn evaluation_weights_in_place(&self) -> bool {
        self.average_in_place || self.inner.evaluation_weights_in_place()
    }

    fn swap_evaluation_weights(&mut self) -> Result<()> {
        if !self.average.has_begun(self.steps) {
            return self.inner.swap_evaluation_weights();
        }
        if !self.average_in_place {
            self.values.check_unchanged(self.inner.parameters())?;
        }
        self.values.swap(self.inner.parameters())?;
        self.average_in_place = !self.average_in_place;
        Ok(())
    }

    fn adopt_weights(&mut self) -> Result<()> {
        self.check_weights_in_place("adopt weights")?;
        self.inner.adopt_weights()?;
        // An average that has begun begins again with the next step; one that has not waits no longer than it would have.
        self.begin(self.steps.min(self.average.start()))
    }

    fn accept_adjustment(&mut self) -> Result<()> {
        self.check_weights_in_place("accept weights")?;
        self.inner.accept_adjustment()
    }
}
