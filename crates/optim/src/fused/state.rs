//! Saving, loading and interpolating a rule's state.

use super::Fused;
use crate::error::{below_one, not_negative};
use crate::group::Scales;
use crate::parameter::Parameter;
use crate::pull::pull_pairs;
use crate::rule::{Clock, Rule};
use crate::{Error, Result, State};
use candle_core::{Tensor, Var};

impl<R: Rule> Fused<R> {
    /// The whole state, by name.
    pub(super) fn save(&self) -> Result<State> {
        self.away.check("save the state")?;
        self.check_unchanged()?;
        let mut state = State::new(R::NAME);
        self.rule.settings(state.settings_mut());
        state.count("learning_rate", self.rule.learning_rate());
        if let Some(momentum) = self.rule.momentum() {
            state.count("momentum", momentum);
        }
        let names = self.rule.slots();
        for (index, parameter) in self.parameters.iter().enumerate() {
            let name = parameter.name();
            if !parameter.is_named() {
                state.settings_mut().set(format!("unnamed.{name}"), format!("{:?}", parameter.var().id()));
            }
            state.settings_mut().set(format!("shape.{name}"), format!("{:?}", parameter.var().dims()));
            let Scales { learning_rate, weight_decay } = self.scales[index];
            state.settings_mut().set(format!("scales.{name}"), format!("{learning_rate}, {weight_decay}"));
            state.count(format!("steps.{name}"), self.clocks[index].steps);
            if self.rule.corrected_rates().is_some() {
                state.count(format!("zero_start_1.{name}"), self.clocks[index].zero_start_1);
                state.count(format!("zero_start_2.{name}"), self.clocks[index].zero_start_2);
            }
            for (sum, value) in self.rule.sums().iter().zip(self.clocks[index].sums) {
                state.count(format!("{sum}.{name}"), value);
            }
            for (slot, var) in names.iter().zip(&self.slots[index]) {
                let key = format!("{slot}.{name}");
                if self.clocks[index] == Clock::FRESH {
                    state.tensors.insert(key, var.as_detached_tensor().zeros_like()?);
                } else {
                    state.insert(key, var)?;
                }
            }
            if let Some(master) = parameter.master() {
                state.insert(format!("master.{name}"), master)?;
            }
        }
        Ok(state)
    }

    /// Loads a saved state; on error nothing changes.
    pub(super) fn load(&mut self, state: &State) -> Result<()> {
        state.check_fits(&Parameter::unchecked(&self.parameters, || self.save())?)?;
        let learning_rate = state.counter("learning_rate")?;
        not_negative("learning_rate", learning_rate)?;
        let momentum = self.rule.momentum().map(|_| state.counter::<f64>("momentum")).transpose()?;
        if let Some(momentum) = momentum {
            below_one("momentum", momentum)?;
        }
        let corrected = self.rule.corrected_rates().is_some();
        let mut clocks = Vec::with_capacity(self.clocks.len());
        for parameter in &self.parameters {
            let start = |key: &str| -> Result<f64> {
                if !corrected {
                    return Ok(1.0);
                }
                let key = format!("{key}.{}", parameter.name());
                let value = state.counter(&key)?;
                if (0.0..=1.0).contains(&value) {
                    Ok(value)
                } else {
                    Err(Error::StateValue { key, value: value.to_string() })
                }
            };
            let mut sums = [0.0; 2];
            for (sum, value) in self.rule.sums().iter().zip(&mut sums) {
                let key = format!("{sum}.{}", parameter.name());
                *value = state.counter(&key)?;
                if !(0.0..f64::INFINITY).contains(value) {
                    return Err(Error::StateValue { key, value: value.to_string() });
                }
            }
            clocks.push(Clock {
                sums,
                steps: state.steps(&format!("steps.{}", parameter.name()))?,
                zero_start_1: start("zero_start_1")?,
                zero_start_2: start("zero_start_2")?,
            });
        }
        // Everything is validated: from here on only candle can fail.
        for (index, parameter) in self.parameters.iter().enumerate() {
            let name = parameter.name();
            for (slot, var) in self.rule.slots().iter().zip(&self.slots[index]) {
                var.set(&state.tensor(&format!("{slot}.{name}"))?.to_device(var.device())?)?;
            }
            if let Some(master) = parameter.master() {
                master.set(&state.tensor(&format!("master.{name}"))?.to_device(master.device())?)?;
            }
        }
        self.parameters.iter().for_each(Parameter::forget);
        self.clocks = clocks;
        self.rule.set_learning_rate(learning_rate);
        if let Some(momentum) = momentum {
            self.rule.set_momentum(momentum);
        }
        Ok(())
    }

    /// Interpolates `anchor` with the present state.
    pub(super) fn interpolate(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        self.away.check("interpolate the state")?;
        let names = self.rule.slots();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if self.clocks[index] == Clock::FRESH {
                self.clear(index)?;
            }
            for (slot, var) in names.iter().zip(&self.slots[index]) {
                let key = format!("{slot}.{}", parameter.name());
                let before = Var::from_tensor(anchor.tensor(&key)?)?;
                pull_pairs(&[(var, &before)], rate, true)?;
                anchor.tensors.insert(key, before.as_detached_tensor());
            }
            if let Some((beta1, beta2)) = self.rule.corrected_rates() {
                // The zero start's weight in a mixture of averages is the same mixture of its weights in each.
                let name = parameter.name();
                let now = self.clocks[index].folded(beta1, beta2);
                let before = Clock {
                    steps: anchor.steps(&format!("steps.{name}"))?,
                    zero_start_1: anchor.counter(&format!("zero_start_1.{name}"))?,
                    zero_start_2: anchor.counter(&format!("zero_start_2.{name}"))?,
                    ..Clock::FRESH
                }
                .folded(beta1, beta2);
                let mix = |before: f64, now: f64| before + rate * (now - before);
                let mixed = Clock {
                    zero_start_1: mix(before.zero_start_1, now.zero_start_1),
                    zero_start_2: mix(before.zero_start_2, now.zero_start_2),
                    ..now
                };
                anchor.count(format!("steps.{name}"), mixed.steps);
                anchor.count(format!("zero_start_1.{name}"), mixed.zero_start_1);
                anchor.count(format!("zero_start_2.{name}"), mixed.zero_start_2);
                self.clocks[index] = mixed;
            }
        }
        Ok(())
    }

    /// Bias-corrected averages of squared gradients.
    pub(super) fn curvature(&self) -> Result<Option<Vec<Tensor>>> {
        let Some(slot) = self.rule.second_moment() else { return Ok(None) };
        let rates = self.rule.corrected_rates();
        let moment = |(slots, clock): (&Vec<Var>, &Clock)| {
            let correction = rates.map_or(1.0, |(beta1, beta2)| clock.corrections(beta1, beta2).1);
            let average = slots[slot].as_detached_tensor();
            Ok(if *clock == Clock::FRESH { average.zeros_like()? } else { (average / correction)? })
        };
        self.slots.iter().zip(&self.clocks).map(moment).collect::<Result<_>>().map(Some)
    }
}
