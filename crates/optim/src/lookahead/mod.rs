//! Lookahead around any optimizer.

mod adaptive;
mod config;
mod reestimate;
#[cfg(feature = "serde")]
mod serial;

pub use config::{BufferPolicy, LookaheadConfig, Period, StatePolicy, StepSize};
pub use reestimate::Reestimate;

use crate::pull::{Pull, pull_pairs, swap_pairs};
use crate::shadow::Shadow;
use crate::{Error, Optimizer, Parameter, Result, State, with_evaluation_weights};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// Lookahead: `sync_period` steps forward with the inner optimizer, one step back.
///
/// After every `sync_period`-th inner step, for each parameter,
///
/// ```text
/// slow <- slow + slow_step_size * (fast - slow);    fast <- slow
/// ```
///
/// Slow weights start equal to the initial fast weights, own their storage and carry no graph. See [`LookaheadConfig`] for the
/// hyper-parameters. Gradients are taken at the fast weights, which are in the variables; evaluate at the slow ones with
/// [`with_slow_weights`](Self::with_slow_weights). The learning rate and the momentum go through to the inner optimizer, and
/// schedules count inner steps.
///
/// A parameter without a gradient since the last sync is not touched: frozen weights, and running statistics that a careless list
/// of variables includes, stay as they are.
///
/// The cost over the inner optimizer is one copy of the weights (f32 for half precision) and, since the built-in optimizers pull
/// the slow weights along in the pass of the step, some memory traffic every `sync_period` steps.
///
/// # Errors
/// [`new`](Self::new) reports a period of 0 and a step size outside `[0, 1]`, NaN included.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Sgd, SgdConfig};
///
/// let w = Var::new(3f64, &Device::Cpu)?;
/// let sgd = Sgd::new(vec![("w".into(), w.clone())], SgdConfig { learning_rate: 1.0, ..SgdConfig::default() })?;
/// let mut optimizer = Lookahead::new(sgd, LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() })?;
/// let mut path = vec![w.to_scalar::<f64>()?];
/// for _ in 0..4 {
///     optimizer.step(&w.backward()?)?; // the gradient of w itself: 1
///     path.push(w.to_scalar::<f64>()?);
/// }
/// assert_eq!(path, [3.0, 2.0, 2.0, 1.0, 1.0]); // 3 -> 2 -> (1 ->) 2 -> 1 -> (0 ->) 1
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Zhang, Lucas, Hinton, Ba: *Lookahead Optimizer: k steps forward, 1 step back*, 2019,
/// [arXiv:1907.08610](https://arxiv.org/abs/1907.08610).
#[derive(Debug)]
pub struct Lookahead<O> {
    inner: O,
    config: LookaheadConfig,
    slow: Shadow,
    steps: usize,
    steps_since_sync: usize,
    /// The present cycle's length.
    period: usize,
    /// The inner state after the last sync, where it is interpolated.
    slow_state: Option<State>,
    buffers: Vec<Buffer>,
    slow_in_place: bool,
}

#[derive(Debug)]
struct Buffer {
    name: String,
    var: Var,
    slow: Var,
}

impl<O: Optimizer> Lookahead<O> {
    /// Lookahead around `inner`, with slow weights equal to the present ones.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::NoCurvature`] for an adaptive step size around an optimizer without second moments.
    pub fn new(inner: O, config: LookaheadConfig) -> Result<Self> {
        Self::with_buffers(inner, config, Vec::new())
    }

