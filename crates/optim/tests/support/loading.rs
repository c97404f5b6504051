//! A weight that is loaded between the steps of an optimizer.

use super::gradients;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{Momentum, Optimizer, Sgd, SgdConfig};

/// Two elements of 8.
pub(crate) fn weight(dtype: DType) -> Var {
    Var::from_tensor(&Tensor::new(&[8f32, 8.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap()
}

/// What loading a file does: `VarMap::load` sets each variable.
pub(crate) fn load(w: &Var, value: f64) {
    w.set(&(w.as_detached_tensor().ones_like().unwrap() * value).unwrap()).unwrap();
}

/// Learning rate 1, momentum 0.5.
pub(crate) fn sgd(w: &Var) -> Sgd {
    let config = SgdConfig { learning_rate: 1.0, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
    Sgd::new([("w", w.clone())], config).unwrap()
}

/// One step with gradient 1.
pub(crate) fn step(optimizer: &mut dyn Optimizer, w: &Var) -> lookahead_optim::Result<()> {
    optimizer.step(&gradients(&[(w, 1.0)]))
}
