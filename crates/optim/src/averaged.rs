//! Averages of the weights over time: Polyak's and exponential.

use crate::error::in_range;
use crate::pull::Pull;
use crate::shadow::Shadow;
use crate::{Error, Optimizer, Parameter, Result, State};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

/// Which average [`Averaged`] keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub enum Average {
    /// The mean of the weights after each step, from step `start` on (counted from 0, so 0 means all steps). Until then the
    /// average is the weights themselves.
    Polyak {
        /// The first step whose weights count.
        start: usize,
    },
    /// `average <- decay * average + (1 - decay) * weights` after each step, from the initial weights; `decay` in `[0, 1]`.
    Ema {
        /// What the old average weighs.
        decay: f64,
    },
}

impl Average {
    /// Checks the decay, as [`Averaged::new`] does.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a decay outside `[0, 1]`, NaN included.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Polyak { .. } => Ok(()),
            Self::Ema { decay } => in_range((0.0..=1.0).contains(&decay), "decay", decay, "[0, 1]"),
        }
    }
}

/// An optimizer that also keeps an average of its weights, and evaluates at it. Training goes on as without it.
///
/// The built-in optimizers update the average in the pass of the step. A parameter that never had a gradient is not averaged. It
/// composes: around [`Lookahead`](crate::Lookahead) it averages the fast weights as they are after each step, synced or not.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{with_evaluation_weights, Average, Averaged, Optimizer, Sgd, SgdConfig};
///
/// let w = Var::new(3f64, &Device::Cpu)?;
/// let sgd = Sgd::new(vec![("w".into(), w.clone())], SgdConfig { learning_rate: 1.0, ..SgdConfig::default() })?;
/// let mut optimizer = Averaged::new(sgd, Average::Polyak { start: 0 })?;
/// for _ in 0..3 {
///     optimizer.step(&w.backward()?)?; // 3 -> 2 -> 1 -> 0
/// }
/// let mean = with_evaluation_weights(&mut optimizer, || Ok::<_, lookahead_optim::Error>(w.to_scalar::<f64>()?))?;
/// assert_eq!((mean, w.to_scalar::<f64>()?), (1.0, 0.0));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Polyak, Juditsky: *Acceleration of stochastic approximation by averaging*, 1992. PyTorch's `AveragedModel` copies the weights at its first
/// update also for the exponential average; here that starts at the initial weights.
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
    /// [`Error::OutOfRange`] for a decay outside `[0, 1]`, NaN included.
    pub fn new(inner: O, average: Average) -> Result<Self> {
        average.validate()?;
        let values = Shadow::new("average", inner.parameters())?;
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

    /// How far the average goes towards the weights after step `steps`; `None` before the first that counts.
    fn rate(&self) -> Option<f64> {
        match self.average {
            Average::Polyak { start } => {
                let counted = (self.steps + 1).checked_sub(start).filter(|n| *n > 0)?;
                Some(1.0 / counted as f64)
            }
            Average::Ema { decay } => Some(1.0 - decay),
        }
    }

    fn has_average(&self) -> bool {
        match self.average {
            Average::Polyak { start } => self.steps > start,
            Average::Ema { .. } => true,
        }
    }

    fn advance(&mut self, grads: &GradStore, outer: Option<&Pull<'_>>) -> Result<()> {
        self.check_weights_in_place("take a step")?;
        let moved = self.values.moved_by(grads, self.inner.parameters());
        match (self.rate(), outer) {
            (None, None) => self.inner.step(grads)?,
            (None, Some(outer)) => self.inner.step_and_pull(grads, outer)?,
            (Some(rate), outer) => {
                self.inner.step_and_pull(grads, &self.values.pull(&moved, rate, false))?;
                if let Some(outer) = outer {
                    outer.apply(self.inner.parameters())?;
                }
            }
        }
        self.values.moved = moved;
        self.steps += 1;
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

    fn momentum(&self) -> Option<f64> {
        self.inner.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        self.inner.set_momentum(momentum)
    }

    fn state(&self) -> Result<State> {
        self.check_weights_in_place("save the state")?;
        let mut state = State::new("averaged").with_inner(self.inner.state()?);
        state.settings_mut().set("average", format!("{:?}", self.average));
        state.count("steps", self.steps);
        self.values.save(self.parameters(), &mut state)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        state.check_fits(&self.state()?)?;
        let steps = state.steps("steps")? as usize;
        let values = self.values.saved(self.parameters(), state)?;
        self.inner.load_state(&state.inner())?;
        self.values = values;
        self.steps = steps;
        Ok(())
    }

    /// Starts over: the inner state anew, the average at the present weights.
    fn reset_state(&mut self) -> Result<()> {
        self.check_weights_in_place("reset the state")?;
        self.inner.reset_state()?;
        self.values.restart(self.inner.parameters())?;
        self.steps = 0;
        Ok(())
    }

    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
        self.inner.second_moments()
    }

    fn steps_since_sync(&self) -> Option<usize> {
        self.inner.steps_since_sync()
    }

    fn swap_evaluation_weights(&mut self) -> Result<()> {
        if !self.has_average() {
            return self.inner.swap_evaluation_weights();
        }
        self.values.swap(self.inner.parameters())?;
        self.average_in_place = !self.average_in_place;
        Ok(())
    }
}
