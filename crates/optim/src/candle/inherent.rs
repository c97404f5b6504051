//! The methods of a training loop as inherent methods: it needs no import, and no call is ambiguous with both traits imported, since inherent
//! methods take precedence.

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

        /// Restarts from the weights now in the variables, loaded after the optimizer was built; see
        /// [`Optimizer::adopt_weights`].
        ///
        /// # Errors
        /// As [`Optimizer::adopt_weights`].
        pub fn adopt_weights(&mut self) -> Result<()> {
            Optimizer::adopt_weights(self)
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

#[cfg(test)]
mod tests {
    // No trait is imported, as in a loop of candle's that was moved over.
    use crate::{AdamW, Error, Lookahead, LookaheadConfig};
    use candle_core::{Device, Tensor, Var};

    #[test]
    fn a_loop_that_loads_weights_needs_no_import() {
        let w = Var::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let mut optimizer =
            Lookahead::new(AdamW::new([("w", w.clone())], 0.1).unwrap(), LookaheadConfig::default()).unwrap();
        let loss = |w: &Var| w.sqr().unwrap().sum_all().unwrap();
        optimizer.backward_step(&loss(&w)).unwrap();
        w.set(&Tensor::new(&[5f32, 6.0], &Device::Cpu).unwrap()).unwrap();
        assert!(matches!(optimizer.backward_step(&loss(&w)), Err(Error::WeightsChanged { .. })));
        optimizer.adopt_weights().unwrap();
        optimizer.backward_step(&loss(&w)).unwrap();
    }
}
