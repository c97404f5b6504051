//! The engine under SGD, Adam and RMSProp.

use crate::error::in_range;
use crate::gradients::{Ready, Treatment};
use crate::group::{Scales, scales};
use crate::kernel::{self, MAX_SLOTS, Rate, Work};
use crate::number::Field;
use crate::pull::{Pull, TENSORS_AT_ONCE, pull_pairs};
use crate::rule::{Clock, Rule};
use crate::slices::{Element, with_slices_mut};
use crate::{Error, Optimizer, Parameter, Result, State};
use candle_core::backprop::GradStore;
use candle_core::{DType, Storage, Tensor, Var};
use std::collections::HashSet;

/// An optimizer made of a [`Rule`]: [`Sgd`](crate::Sgd), [`AdamW`](crate::AdamW) and [`RmsProp`](crate::RmsProp) are names of it.
///
/// On the CPU a step is one pass over each tensor in place, shared out among rayon's threads, with the same bits on any number of
/// them. On CUDA devices, with the feature
/// `cuda`, it is one launch, of a kernel generated from the rule; elsewhere it is made of candle's tensor operations. Updates are computed in f32, and in f64 for f64 variables;
/// bf16 and f16 variables have f32 master copies ([`Parameter`]).
#[derive(Debug)]
pub struct Fused<R: Rule> {
    rule: R,
    parameters: Vec<Parameter>,
    scales: Vec<Scales>,
    /// By parameter, then by slot; of the dtype of the parameter's weights. Where the clock is fresh they count as zero, whatever
    /// they hold: a reset costs nothing, and the next update clears each chunk while it is in the cache.
    slots: Vec<Vec<Var>>,
    clocks: Vec<Clock>,
    /// Where the weights are stored, to notice a gradient that is a view of one of them.
    addresses: HashSet<usize>,
}

impl<R: Rule> Fused<R> {
    /// An optimizer of the named variables; they are sorted by name.
    ///
    /// # Errors
    /// A rule with more than three slots, a hyper-parameter out of range, a name or a variable given twice, a variable that is not floating-point, a group that
    /// matches nothing.
    pub fn new(named: Vec<(String, Var)>, rule: R) -> Result<Self> {
        let count = rule.slots().len();
        if count > MAX_SLOTS {
            return Err(Error::TooManySlots { rule: R::NAME, count });
        }
        rule.validate()?;
        rule.gradients().validate()?;
        check_learning_rate(rule.learning_rate())?;
        let parameters = Parameter::list(named)?;
        let scales = scales(rule.groups(), &parameters)?;
        let slots = parameters
            .iter()
            .map(|p| {
                let w = p.weights();
                (0..count).map(|_| Ok(Var::zeros(w.shape(), w.dtype(), w.device())?)).collect::<Result<Vec<_>>>()
            })
            .collect::<Result<_>>()?;
        let clocks = vec![Clock::FRESH; parameters.len()];
        let addresses = parameters.iter().map(|p| storage_address(p.weights())).collect();
        Ok(Self { rule, parameters, scales, slots, clocks, addresses })
    }

    /// The configuration, with the learning rate and momentum last set.
    pub fn config(&self) -> &R {
        &self.rule
    }

