//! The CPU loop against the rule in tensor operations.

use super::*;
use crate::pull::TENSORS_AT_ONCE;
use crate::rule::{Number, Settings};
use crate::{
    AdadeltaConfig, AdagradConfig, AdamWConfig, AdamaxConfig, LionConfig, Momentum, NAdamConfig, RAdamConfig,
    RmsPropConfig, ScheduleFreeAdamWConfig, ScheduleFreeSgdConfig, SgdConfig, WeightDecay,
};
use candle_core::Device;

/// Runs the CPU loop and the tensor operations of other devices step by step on the same gradients.
fn both_forms_agree<R: Rule>(rule: R) {
    for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-6)] {
        let build = || {
            let start = Tensor::arange(-3f64, 3.0, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let w = Var::from_tensor(&start.reshape((2, 3)).unwrap()).unwrap();
            Fused::<R>::new([("w", w)], rule.clone()).unwrap()
        };
        let (mut fused, mut plain) = (build(), build());
        for step in 1..=20 {
            let now = plain.parameters[0].weights().as_detached_tensor();
            let gradient = (now * f64::from(step).sin()).unwrap();
            let mut grads = GradStore::default();
            grads.insert(fused.parameters[0].var(), gradient.clone());
            fused.step(&grads).unwrap();
            plain.rule.advance(&mut plain.clocks[0]);
            plain.run_on_tensors(0, &gradient).unwrap();
            let pairs = std::iter::once((fused.parameters[0].weights(), plain.parameters[0].weights()))
                .chain(fused.slots[0].iter().zip(&plain.slots[0]));
            for (a, b) in pairs {
                let gap = (a.as_detached_tensor() - b.as_detached_tensor()).unwrap().abs().unwrap();
                let gap = gap.max_all().unwrap().to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
                assert!(gap <= tolerance, "{rule:?} {dtype:?}: off by {gap} at step {step}");
            }
        }
    }
}

/// A rule that passes tensors on: unchanged, or to each other, the first slot to the second and so on.
#[derive(Debug, Clone)]
struct PassedOn {
    unchanged: bool,
}

impl Rule for PassedOn {
    const NAME: &'static str = "passed-on";
    type Update = bool;
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    fn learning_rate(&self) -> f64 {
        1.0
    }
    fn set_learning_rate(&mut self, _: f64) {}
    fn slots(&self) -> Vec<&'static str> {
        vec!["a", "b", "c"]
    }
    fn update(&self, _: &Clock, _: Scales) -> bool {
        self.unchanged
    }
    fn element<X: Number, const N: usize>(unchanged: &bool, w: X, g: X, mut state: [X; N]) -> (X, [X; N]) {
        if *unchanged {
            state[0] = state[0].clone() + g;
            return (w, state);
        }
        let updated = state[2].clone();
        state[2] = state[1].clone();
        state[1] = state[0].clone();
        state[0] = w + g;
        (updated, state)
    }
    fn settings(&self, _: &mut Settings) {}
}

#[test]
fn the_fused_loop_is_the_rule_in_tensor_operations() {
    both_forms_agree(PassedOn { unchanged: true });
    both_forms_agree(PassedOn { unchanged: false });
    let weight_decay = WeightDecay::L2(0.1);
    both_forms_agree(SgdConfig { learning_rate: 0.1, weight_decay, ..SgdConfig::default() });
    both_forms_agree(SgdConfig { learning_rate: 0.1, momentum: Momentum::nesterov(0.9), ..SgdConfig::default() });
    both_forms_agree(AdamWConfig { learning_rate: 0.1, ..AdamWConfig::default() });
    both_forms_agree(AdamWConfig { learning_rate: 0.1, amsgrad: true, weight_decay, ..AdamWConfig::default() });
    both_forms_agree(RmsPropConfig { momentum: Some(0.9), ..RmsPropConfig::default() });
    both_forms_agree(RmsPropConfig { centered: true, epsilon: 1e-3, ..RmsPropConfig::default() });
    both_forms_agree(RAdamConfig { learning_rate: 0.1, beta2: 0.9, ..RAdamConfig::default() });
    both_forms_agree(NAdamConfig { learning_rate: 0.1, ..NAdamConfig::default() });
    both_forms_agree(AdagradConfig { learning_rate: 0.1, initial_sum: 0.1, ..AdagradConfig::default() });
    both_forms_agree(AdadeltaConfig { epsilon: 1e-3, ..AdadeltaConfig::default() });
    both_forms_agree(AdamaxConfig { learning_rate: 0.1, ..AdamaxConfig::default() });
    both_forms_agree(LionConfig { learning_rate: 0.1, weight_decay, ..LionConfig::default() });
    both_forms_agree(ScheduleFreeSgdConfig { learning_rate: 0.1, ..ScheduleFreeSgdConfig::default() });
    both_forms_agree(ScheduleFreeAdamWConfig { learning_rate: 0.1, ..ScheduleFreeAdamWConfig::default() });
}

