//! The step on a CUDA device: one launch.

use super::Fused;
use crate::Result;
use crate::cuda::Launches;
use crate::gradients::Treatment;
use crate::pull::Pull;
use crate::ready::Ready;
use crate::rule::Rule;
use candle_core::DType;

impl<R: Rule> Fused<R> {
    /// Prepares the update of the f32 parameters on a CUDA device, in one launch, and returns the rest.
    pub(super) fn prepare_for_cuda<'a>(
        &'a self,
        ready: Vec<&'a Ready>,
        treatment: &Treatment,
        pull: Option<&'a Pull<'_>>,
    ) -> Result<(Launches<'a>, Vec<&'a Ready>)> {
        let (here, rest): (Vec<&Ready>, Vec<&Ready>) =
            ready.into_iter().partition(|r| r.gradient.device().is_cuda() && r.gradient.dtype() == DType::F32);
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
        Ok((crate::cuda::prepare(&steps, treatment.on_device(), pull)?, rest))
    }
}