    fn run(&mut self, grads: &GradStore, pull: Option<&Pull<'_>>) -> Result<()> {
        check_learning_rate(self.rule.learning_rate())?;
        let ready = self.ready(grads)?;
        let treatment = self.rule.gradients().treat(&ready, &self.parameters)?;
        let mut on_cpu: [Vec<&Ready>; 2] = [Vec::new(), Vec::new()];
        let mut elsewhere = Vec::new();
        for r in &ready {
            self.clocks[r.index].steps += 1;
            match (r.gradient.device().is_cpu(), r.gradient.dtype()) {
                (true, DType::F32) => on_cpu[0].push(r),
                (true, DType::F64) => on_cpu[1].push(r),
                _ => elsewhere.push(r),
            }
        }
        match self.rule.slots().len() {
            0 => self.run_fused::<0>(&on_cpu, &treatment, pull)?,
            1 => self.run_fused::<1>(&on_cpu, &treatment, pull)?,
            2 => self.run_fused::<2>(&on_cpu, &treatment, pull)?,
            _ => self.run_fused::<3>(&on_cpu, &treatment, pull)?,
        }
        #[cfg(feature = "cuda")]
        let elsewhere = self.run_on_cuda(elsewhere, &treatment, pull)?;
        for r in elsewhere {
            let w = self.parameters[r.index].weights();
            self.run_on_tensors(r.index, &treatment.apply(&r.gradient)?)?;
            if let Some(pull) = pull
                && pull.takes_part[r.index]
            {
                pull_pairs(&[(w, &pull.anchors[r.index])], pull.rate, pull.write_back)?;
            }
        }
        ready.iter().try_for_each(|r| self.parameters[r.index].publish())?;
        if let Some(pull) = pull {
            // What had no gradient now may have had one since the anchor last moved.
            let mut stepped = vec![false; self.parameters.len()];
            ready.iter().for_each(|r| stepped[r.index] = true);
            pull.apply_where(&self.parameters, |index| !stepped[index])?;
        }
        Ok(())
    }

    /// Gradients of the parameters that have one, in parameter order.
    fn ready(&self, grads: &GradStore) -> Result<Vec<Ready>> {
        let mut ready = Vec::with_capacity(self.parameters.len());
        for (index, parameter) in self.parameters.iter().enumerate() {
            let Some(gradient) = grads.get(parameter.var()) else { continue };
            if gradient.dims() != parameter.var().dims() {
                return Err(Error::GradientShape {
                    name: parameter.name().to_string(),
                    expected: parameter.var().dims().to_vec(),
                    found: gradient.dims().to_vec(),
                });
            }
            let w = parameter.weights();
            let mut gradient = gradient.detach().to_dtype(w.dtype())?.contiguous()?;
            // A gradient may be another view of a variable, which the fused loop locks for writing.
            if self.addresses.contains(&storage_address(&gradient)) {
                gradient = gradient.copy()?;
            }
            ready.push(Ready { index, gradient });
        }
        Ok(ready)
    }

    fn run_fused<const N: usize>(
        &mut self,
        ready: &[Vec<&Ready>; 2],
        treatment: &Treatment,
        pull: Option<&Pull<'_>>,
    ) -> Result<()> {
        self.run_slices::<f32, N>(&ready[0], treatment, pull)?;
        self.run_slices::<f64, N>(&ready[1], treatment, pull)
    }

    fn run_slices<T: Element, const N: usize>(
        &mut self,
        ready: &[&Ready],
        treatment: &Treatment,
        pull: Option<&Pull<'_>>,
    ) -> Result<()> {
        if ready.is_empty() {
            return Ok(());
        }
        let preparation = treatment.preparation::<T>()?;
        let rate =
            Rate { rate: T::from_f64(pull.map_or(0.0, |p| p.rate)), write_back: pull.is_some_and(|p| p.write_back) };
        for batch in ready.chunks(TENSORS_AT_ONCE / (N + 2)) {
            let guards: Vec<_> = batch.iter().map(|r| r.gradient.storage_and_layout()).collect();
            let mut gradients = Vec::with_capacity(batch.len());
            for (storage, layout) in &guards {
                let (Storage::Cpu(storage), Some((start, end))) = (&**storage, layout.contiguous_offsets()) else {
                    return Err(candle_core::Error::Msg("a gradient made ready is contiguous and here".into()).into());
                };
                let elements = T::slice(storage)
                    .ok_or_else(|| candle_core::Error::Msg("a gradient made ready has its weights' dtype".into()))?;
                gradients.push(&elements[start..end]);
            }
            let mut tensors: Vec<&Tensor> = Vec::with_capacity(batch.len() * (N + 2));
            let mut pulled = Vec::with_capacity(batch.len());
            for r in batch {
                tensors.push(self.parameters[r.index].weights());
                tensors.extend(self.slots[r.index].iter().map(|slot| slot.as_tensor()));
                let anchor = pull.filter(|p| p.takes_part[r.index]).map(|p| p.anchors[r.index].as_tensor());
                pulled.push(anchor.is_some());
                tensors.extend(anchor);
            }
            let updates: Vec<R::Update> =
                batch.iter().map(|r| self.rule.update(&self.clocks[r.index], self.scales[r.index])).collect();
            let fresh: Vec<bool> = batch.iter().map(|r| self.clocks[r.index].is_first()).collect();
            with_slices_mut::<T, _>(&tensors, |slices| {
                let mut slices = slices.into_iter();
                let mut next = || slices.next().unwrap_or_default();
                let mut work = Vec::with_capacity(batch.len());
                for (i, gradient) in gradients.iter().enumerate() {
                    let weights = next();
                    let mut state: [&mut [T]; MAX_SLOTS] = Default::default();
                    state.iter_mut().take(N).for_each(|slot| *slot = next());
                    let anchor = if pulled[i] { next() } else { &mut [] };
                    work.push(Work { update: updates[i], fresh: fresh[i], weights, gradient, state, anchor });
                }
                kernel::step::<R, T, N>(work, preparation, rate);
            })?;
        }
        Ok(())
    }

