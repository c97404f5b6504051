//! candle's own `Optimizer` trait: implemented for this crate's types, and adapted for its wrappers.
//!
//! Its `new` takes variables without names; see [`Variables`](crate::parameter::Variables).

mod adapter;
mod inherent;

pub use adapter::FromCandle;

use crate::rule::{Fused, Rule};
use crate::{Average, Averaged, Lookahead, LookaheadConfig, Muon, MuonConfig, Optimizer};
use candle_core::backprop::GradStore;
use candle_core::{Result, Var};

/// Implements candle's trait, apart from `new`, with this crate's; a foreign trait cannot be implemented for all types at once.
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
        Ok(Self::new(vars, config)?)
    }

    methods_of_optimizer!();
}

impl candle_nn::Optimizer for Muon {
    type Config = MuonConfig;

    fn new(vars: Vec<Var>, config: MuonConfig) -> Result<Self> {
        Ok(Self::new(vars, config)?)
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

impl<O: candle_nn::Optimizer + Send> candle_nn::Optimizer for FromCandle<O> {
    type Config = O::Config;

    fn new(vars: Vec<Var>, config: O::Config) -> Result<Self> {
        Ok(Self::new(vars, config)?)
    }

    methods_of_optimizer!();
}
