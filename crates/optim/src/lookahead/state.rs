//! Saving, loading and restarting Lookahead's state.

use super::{BufferPolicy, Lookahead};
use crate::parameter::Parameter;
use crate::{Error, Optimizer, Result, State};

impl<O: Optimizer> Lookahead<O> {
    /// The whole state, by name.
    pub(super) fn save(&self) -> Result<State> {
        self.check_fast_in_place("save the state")?;
        self.slow.check_unchanged(self.inner.parameters())?;
        let mut state = State::new("lookahead").with_inner(self.inner.state()?);
        for (key, value) in self.config.settings() {
            state.settings_mut().set(key, value);
        }
        state.count("steps", self.steps);
        state.count("steps_since_sync", self.steps_since_sync);
        state.count("period", self.period);
        self.slow.save(self.inner.parameters(), &mut state)?;
        if let Some(slow) = &self.slow_state {
            for (key, tensor) in slow.tensors() {
                state.tensors.insert(format!("slow_state.{key}"), tensor.copy()?);
            }
            for (key, value) in &slow.counters {
                state.count(format!("slow_state.{key}"), value);
            }
        }
        self.buffers.save(self.config.buffer_policy, &mut state)?;
        Ok(state)
    }

    /// Loads a saved state; on error nothing changes.
    pub(super) fn load(&mut self, state: &State) -> Result<()> {
        state.check_fits(&Parameter::unchecked(self.inner.parameters(), || self.save())?)?;
        let steps = state.steps("steps")? as usize;
        let period: usize = state.counter("period")?;
        let steps_since_sync: usize = state.counter("steps_since_sync")?;
        if period == 0 || steps_since_sync >= period {
            return Err(Error::StateValue { key: "steps_since_sync".into(), value: steps_since_sync.to_string() });
        }
        let slow = self.slow.saved(self.inner.parameters(), state)?;
        self.slow_state = self.load_inner(state)?;
        if self.config.buffer_policy == BufferPolicy::Average {
            self.buffers.load(state)?;
        }
        self.inner.parameters().iter().for_each(Parameter::forget);
        self.slow = slow;
        self.steps = steps;
        self.steps_since_sync = steps_since_sync;
        self.period = period;
        Ok(())
    }

    /// Loads both states of the inner optimizer, which checks each as its own, and returns the slow one; on error it keeps the present one.
    fn load_inner(&mut self, state: &State) -> Result<Option<State>> {
        let Some(mut slow) = self.slow_state.clone() else {
            self.inner.load_state(&state.inner())?;
            return Ok(None);
        };
        for (key, tensor) in &mut slow.tensors {
            *tensor = state.tensor(&format!("slow_state.{key}"))?.to_device(tensor.device())?.copy()?;
        }
        for (key, value) in &mut slow.counters {
            *value = state.counter(&format!("slow_state.{key}"))?;
        }
        let parameters = self.inner.parameters().to_vec();
        Parameter::unchecked(&parameters, || {
            let before = self.inner.state()?;
            self.inner.load_state(&slow)?;
            let loaded = self.inner.load_state(&state.inner());
            if loaded.is_err() {
                self.inner.load_state(&before)?;
            }
            loaded
        })?;
        Ok(Some(slow))
    }

    /// Begins a cycle of `period` steps: sets slow weights, buffers and inner state to the fast ones.
    pub(super) fn begin_cycle(&mut self, period: usize) -> Result<()> {
        if self.slow_state.is_some() {
            self.slow_state = Some(Parameter::unchecked(self.inner.parameters(), || self.inner.state())?);
        }
        self.slow.restart(self.inner.parameters())?;
        self.buffers.restart()?;
        self.steps_since_sync = 0;
        self.period = period;
        Ok(())
    }
}