    /// Updates what is f32 on a CUDA device in one launch, and hands back the rest.
    #[cfg(feature = "cuda")]
    fn run_on_cuda<'a>(
        &self,
        ready: Vec<&'a Ready>,
        treatment: &Treatment,
        pull: Option<&Pull<'_>>,
    ) -> Result<Vec<&'a Ready>> {
        let (here, rest): (Vec<&Ready>, Vec<&Ready>) =
            ready.into_iter().partition(|r| r.gradient.device().is_cuda() && r.gradient.dtype() == DType::F32);
        if here.is_empty() {
            return Ok(rest);
        }
        let record = |index: usize| {
            let update = self.rule.update(&self.clocks[index], self.scales[index]);
            match self.slots[index].len() {
                0 => crate::cuda::record::<R, 0>(&update),
                1 => crate::cuda::record::<R, 1>(&update),
                2 => crate::cuda::record::<R, 2>(&update),
                _ => crate::cuda::record::<R, 3>(&update),
            }
        };
        let step = |r: &&'a Ready| {
            let (formula, constants) = record(r.index);
            crate::cuda::Step {
                formula,
                constants,
                fresh: self.clocks[r.index].is_first(),
                weights: self.parameters[r.index].weights(),
                gradient: &r.gradient,
                state: self.slots[r.index].iter().map(|slot| slot.as_tensor()).collect(),
                anchor: pull.filter(|p| p.takes_part[r.index]).map(|p| p.anchors[r.index].as_tensor()),
            }
        };
        let steps: Vec<_> = here.iter().map(step).collect();
        crate::cuda::run(&steps, treatment.on_device(), pull)?;
        Ok(rest)
    }

    /// The same update in candle's operations, for devices without a fused loop.
    fn run_on_tensors(&self, index: usize, gradient: &Tensor) -> Result<()> {
        match self.slots[index].len() {
            0 => self.update_tensors::<0>(index, gradient),
            1 => self.update_tensors::<1>(index, gradient),
            2 => self.update_tensors::<2>(index, gradient),
            _ => self.update_tensors::<3>(index, gradient),
        }
    }

    fn update_tensors<const N: usize>(&self, index: usize, gradient: &Tensor) -> Result<()> {
        let update = self.rule.update(&self.clocks[index], self.scales[index]);
        let weights = self.parameters[index].weights();
        if self.clocks[index].is_first() {
            self.clear(index)?;
        }
        let field = |var: &Var| Field::new(var.as_detached_tensor());
        let state: [Field; N] = std::array::from_fn(|s| field(&self.slots[index][s]));
        let (w, state) = R::element::<Field, N>(&update, field(weights), Field::new(gradient.clone()), state);
        let w = w.into_tensor()?;
        for (slot, value) in self.slots[index].iter().zip(state) {
            let value = value.into_tensor()?;
            // A slot the rule left alone comes back as itself, which `set` refuses.
            if storage_address(slot) != storage_address(&value) {
                slot.set(&value)?;
            }
        }
        weights.set(&w)?;
        Ok(())
    }

    /// Makes the state of a parameter the zeros it counts as.
    fn clear(&self, index: usize) -> Result<()> {
        self.slots[index].iter().try_for_each(|slot| Ok(slot.set(&slot.as_detached_tensor().zeros_like()?)?))
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

    fn momentum(&self) -> Option<f64> {
        self.rule.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        if self.rule.momentum().is_none() {
            return Err(Error::NoMomentum { optimizer: R::NAME });
        }
        in_range((0.0..1.0).contains(&momentum), "momentum", momentum, "[0, 1)")?;
        self.rule.set_momentum(momentum);
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new(R::NAME);
        self.rule.settings(state.settings_mut());
        state.count("learning_rate", self.rule.learning_rate());
        if let Some(momentum) = self.rule.momentum() {
            state.count("momentum", momentum);
        }
        let names = self.rule.slots();
        for (index, parameter) in self.parameters.iter().enumerate() {
            let name = parameter.name();
            state.settings_mut().set(format!("shape.{name}"), format!("{:?}", parameter.var().dims()));
            let Scales { learning_rate, weight_decay } = self.scales[index];
            state.settings_mut().set(format!("scales.{name}"), format!("{learning_rate}, {weight_decay}"));
            state.count(format!("steps.{name}"), self.clocks[index].steps);
            if self.rule.corrected_rates().is_some() {
                state.count(format!("zero_start_1.{name}"), self.clocks[index].zero_start_1);
                state.count(format!("zero_start_2.{name}"), self.clocks[index].zero_start_2);
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

    fn load_state(&mut self, state: &State) -> Result<()> {
        state.check_fits(&self.state()?)?;
        let learning_rate = state.counter("learning_rate")?;
        check_learning_rate(learning_rate)?;
        let momentum = self.rule.momentum().map(|_| state.counter::<f64>("momentum")).transpose()?;
        if let Some(momentum) = momentum {
            in_range((0.0..1.0).contains(&momentum), "momentum", momentum, "[0, 1)")?;
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
            clocks.push(Clock {
                steps: state.steps(&format!("steps.{}", parameter.name()))?,
                zero_start_1: start("zero_start_1")?,
                zero_start_2: start("zero_start_2")?,
            });
        }
        // Everything is checked: from here on only candle can fail.
        for (index, parameter) in self.parameters.iter().enumerate() {
            let name = parameter.name();
            for (slot, var) in self.rule.slots().iter().zip(&self.slots[index]) {
                var.set(&state.tensor(&format!("{slot}.{name}"))?.to_device(var.device())?)?;
            }
            if let Some(master) = parameter.master() {
                master.set(&state.tensor(&format!("master.{name}"))?.to_device(master.device())?)?;
            }
        }
        self.clocks = clocks;
        self.rule.set_learning_rate(learning_rate);
        if let Some(momentum) = momentum {
            self.rule.set_momentum(momentum);
        }
        Ok(())
    }

    fn reset_state(&mut self) -> Result<()> {
        self.clocks.fill(Clock::FRESH);
        Ok(())
    }

    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
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
                // What the zero start weighs in a mixture of averages is the same mixture of what it weighs in each.
                let name = parameter.name();
                let now = self.clocks[index].folded(beta1, beta2);
                let mix = |key: &str, now: f64| -> Result<f64> {
                    let before: f64 = anchor.counter(&format!("{key}.{name}"))?;
                    Ok(before + rate * (now - before))
                };
                let mixed = Clock {
                    steps: 0,
                    zero_start_1: mix("zero_start_1", now.zero_start_1)?,
                    zero_start_2: mix("zero_start_2", now.zero_start_2)?,
                };
                anchor.count(format!("zero_start_1.{name}"), mixed.zero_start_1);
                anchor.count(format!("zero_start_2.{name}"), mixed.zero_start_2);
                self.clocks[index] = mixed;
            }
        }
        Ok(())
    }

    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
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

fn check_learning_rate(learning_rate: f64) -> Result<()> {
    in_range((0.0..f64::INFINITY).contains(&learning_rate), "learning_rate", learning_rate, "[0, inf)")
}

/// Tells allocations apart: a storage lives inside its lock, which views of it share.
fn storage_address(tensor: &Tensor) -> usize {
    std::ptr::from_ref::<Storage>(&tensor.storage_and_layout().0).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdamWConfig, Momentum, RmsPropConfig, SgdConfig, WeightDecay};
    use candle_core::Device;

    /// The loop of the CPU and the tensor operations of other devices, step by step on the same gradients.
    fn both_forms_agree<R: Rule>(rule: R) {
        for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-6)] {
            let build = || {
                let start = Tensor::arange(-3f64, 3.0, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                let w = Var::from_tensor(&start.reshape((2, 3)).unwrap()).unwrap();
                Fused::new(vec![("w".into(), w)], rule.clone()).unwrap()
            };
            let (mut fused, mut plain) = (build(), build());
            for step in 1..=20 {
                let now = plain.parameters[0].weights().as_detached_tensor();
                let gradient = (now * f64::from(step).sin()).unwrap();
                let mut grads = GradStore::default();
                grads.insert(fused.parameters[0].var(), gradient.clone());
                fused.step(&grads).unwrap();
                plain.clocks[0].steps += 1;
                plain.run_on_tensors(0, &gradient).unwrap();
                let pairs = std::iter::once((fused.parameters[0].weights(), plain.parameters[0].weights()))
                    .chain(fused.slots[0].iter().zip(&plain.slots[0]));
                for (a, b) in pairs {
                    let gap = (a.as_detached_tensor() - b.as_detached_tensor()).unwrap().abs().unwrap();
                    let gap = gap.max_all().unwrap().to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
                    assert!(gap <= tolerance, "{rule:?} {dtype:?}: off by {gap} at step {step}");
                }
            }
        }
    }

    #[test]
    fn the_fused_loop_is_the_rule_in_tensor_operations() {
        let weight_decay = WeightDecay::L2(0.1);
        both_forms_agree(SgdConfig { learning_rate: 0.1, weight_decay, ..SgdConfig::default() });
        both_forms_agree(SgdConfig { learning_rate: 0.1, momentum: Momentum::nesterov(0.9), ..SgdConfig::default() });
        both_forms_agree(AdamWConfig { learning_rate: 0.1, ..AdamWConfig::default() });
        both_forms_agree(AdamWConfig { learning_rate: 0.1, amsgrad: true, weight_decay, ..AdamWConfig::default() });
        both_forms_agree(RmsPropConfig { momentum: Some(0.9), ..RmsPropConfig::default() });
        both_forms_agree(RmsPropConfig { centered: true, epsilon: 1e-3, ..RmsPropConfig::default() });
    }

    #[test]
    fn more_tensors_than_are_borrowed_at_once() {
        let named: Vec<(String, Var)> = (0..3 * TENSORS_AT_ONCE)
            .map(|i| (format!("{i:04}"), Var::new(&[i as f32], &Device::Cpu).unwrap()))
            .collect();
        let config = SgdConfig { learning_rate: 1.0, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
        let mut sgd = Fused::new(named.clone(), config).unwrap();
        let mut grads = GradStore::default();
        named.iter().for_each(|(_, var)| _ = grads.insert(var, var.ones_like().unwrap()));
        sgd.step(&grads).unwrap();
        for (i, (_, var)) in named.iter().enumerate() {
            assert_eq!(var.to_vec1::<f32>().unwrap(), [i as f32 - 1.0]);
        }
    }
}
