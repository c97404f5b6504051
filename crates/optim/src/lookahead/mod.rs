//! Lookahead around any optimizer.

mod adaptive;
mod buffers;
mod build;
mod config;
#[cfg(feature = "serde")]
mod serial;
mod state;
mod synced;

pub use config::{BufferPolicy, LookaheadConfig, Period, StatePolicy, StepSize};
pub use synced::Synced;

use crate::parameter::Parameter;
use crate::pull::Pull;
use crate::shadow::Shadow;
use crate::{Error, Optimizer, Result, State};
use buffers::Buffers;
use candle_core::backprop::GradStore;

/// Lookahead: `sync_period` steps forward with the inner optimizer, one step back.
///
/// After every `sync_period`-th inner step, for each parameter,
///
/// ```text
/// slow <- slow + slow_step_size * (fast - slow);    fast <- slow
/// ```
///
/// Slow weights start equal to the initial fast weights, own their storage and carry no graph. [`LookaheadConfig`] lists the
/// hyper-parameters. Gradients are taken at the fast weights, which the variables hold; evaluate at the slow weights with
/// [`with_slow_weights`](Self::with_slow_weights). The learning rate and the momentum are passed on to the inner optimizer, and schedules
/// count inner steps.
///
/// Parameters without a gradient since the last sync are not touched: frozen weights, and running statistics listed by mistake, stay as
/// they are.
///
/// # What to expect
/// At the same learning rate, training starts slower: with the defaults, every five steps end at the slow weights, half of the way. The
/// paper's figures show the same. The gain comes later, as lower variance, or with a larger learning rate or a `slow_step_size` of 0.8.
/// Compare at the end of a run, at the slow weights.
///
/// # Cost
/// Beyond the inner optimizer, Lookahead costs one copy of the weights (f32 for half precision) and some memory traffic every `sync_period`
/// steps: the built-in optimizers pull the slow weights in the same pass as the step.
///
/// # Errors
/// [`new`](Self::new) reports a period of 0 or a step size outside `[0, 1]`, NaN included.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Sgd};
///
/// let w = Var::new(3f64, &Device::Cpu)?;
/// let config = LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() };
/// let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0)?, config)?;
/// let mut path = vec![w.to_scalar::<f64>()?];
/// for _ in 0..4 {
///     optimizer.backward_step(&w)?; // the gradient of w itself: 1
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
    /// Length of the present cycle.
    period: usize,
    /// The inner state after the last sync, if it is interpolated.
    slow_state: Option<State>,
    buffers: Buffers,
    slow_in_place: bool,
    measures: bool,
    last_sync: Option<Synced>,
}

impl<O: Optimizer> Lookahead<O> {
    /// Takes and counts one step, then syncs if a sync is due. `outer` is another wrapper's pull, applied last.
    fn advance(&mut self, grads: &GradStore, outer: Option<&Pull<'_>>) -> Result<()> {
        self.check_fast_in_place("take a step")?;
        let moved = self.slow.moved_by(grads, self.inner.parameters())?;
        if self.steps_since_sync + 1 < self.period {
            return self.step_forward(grads, moved, outer);
        }
        self.step_forward_and_back(grads, moved)?;
        outer.map_or(Ok(()), |pull| pull.apply(self.inner.parameters()))
    }

    fn step_forward(&mut self, grads: &GradStore, moved: Vec<bool>, outer: Option<&Pull<'_>>) -> Result<()> {
        match outer {
            Some(pull) => self.inner.step_and_pull(grads, pull)?,
            None => self.inner.step(grads)?,
        }
        self.slow.stepped(self.inner.parameters(), moved, false);
        self.steps += 1;
        self.steps_since_sync += 1;
        Ok(())
    }

    /// The last step of a cycle, and the sync:
    ///
    /// ```text
    /// slow <- slow + slow_step_size * (fast - slow);    fast <- slow
    /// ```
    fn step_forward_and_back(&mut self, grads: &GradStore, moved: Vec<bool>) -> Result<()> {
        let next_period = self.config.sync_period.at(self.steps + 1)?;
        let write_back = self.config.pulls_back;
        let sync = |rate| self.slow.pull(&moved, rate, write_back);
        let (rate, measured) = match self.config.slow_step_size.known_at(self.steps + 1)? {
            // Step size known in advance: the slow weights are pulled in the pass of the step.
            Some(rate) if !self.measures => {
                self.inner.step_and_pull(grads, &sync(rate))?;
                (rate, None)
            }
            known => {
                self.inner.step(grads)?;
                let rate = known.map_or_else(|| self.adaptive_rate(grads, &moved), Ok)?;
                let measured = self.measures.then(|| self.distances(&moved)).transpose()?;
                sync(rate).apply(self.inner.parameters())?;
                (rate, measured)
            }
        };
        self.slow.stepped(self.inner.parameters(), moved, write_back);
        self.steps += 1;
        self.steps_since_sync = 0;
        self.period = next_period;
        self.last_sync = measured.map(|distances| Synced { steps: self.steps, slow_step_size: rate, distances });
        match (self.config.state_policy, &mut self.slow_state) {
            _ if !write_back => {}
            (StatePolicy::Reset, _) => self.inner.reset_state()?,
            (StatePolicy::Interpolate, Some(slow)) => self.inner.interpolate_state(slow, rate)?,
            (StatePolicy::Interpolate, None) | (StatePolicy::Keep, _) => {}
        }
        if self.config.buffer_policy == BufferPolicy::Average {
            self.buffers.pull(rate, write_back)?;
        }
        Ok(())
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

    fn inner(&self) -> Option<&dyn Optimizer> {
        Some(&self.inner)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        Some(&mut self.inner)
    }

    fn name(&self) -> &'static str {
        "lookahead"
    }

    fn state(&self) -> Result<State> {
        self.save()
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.load(state)
    }

    /// Resets the inner state, sets the slow weights to the present fast ones and begins a cycle.
    fn reset_state(&mut self) -> Result<()> {
        self.check_fast_in_place("reset the state")?;
        let period = self.config.sync_period.at(0)?;
        self.inner.reset_state()?;
        self.inner.parameters().iter().for_each(Parameter::look_without_master);
        self.steps = 0;
        self.begin_cycle(period)
    }

    fn steps_since_sync(&self) -> Option<usize> {
        Some(self.steps_since_sync)
    }

    fn last_sync(&self) -> Option<&Synced> {
        if self.measures { self.last_sync.as_ref() } else { self.inner.last_sync() }
    }

    fn evaluation_weights_in_place(&self) -> bool {
        self.slow_in_place || self.inner.evaluation_weights_in_place()
    }

    fn swap_evaluation_weights(&mut self) -> Result<()> {
        if !self.slow_in_place {
            self.slow.check_unchanged(self.inner.parameters())?;
        }
        self.slow.swap(self.inner.parameters())?;
        if self.config.buffer_policy == BufferPolicy::Average {
            self.buffers.swap()?;
        }
        self.slow_in_place = !self.slow_in_place;
        Ok(())
    }

    fn adopt_weights(&mut self) -> Result<()> {
        self.check_fast_in_place("adopt weights")?;
        let period = self.config.sync_period.at(self.steps)?;
        self.inner.adopt_weights()?;
        self.begin_cycle(period)
    }

    fn accept_adjustment(&mut self) -> Result<()> {
        self.check_fast_in_place("accept weights")?;
        self.inner.accept_adjustment()?;
        self.slow.adjusted();
        Ok(())
    }
}