fn one_weight<R: Rule>(config: R) -> (Var, Fused<R>) {
    let w = Var::new(&[1f32], &Device::Cpu).unwrap();
    (w.clone(), Fused::new([("w", w)], config).unwrap())
}

fn gradient_of(w: &Var, value: f32) -> GradStore {
    let mut grads = GradStore::default();
    grads.insert(w, Tensor::new(&[value], &Device::Cpu).unwrap());
    grads
}

/// The square of 1e20 is no f32: a step of 1e20 / inf = 0, as in PyTorch. A NaN still shows.
#[test]
fn an_infinite_variance_moves_no_weight() {
    for (gradient, stays) in [(1e20, true), (f32::NAN, false)] {
        let config = || RmsPropConfig { centered: true, ..RmsPropConfig::default() };
        let (w, mut fused) = one_weight(config());
        fused.step(&gradient_of(&w, gradient)).unwrap();
        let (other, mut plain) = one_weight(config());
        plain.rule.advance(&mut plain.clocks[0]);
        plain.run_on_tensors(0, &Tensor::new(&[gradient], &Device::Cpu).unwrap()).unwrap();
        for w in [w, other] {
            let found = w.to_vec1::<f32>().unwrap()[0];
            assert!(if stays { found == 1.0 } else { found.is_nan() }, "{gradient}: {found}");
        }
    }
}

#[test]
fn a_step_that_fails_is_not_counted() {
    let config = SgdConfig { momentum: Momentum::classical(0.5), ..SgdConfig::default() };
    let (w, mut sgd) = one_weight(config);
    let slot = std::mem::replace(&mut sgd.slots[0][0], Var::new(&[0f64], &Device::Cpu).unwrap());
    let error = sgd.step(&gradient_of(&w, 1.0)).unwrap_err();
    assert!(error.to_string().contains("must have one dtype, found F64"), "{error}");
    assert_eq!((sgd.clocks[0], w.to_vec1::<f32>().unwrap()), (Clock::FRESH, vec![1.0]));
    sgd.slots[0][0] = slot;
    sgd.step(&gradient_of(&w, 1.0)).unwrap();
    assert_eq!(sgd.clocks[0].steps, 1);
}

#[test]
fn more_tensors_than_are_borrowed_at_once() {
    let named: Vec<(String, Var)> =
        (0..3 * TENSORS_AT_ONCE).map(|i| (format!("{i:04}"), Var::new(&[i as f32], &Device::Cpu).unwrap())).collect();
    let config = SgdConfig { learning_rate: 1.0, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
    let mut sgd = Fused::<SgdConfig>::new(named.clone(), config).unwrap();
    let mut grads = GradStore::default();
    named.iter().for_each(|(_, var)| _ = grads.insert(var, var.ones_like().unwrap()));
    sgd.step(&grads).unwrap();
    for (i, (_, var)) in named.iter().enumerate() {
        assert_eq!(var.to_vec1::<f32>().unwrap(), [i as f32 - 1.0]);
    }
}
