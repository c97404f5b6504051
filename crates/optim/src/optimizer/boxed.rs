//! Boxed optimizers: every method is forwarded, including those with a default.

use super::Optimizer;
use crate::lookahead::Synced;
use crate::parameter::{Parameter, Pull};
use crate::{Result, State};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn parameters(&self) -> &[Parameter] {
        (**self).parameters()
    }
    fn step(&mut self, grads: &GradStore) -> Result<()> {
        (**self).step(grads)
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }
    fn inner(&self) -> Option<&dyn Optimizer> {
        (**self).inner()
    }
    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        (**self).inner_mut()
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        (**self).backward_step(loss)
    }
    fn momentum(&self) -> Option<f64> {
        (**self).momentum()
    }
    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        (**self).set_momentum(momentum)
    }
    fn state(&self) -> Result<State> {
        (**self).state()
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        (**self).load_state(state)
    }
    fn reset_state(&mut self) -> Result<()> {
        (**self).reset_state()
    }
    fn can_reset_state(&self) -> bool {
        (**self).can_reset_state()
    }
    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        (**self).interpolate_state(anchor, rate)
    }
    fn step_and_pull(&mut self, grads: &GradStore, pull: &Pull<'_>) -> Result<()> {
        (**self).step_and_pull(grads, pull)
    }
    fn second_moments(&self) -> Result<Option<Vec<Tensor>>> {
        (**self).second_moments()
    }
    fn steps_since_sync(&self) -> Option<usize> {
        (**self).steps_since_sync()
    }
    fn last_sync(&self) -> Option<&Synced> {
        (**self).last_sync()
    }
    fn evaluation_weights_in_place(&self) -> bool {
        (**self).evaluation_weights_in_place()
    }
    fn swap_evaluation_weights(&mut self) -> Result<()> {
        (**self).swap_evaluation_weights()
    }
    fn adopt_weights(&mut self) -> Result<()> {
        (**self).adopt_weights()
    }
    fn accept_adjustment(&mut self) -> Result<()> {
        (**self).accept_adjustment()
    }
}
