//! The problem of the fixtures: at step t the gradient of 16 numbers is curvature * (x - centre[t]).

use super::values;
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::schedule::{OneCycle, Schedule};
use lookahead_optim::{Optimizer, with_evaluation_weights};
use std::collections::HashMap;

pub(crate) const STEPS: usize = 200;
pub(crate) const RECORDED: [usize; 5] = [1, 2, 3, 50, 200];
pub(crate) const LR: f64 = 0.05;

pub(crate) type Named = Vec<(String, Var)>;
pub(crate) type Fixture = HashMap<String, Tensor>;

pub(crate) fn fixture(name: &str) -> Fixture {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// The weights at the recorded steps, and those for evaluation.
pub(crate) fn run(
    case: &str,
    build: impl Fn(&str, Named) -> Box<dyn Optimizer>,
    dtype: DType,
    fixture: &Fixture,
) -> [Vec<Vec<f64>>; 2] {
    let get = |name: &str| fixture[name].to_dtype(dtype).unwrap();
    let (x, curvature, centre) = (get("x"), get("curvature"), get("centre"));
    let part = |t: &Tensor, from, len, dims: &[usize]| t.narrow(0, from, len).unwrap().reshape(dims).unwrap();
    let weight = Var::from_tensor(&part(&x, 0, 12, &[3, 4])).unwrap();
    let bias = Var::from_tensor(&part(&x, 12, 4, &[4])).unwrap();
    let mut optimizer = build(case, vec![("weight".into(), weight.clone()), ("bias".into(), bias.clone())]);
    let mut rows = [Vec::new(), Vec::new()];
    let now = || {
        let flat = |v: &Var| v.as_detached_tensor().flatten_all().unwrap();
        Tensor::cat(&[flat(&weight), flat(&bias)], 0).unwrap()
    };
    let cycle = (OneCycle::torch(LR, STEPS).unwrap(), OneCycle::torch_momentum(STEPS).unwrap());
    for step in 0..STEPS {
        let gradient = (&curvature * (now() - centre.get(step).unwrap()).unwrap()).unwrap();
        let mut grads = GradStore::default();
        grads.insert(&weight, part(&gradient, 0, 12, &[3, 4]));
        grads.insert(&bias, part(&gradient, 12, 4, &[4]));
        if case.ends_with("one-cycle") {
            optimizer.set_learning_rate(cycle.0.at(step));
            optimizer.set_momentum(cycle.1.at(step)).unwrap();
        }
        optimizer.step(&grads).unwrap();
        if RECORDED.contains(&(step + 1)) {
            rows[0].push(values(&now()));
            rows[1].push(with_evaluation_weights(&mut optimizer, || Ok(values(&now()))).unwrap());
        }
    }
    rows
}
