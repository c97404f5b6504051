//! The methods of both traits as inherent methods: a training loop needs no import, and no call is ambiguous with both traits imported,
//! since inherent methods take precedence.

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

        /// Computes the gradients of `loss` and takes one [`step`](Self::step) with them.
        ///
        /// # Errors
        /// As [`Optimizer::step`]; candle errors.
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
