//! The step on the CPU: one pass over each tensor.

use super::Fused;
use crate::Result;
use crate::gradients::Treatment;
use crate::kernel::{self, Rate, Work};
use crate::pull::{Pull, TENSORS_AT_ONCE};
use crate::ready::Ready;
use crate::rule::{MAX_SLOTS, Rule};
use crate::slices::{Element, with_slices_mut};
use candle_core::{Storage, Tensor};

impl<R: Rule> Fused<R> {
    /// Updates the parameters on the CPU: f32 first, then f64.
    pub(super) fn run_on_cpu(
        &self,
        ready: &[Vec<&Ready>; 2],
        treatment: &Treatment,
        pull: Option<&Pull<'_>>,
    ) -> Result<()> {
        match self.rule.slots().len() {
            0 => self.run_fused::<0>(ready, treatment, pull),
            1 => self.run_fused::<1>(ready, treatment, pull),
            2 => self.run_fused::<2>(ready, treatment, pull),
            _ => self.run_fused::<3>(ready, treatment, pull),
        }
    }

    fn run_fused<const N: usize>(
        &self,
        ready: &[Vec<&Ready>; 2],
        treatment: &Treatment,
        pull: Option<&Pull<'_>>,
    ) -> Result<()> {
        self.run_slices::<f32, N>(&ready[0], treatment, pull)?;
        self.run_slices::<f64, N>(&ready[1], treatment, pull)
    }

    fn run_slices<T: Element, const N: usize>(
        &self,
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
                    return Err(candle_core::Error::Msg("a prepared gradient is not contiguous on CPU".into()).into());
                };
                let elements = T::slice(storage)
                    .ok_or_else(|| candle_core::Error::Msg("a prepared gradient has the wrong dtype".into()))?;
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
}