    /// The same for a model with buffers: the running statistics of batch norm, which [`BufferPolicy`] and
    /// [`with_reestimated_slow_weights`](Self::with_reestimated_slow_weights) are about.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::DuplicateName`], and [`Error::SameVariable`] where a buffer is a parameter too.
    pub fn with_buffers(inner: O, config: LookaheadConfig, mut buffers: Vec<(String, Var)>) -> Result<Self> {
        config.validate()?;
        if matches!(config.slow_step_size, StepSize::Adaptive { .. }) && inner.second_moments()?.is_none() {
            return Err(Error::NoCurvature);
        }
        buffers.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = buffers.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::DuplicateName { name: pair[0].0.clone() });
        }
        for (name, var) in &buffers {
            if let Some(parameter) = inner.parameters().iter().find(|p| p.var().id() == var.id()) {
                return Err(Error::SameVariable { first: parameter.name().to_string(), second: name.clone() });
            }
        }
        let buffers = buffers
            .into_iter()
            .map(|(name, var)| Ok(Buffer { name, slow: Var::from_tensor(&var.as_detached_tensor())?, var }))
            .collect::<Result<Vec<_>>>()?;
        let slow = Shadow::new("slow", inner.parameters())?;
        let slow_state = match config.state_policy {
            StatePolicy::Interpolate => Some(inner.state()?),
            StatePolicy::Keep | StatePolicy::Reset => None,
        };
        let period = config.sync_period.at(0)?;
        Ok(Self {
            inner,
            config,
            slow,
            steps: 0,
            steps_since_sync: 0,
            period,
            slow_state,
            buffers,
            slow_in_place: false,
        })
    }

    /// The inner optimizer.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// The inner optimizer, to change its settings. Stepping it directly would go unnoticed.
    pub fn inner_mut(&mut self) -> &mut O {
        &mut self.inner
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &LookaheadConfig {
        &self.config
    }

    /// Copies of the slow weights, by name.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`].
    pub fn slow_weights(&self) -> Result<Vec<(String, Tensor)>> {
        self.check_fast_in_place("copy the slow weights")?;
        let copy = |(p, slow): (&Parameter, &Var)| Ok((p.name().to_string(), slow.as_detached_tensor().copy()?));
        self.parameters().iter().zip(&self.slow.values).map(copy).collect()
    }

    /// Runs `evaluate` with the slow weights in the variables (and averaged buffers, under [`BufferPolicy::Average`]), and brings the
    /// fast ones back, bit for bit, whether it succeeds, fails or panics.
    ///
    /// # Errors
    /// Those of `evaluate`; what candle reports.
    pub fn with_slow_weights<T, E: From<Error>>(
        &mut self,
        evaluate: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        with_evaluation_weights(self, evaluate)
    }

    /// One step, counted, and the sync after it where one is due. `outer` is another wrapper's pull, done last.
    fn advance(&mut self, grads: &GradStore, outer: Option<&Pull<'_>>) -> Result<()> {
        self.check_fast_in_place("take a step")?;
        let due = self.steps_since_sync + 1 >= self.period;
        let moved = self.slow.moved_by(grads, self.inner.parameters());
        if !due {
            match outer {
                Some(pull) => self.inner.step_and_pull(grads, pull)?,
                None => self.inner.step(grads)?,
            }
            self.slow.moved = moved;
            self.steps += 1;
            self.steps_since_sync += 1;
            return Ok(());
        }
        let next_period = self.config.sync_period.at(self.steps + 1)?;
        let rate = match &self.config.slow_step_size {
            StepSize::Fixed(size) => Some(*size),
            StepSize::Scheduled(schedule) => {
                let size = schedule.at(self.steps + 1);
                config::check_step_size(size)?;
                Some(size)
            }
            StepSize::Adaptive { .. } => None,
        };
        let rate = match rate {
            // Known beforehand: the slow weights are pulled along in the pass of the step.
            Some(rate) => {
                self.inner.step_and_pull(grads, &self.slow.pull(&moved, rate, true))?;
                rate
            }
            None => {
                self.inner.step(grads)?;
                let rate = self.adaptive_rate(grads, &moved)?;
                self.slow.pull(&moved, rate, true).apply(self.inner.parameters())?;
                rate
            }
        };
        self.slow.moved.fill(false);
        self.steps += 1;
        self.steps_since_sync = 0;
        self.period = next_period;
        self.sync_state(rate)?;
        if self.config.buffer_policy == BufferPolicy::Average {
            pull_pairs(&self.buffers.iter().map(|b| (&b.var, &b.slow)).collect::<Vec<_>>(), rate, true)?;
        }
        outer.map_or(Ok(()), |pull| pull.apply(self.inner.parameters()))
    }

    fn sync_state(&mut self, rate: f64) -> Result<()> {
        match (self.config.state_policy, &mut self.slow_state) {
            (StatePolicy::Reset, _) => self.inner.reset_state(),
            (StatePolicy::Interpolate, Some(slow)) => self.inner.interpolate_state(slow, rate),
            (StatePolicy::Interpolate, None) | (StatePolicy::Keep, _) => Ok(()),
        }
    }

    fn check_fast_in_place(&self, operation: &'static str) -> Result<()> {
        if self.slow_in_place { Err(Error::EvaluationWeightsInPlace { operation }) } else { Ok(()) }
    }
}

