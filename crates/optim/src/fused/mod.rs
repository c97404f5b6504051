//! The engine that runs every [`Rule`](crate::rule::Rule): parameters, groups, clipping, state and the update itself.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod field;
mod state;
mod tensors;
#[cfg(test)]
mod tests;

use crate::away::Away;
use crate::error::{below_one, not_negative};
use crate::gradients::Treatment;
use crate::group::{Scales, scales};
use crate::parameter::Parameter;
use crate::pull::{Pull, pull_pairs};
use crate::ready::{Ready, ready};
use crate::rule::{Clock, MAX_SLOTS, Rule};
use crate::variables::Variables;
use crate::{Error, Optimizer, Result, State};
use candle_core::backprop::GradStore;
use candle_core::{DType, Storage, Tensor, Var};
use std::collections::HashSet;

/// An optimizer built from a [`Rule`]. [`Sgd`](crate::Sgd), [`AdamW`](crate::AdamW) and [`RmsProp`](crate::RmsProp) are aliases of it.
///
/// On the CPU a step is one in-place pass over each tensor, split among rayon's threads; the bits do not depend on their number. On CUDA
/// devices, with the feature `cuda`, it is one launch of a kernel generated from the rule. Elsewhere it uses candle's tensor operations.
/// Updates are computed in f32, and in f64 for f64 variables; bf16 and f16 variables have f32 master copies ([`Parameter`]).
#[derive(Debug)]
pub struct Fused<R: Rule> {
    rule: R,
    parameters: Vec<Parameter>,
    scales: Vec<Scales>,
    /// By parameter, then by slot, in the dtype of the parameter's weights. While the clock is fresh, slots count as zero whatever they
    /// hold, so a reset is free: the next update clears each chunk while it is in the cache.
    slots: Vec<Vec<Var>>,
    clocks: Vec<Clock>,
    /// The training weights while the evaluation weights are swapped in.
    away: Away,
    /// Storage addresses of the weights, to detect a gradient that is a view of one of them.
    addresses: HashSet<usize>,
}

impl<R: Rule> Fused<R> {
    /// An optimizer of `variables` ([accepted forms](Variables)), sorted by name. `config` is the rule's configuration; the optimizers here
    /// also accept a bare learning rate, with defaults for the rest.
    ///
    /// ```
    /// use candle_core::{Device, Var};
    /// use lookahead_optim::{Momentum, Sgd, SgdConfig};
    ///
    /// let w = Var::new(&[3f32], &Device::Cpu)?;
    /// let plain = Sgd::new(vec![w.clone()], 0.1)?;
    /// let config = SgdConfig { learning_rate: 0.1, momentum: Momentum::classical(0.9), ..SgdConfig::default() };
    /// let named = Sgd::new([("w", w)], config)?;
    /// # Ok::<(), lookahead_optim::Error>(())
    /// ```
    ///
    /// # Errors
    /// No variables; a rule with more than three slots; a hyper-parameter out of range; a duplicate name or variable; a variable that is
    /// not floating-point; a group that matches nothing.
    pub fn new(variables: impl Into<Variables>, config: impl Into<R>) -> Result<Self> {
        let rule = config.into();
        let count = rule.slots().len();
        if count > MAX_SLOTS {
            return Err(Error::TooManySlots { rule: R::NAME, count, limit: MAX_SLOTS });
        }
        rule.validate()?;
        // A rule of your own may leave it out.
        rule.validate_shared()?;
        Self::over(Parameter::list(variables)?, rule, "parameter")
    }

    /// An optimizer over existing, shared parameters, each of which is a `kind` in messages. The rule has been validated.
    pub(crate) fn over(parameters: Vec<Parameter>, rule: R, kind: &'static str) -> Result<Self> {
        let count = rule.slots().len();
        let scales = scales(rule.groups(), &parameters, kind)?;
        let slots = parameters
            .iter()
            .map(|p| {
                let w = p.weights();
                (0..count).map(|_| Ok(Var::zeros(w.shape(), w.dtype(), w.device())?)).collect::<Result<Vec<_>>>()
            })
            .collect::<Result<_>>()?;
        let clocks = vec![Clock::FRESH; parameters.len()];
        let addresses = parameters.iter().map(|p| storage_address(p.weights())).collect();
        Ok(Self { rule, parameters, scales, slots, clocks, away: Away::default(), addresses })
    }

    /// The configuration, with the current learning rate and momentum.
    pub fn config(&self) -> &R {
        &self.rule
    }

    /// One step, then the pull on the parameters that took part.
    fn run(&mut self, grads: &GradStore, pull: Option<&Pull<'_>>) -> Result<()> {
        self.away.check("take a step")?;
        not_negative("learning_rate", self.rule.learning_rate())?;
        let mut ready = ready(&self.parameters, grads)?;
        if self.rule.evaluation().is_some() {
            ready.iter().try_for_each(|r| self.parameters[r.index].check_unchanged())?;
        }
        // Without elements there is nothing to update, and candle does not lend every such tensor for writing.
        ready.retain(|r| r.gradient.elem_count() > 0);
        // A gradient may be a view of a variable, which the fused loop locks for writing.
        for r in ready.iter_mut().filter(|r| self.addresses.contains(&storage_address(&r.gradient))) {
            r.gradient = r.gradient.copy()?;
        }
        let treatment = self.rule.gradients().treat(&ready, &self.parameters)?;
        let before = self.clocks.clone();
        ready.iter().for_each(|r| self.rule.advance(&mut self.clocks[r.index]));
        let updated = self.update(&ready, &treatment, pull);
        if updated.is_err() {
            // A step that failed is not counted.
            self.clocks = before;
        }
        updated
    }

