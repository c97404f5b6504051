//! The methods that both traits have, on the types themselves: no import is needed for a training loop, and with both traits imported
//! no call is ambiguous, since a type's own methods come first.

use super::FromCandle;
use crate::rule::{Fused, Rule};
use crate::{Averaged, Lookahead, Muon, Optimizer, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

macro_rules! own_methods {
    () => {
        /// One update; see [`Optimizer::step`].
        ///
        /// # Errors
        /// As [`Optimizer::step`].
        pub fn step(&mut self, grads: &GradStore) -> Result<()> {
            Optimizer::step(self, grads)
        }

        /// The gradients of `loss`, and one [`step`](Self::step) with them.
        ///
        /// # Errors
        /// As [`Optimizer::step`]; what candle reports.
        pub fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
            Optimizer::backward_step(self, loss)
        }

        /// The learning rate.
        #[doc(alias = "lr")]
        pub fn learning_rate(&self) -> f64 {
            Optimizer::learning_rate(self)
        }

        /// Sets the learning rate; the next [`step`](Self::step) checks it.
        #[doc(alias = "lr")]
        pub fn set_learning_rate(&mut self, learning_rate: f64) {
            Optimizer::set_learning_rate(self, learning_rate);
        }
    };
}

impl<R: Rule> Fused<R> {
    own_methods!();
}

impl Muon {
    own_methods!();
}

impl<O: Optimizer> Lookahead<O> {
    own_methods!();
}

impl<O: Optimizer> Averaged<O> {
    own_methods!();
}

impl<O: candle_nn::Optimizer + Send> FromCandle<O> {
    own_methods!();
}
