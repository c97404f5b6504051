//! candle's own `Optimizer`, for training loops written against it.
//!
//! Its `new` takes variables without names; they are named by position. State saved under such names fits only the same list in
//! the same order, which `VarMap::all_vars` does not promise: where state is saved, build from [`trainable`](crate::trainable).

use crate::optimizer::numbered;
use crate::{Average, Averaged, Fused, Lookahead, LookaheadConfig, Optimizer, Rule};
use candle_core::backprop::GradStore;
use candle_core::{Result, Var};

/// What candle's trait asks for besides `new`, from this crate's trait; a foreign trait cannot be implemented for all of them at once.
macro_rules! methods_of_optimizer {
    () => {
        fn step(&mut self, grads: &GradStore) -> Result<()> {
            Ok(Optimizer::step(self, grads)?)
        }

        fn learning_rate(&self) -> f64 {
            Optimizer::learning_rate(self)
        }

        fn set_learning_rate(&mut self, learning_rate: f64) {
            Optimizer::set_learning_rate(self, learning_rate);
        }
    };
}

impl<R: Rule> candle_nn::Optimizer for Fused<R> {
    type Config = R;

    fn new(vars: Vec<Var>, config: R) -> Result<Self> {
        // As candle's own optimizers do: variables that are no weights are passed over.
        let vars = vars.into_iter().filter(|var| var.dtype().is_float()).collect();
        Ok(Self::new(numbered(vars), config)?)
    }

    methods_of_optimizer!();
}

impl<O: Optimizer + candle_nn::Optimizer> candle_nn::Optimizer for Lookahead<O> {
    type Config = (O::Config, LookaheadConfig);

    fn new(vars: Vec<Var>, (inner, config): Self::Config) -> Result<Self> {
        Ok(Self::new(<O as candle_nn::Optimizer>::new(vars, inner)?, config)?)
    }

    methods_of_optimizer!();
}

impl<O: Optimizer + candle_nn::Optimizer> candle_nn::Optimizer for Averaged<O> {
    type Config = (O::Config, Average);

    fn new(vars: Vec<Var>, (inner, average): Self::Config) -> Result<Self> {
        Ok(Self::new(<O as candle_nn::Optimizer>::new(vars, inner)?, average)?)
    }

    methods_of_optimizer!();
}