    /// The part of a step after the clocks have counted it.
    fn update(&self, ready: &[Ready], treatment: &Treatment, pull: Option<&Pull<'_>>) -> Result<()> {
        let mut on_cpu: [Vec<&Ready>; 2] = [Vec::new(), Vec::new()];
        let mut elsewhere = Vec::new();
        for r in ready {
            match (r.gradient.device().is_cpu(), r.gradient.dtype()) {
                (true, DType::F32) => on_cpu[0].push(r),
                (true, DType::F64) => on_cpu[1].push(r),
                _ => elsewhere.push(r),
            }
        }
        // Lengths are checked and kernels compiled before anything is written.
        #[cfg(feature = "cuda")]
        let (launches, elsewhere) = self.prepare_for_cuda(elsewhere, treatment, pull)?;
        self.run_on_cpu(&on_cpu, treatment, pull)?;
        #[cfg(feature = "cuda")]
        launches.run()?;
        for r in elsewhere {
            let w = self.parameters[r.index].weights();
            self.run_on_tensors(r.index, &treatment.apply(&r.gradient)?)?;
            if let Some(pull) = pull
                && pull.takes_part[r.index]
            {
                pull_pairs(&[(w, &pull.anchors[r.index])], pull.rate, pull.write_back)?;
            }
        }
        ready.iter().map(|r| &self.parameters[r.index]).filter(|p| self.watches(p)).try_for_each(Parameter::publish)?;
        if let Some(pull) = pull {
            // Parameters without a gradient now may have had one since the anchor last moved.
            let mut stepped = vec![false; self.parameters.len()];
            ready.iter().for_each(|r| stepped[r.index] = true);
            pull.apply_where(&self.parameters, |index| !stepped[index])?;
        }
        Ok(())
    }

    /// Whether a variable has companions that do not follow a change: a master copy, or an offset to the evaluation weights. Without them,
    /// changed weights are simply the new starting point.
    fn watches(&self, parameter: &Parameter) -> bool {
        parameter.master().is_some() || self.rule.evaluation().is_some()
    }

    /// Reports a variable that was changed while its companions were not. Those that no step has moved may be running statistics listed by
    /// mistake.
    fn check_unchanged(&self) -> Result<()> {
        let unmoved = |clock: &Clock| *clock == Clock::FRESH;
        let none_moved = self.clocks.iter().all(unmoved);
        let moved = self.parameters.iter().zip(&self.clocks).filter(|(_, clock)| none_moved || !unmoved(clock));
        moved.map(|(p, _)| p).filter(|p| self.watches(p)).try_for_each(Parameter::check_unchanged)
    }
}

impl<R: Rule> Optimizer for Fused<R> {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn step(&mut self, grads: &GradStore) -> Result<()> {
        self.run(grads, None)
    }

    fn step_and_pull(&mut self, grads: &GradStore, pull: &Pull<'_>) -> Result<()> {
        self.run(grads, Some(pull))
    }

    fn learning_rate(&self) -> f64 {
        self.rule.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.rule.set_learning_rate(learning_rate);
    }

    fn name(&self) -> &'static str {
        R::NAME
    }

    fn momentum(&self) -> Option<f64> {
        self.rule.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        if self.rule.momentum().is_none() {
            return Err(Error::NoMomentum { optimizer: R::NAME });
        }
        below_one("momentum", momentum)?;
        self.rule.set_momentum(momentum);
        Ok(())
    }

    fn state(&self) -> Result<State> {
        self.save()
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.load(state)
    }

    fn reset_state(&mut self) -> Result<()> {
        self.away.check("reset the state")?;
        self.clocks.fill(Clock::FRESH);
        Ok(())
    }

    fn can_reset_state(&self) -> bool {
        true
    }

    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        self.interpolate(anchor, rate)
    }

    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
        self.curvature()
    }

    fn adopt_weights(&mut self) -> Result<()> {
        self.away.check("adopt weights")?;
        self.parameters.iter().try_for_each(Parameter::adopt)?;
        // The adopted weights are those for evaluation too.
        let Some((slot, _)) = self.rule.evaluation() else { return Ok(()) };
        let used = self.slots.iter().zip(&self.clocks).filter(|(_, clock)| **clock != Clock::FRESH);
        used.map(|(slots, _)| &slots[slot]).try_for_each(zero)
    }

    fn accept_adjustment(&mut self) -> Result<()> {
        self.away.check("accept an adjustment")?;
        self.parameters.iter().try_for_each(Parameter::adopt)
    }

    fn evaluation_weights_in_place(&self) -> bool {
        !self.away.is_empty()
    }

    fn swap_evaluation_weights(&mut self) -> Result<()> {
        if self.away.is_empty()
            && let Some((slot, factor)) = self.rule.evaluation()
        {
            self.check_unchanged()?;
            let moved = (0..self.clocks.len()).filter(|&index| self.clocks[index] != Clock::FRESH);
            return self.away.put(moved.map(|index| (&self.parameters[index], &self.slots[index][slot])), factor);
        }
        self.away.bring_back()
    }
}

fn zero(slot: &Var) -> Result<()> {
    Ok(slot.set(&slot.as_detached_tensor().zeros_like()?)?)
}

/// Identifies an allocation: views share the lock that holds the storage.
fn storage_address(tensor: &Tensor) -> usize {
    std::ptr::from_ref::<Storage>(&tensor.storage_and_layout().0).addr()
}
