//! The CPU loop against the rule in tensor operations.

use super::*;
use crate::pull::TENSORS_AT_ONCE;
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

#[test]
fn the_fused_loop_is_the_rule_in_tensor_operations() {
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