impl<O: Optimizer> Optimizer for Lookahead<O> {
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
        self.check_fast_in_place("save the state")?;
        let mut state = State::new("lookahead").with_inner(self.inner.state()?);
        for (key, value) in self.config.settings() {
            state.settings_mut().set(key, value);
        }
        state.count("steps", self.steps);
        state.count("steps_since_sync", self.steps_since_sync);
        state.count("period", self.period);
        self.slow.save(self.parameters(), &mut state)?;
        if let Some(slow) = &self.slow_state {
            for (key, tensor) in slow.tensors() {
                state.tensors.insert(format!("slow_state.{key}"), tensor.copy()?);
            }
            for (key, value) in &slow.counters {
                state.count(format!("slow_state.{key}"), value);
            }
        }
        for buffer in &self.buffers {
            state.settings_mut().set(format!("buffer.{}", buffer.name), format!("{:?}", buffer.var.dims()));
            if self.config.buffer_policy == BufferPolicy::Average {
                state.insert(format!("slow_buffer.{}", buffer.name), &buffer.slow)?;
            }
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        state.check_fits(&self.state()?)?;
        let steps = state.steps("steps")? as usize;
        let period: usize = state.counter("period")?;
        let steps_since_sync: usize = state.counter("steps_since_sync")?;
        if period == 0 || steps_since_sync >= period {
            return Err(Error::StateValue { key: "steps_since_sync".into(), value: steps_since_sync.to_string() });
        }
        let slow = self.slow.saved(self.parameters(), state)?;
        self.inner.load_state(&state.inner())?;
        if let Some(slow) = &mut self.slow_state {
            for (key, tensor) in &mut slow.tensors {
                *tensor = state.tensor(&format!("slow_state.{key}"))?.to_device(tensor.device())?.copy()?;
            }
            for (key, value) in &mut slow.counters {
                *value = state.counter(&format!("slow_state.{key}"))?;
            }
        }
        if self.config.buffer_policy == BufferPolicy::Average {
            for buffer in &self.buffers {
                let saved = state.tensor(&format!("slow_buffer.{}", buffer.name))?;
                buffer.slow.set(&saved.to_device(buffer.slow.device())?)?;
            }
        }
        self.slow = slow;
        self.steps = steps;
        self.steps_since_sync = steps_since_sync;
        self.period = period;
        Ok(())
    }

    /// Starts over: the inner state anew, the slow weights at the present fast ones, a cycle begun.
    fn reset_state(&mut self) -> Result<()> {
        self.check_fast_in_place("reset the state")?;
        self.inner.reset_state()?;
        self.slow.restart(self.inner.parameters())?;
        for buffer in &self.buffers {
            buffer.slow.set(&buffer.var.as_detached_tensor())?;
        }
        if self.slow_state.is_some() {
            self.slow_state = Some(self.inner.state()?);
        }
        self.steps = 0;
        self.steps_since_sync = 0;
        self.period = self.config.sync_period.at(0)?;
        Ok(())
    }

    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
        self.inner.second_moments()
    }

    fn steps_since_sync(&self) -> Option<usize> {
        Some(self.steps_since_sync)
    }

    fn swap_evaluation_weights(&mut self) -> Result<()> {
        self.slow.swap(self.inner.parameters())?;
        if self.config.buffer_policy == BufferPolicy::Average {
            swap_pairs(&self.buffers.iter().map(|b| (&b.var, &b.slow)).collect::<Vec<_>>())?;
        }
        self.slow_in_place = !self.slow_in_place;
        Ok(())
    }
}
