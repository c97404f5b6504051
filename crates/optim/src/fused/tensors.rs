//! The step in candle's operations, for devices without a fused loop.

use super::field::Field;
use super::{Fused, storage_address, zero};
use crate::Result;
use crate::rule::Rule;
use candle_core::{Tensor, Var};

impl<R: Rule> Fused<R> {
    /// Updates one parameter.
    pub(super) fn run_on_tensors(&self, index: usize, gradient: &Tensor) -> Result<()> {
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
        let targets: Vec<&Var> = std::iter::once(weights).chain(&self.slots[index]).collect();
        let addresses: Vec<usize> = targets.iter().map(|var| storage_address(var)).collect();
        let mut values = Vec::with_capacity(targets.len());
        for (value, own) in std::iter::once(w).chain(state).zip(&addresses) {
            let value = value.into_tensor()?;
            let from = storage_address(&value);
            values.push(if from == *own {
                // Returned unchanged: `set` refuses it.
                None
            } else if addresses.contains(&from) {
                // Another target, such as a slot that takes the value of the one before it: read it before any is overwritten.
                Some(value.copy()?)
            } else {
                Some(value)
            });
        }
        for (target, value) in targets.iter().zip(values) {
            value.map_or(Ok(()), |value| target.set(&value))?;
        }
        Ok(())
    }

    /// Overwrites a fresh parameter's state with the zeros it stands for.
    pub(super) fn clear(&self, index: usize) -> Result<()> {
        self.slots[index].iter().try_for_each(zero)
    }
}
