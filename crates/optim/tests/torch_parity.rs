//! The same numbers as PyTorch, from fixtures made by `tests/fixtures/generate.py` (their metadata names the versions).
//!
//! Tolerances: 1e-10 relative in f64 and 1e-5 in f32, over 200 steps whose gradients depend on all steps before; the two sides round in
//! a different order here and there. Schedules: 1e-12.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::DType;
use lookahead_optim::schedule::{Anneal, Cosine, OneCycle, Ramp, Schedule, Sequence, StepDecay};
use lookahead_optim::{
    AdamW, AdamWConfig, Clip, Gradients, Group, Momentum, Optimizer, RmsProp, RmsPropConfig, Sgd, SgdConfig,
    WeightDecay,
};
use support::moving_quadratic::{LR, Named, RECORDED, fixture, run};
use support::{values, worst_error};

fn sgd(p: Named, config: SgdConfig) -> Box<dyn Optimizer> {
    Box::new(Sgd::new(p, SgdConfig { learning_rate: LR, ..config }).unwrap())
}

fn adam(p: Named, config: AdamWConfig) -> Box<dyn Optimizer> {
    Box::new(AdamW::new(p, AdamWConfig { learning_rate: LR, ..config }).unwrap())
}

fn rmsprop(p: Named, learning_rate: f64, config: RmsPropConfig) -> Box<dyn Optimizer> {
    Box::new(RmsProp::new(p, RmsPropConfig { learning_rate, ..config }).unwrap())
}

fn build(case: &str, p: Named) -> Box<dyn Optimizer> {
    let momentum = SgdConfig { momentum: Momentum::classical(0.9), ..SgdConfig::default() };
    let l2 = WeightDecay::L2;
    let clip = |clip| Gradients { clip: Some(clip), ..Gradients::default() };
    match case {
        "sgd" => sgd(p, SgdConfig::default()),
        "sgd-momentum" | "sgd-one-cycle" => sgd(p, momentum),
        "sgd-dampening" => {
            let momentum = Momentum::Classical { momentum: 0.9, dampening: 0.3 };
            sgd(p, SgdConfig { momentum, ..SgdConfig::default() })
        }
        "sgd-nesterov" => sgd(p, SgdConfig { momentum: Momentum::nesterov(0.9), ..SgdConfig::default() }),
        "sgd-l2" => sgd(p, SgdConfig { weight_decay: l2(0.1), ..momentum }),
        "sgd-decoupled" => sgd(p, SgdConfig { weight_decay: WeightDecay::Decoupled(0.1), ..momentum }),
        "rmsprop-decoupled" => {
            let weight_decay = WeightDecay::Decoupled(0.1);
            rmsprop(p, LR, RmsPropConfig { weight_decay, ..RmsPropConfig::default() })
        }
        "sgd-nesterov-l2" => {
            sgd(p, SgdConfig { momentum: Momentum::nesterov(0.8), weight_decay: l2(0.02), ..SgdConfig::default() })
        }
        "sgd-groups" => {
            let bias = Group { learning_rate_scale: 0.5, ..Group::no_decay_on_vectors() };
            sgd(p, SgdConfig { weight_decay: l2(0.1), groups: vec![bias], ..momentum })
        }
        "sgd-clip-norm" => sgd(p, SgdConfig { gradients: clip(Clip::GlobalNorm(1.5)), ..momentum }),
        "adam" => adam(p, AdamWConfig::adam()),
        "adam-clip-value" => adam(p, AdamWConfig { gradients: clip(Clip::Value(0.4)), ..AdamWConfig::adam() }),
        "adam-l2" => adam(p, AdamWConfig { weight_decay: l2(0.1), ..AdamWConfig::adam() }),
        "adam-amsgrad" => adam(p, AdamWConfig { amsgrad: true, beta2: 0.9, ..AdamWConfig::adam() }),
        "adam-betas" => adam(p, AdamWConfig { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, ..AdamWConfig::adam() }),
        "adamw" => adam(p, AdamWConfig { weight_decay: WeightDecay::Decoupled(0.3), ..AdamWConfig::default() }),
        "adamw-amsgrad" => adam(p, AdamWConfig { amsgrad: true, beta2: 0.9, ..AdamWConfig::default() }),
        "adamw-one-cycle" => adam(p, AdamWConfig::default()),
        "rmsprop" => rmsprop(p, LR, RmsPropConfig::default()),
        "rmsprop-momentum" => {
            rmsprop(p, 0.01, RmsPropConfig { momentum: Some(0.9), smoothing: 0.9, ..RmsPropConfig::default() })
        }
        "rmsprop-centered" => rmsprop(p, LR, RmsPropConfig { centered: true, ..RmsPropConfig::default() }),
        "rmsprop-centered-momentum" => {
            let momentum = Some(0.5);
            rmsprop(p, 0.01, RmsPropConfig { centered: true, momentum, epsilon: 1e-4, ..RmsPropConfig::default() })
        }
        "rmsprop-l2" => rmsprop(p, LR, RmsPropConfig { weight_decay: l2(0.1), ..RmsPropConfig::default() }),
        other => panic!("the fixture has a case `{other}` that the test does not know"),
    }
}

#[test]
fn optimizers_take_pytorch_s_steps() {
    let fixture = fixture("optimizers.safetensors");
    let mut cases: Vec<&String> = fixture.keys().filter(|key| key.contains(".float")).collect();
    cases.sort();
    assert_eq!(cases.len(), 48);
    for key in cases {
        let (case, dtype) = key.split_once('.').unwrap();
        let (dtype, tolerance) = if dtype == "float64" { (DType::F64, 1e-10) } else { (DType::F32, 1e-5) };
        let expected = fixture[key].to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        assert_eq!(expected.len(), RECORDED.len(), "{case}");
        for ((found, expected), step) in run(case, build, dtype, &fixture)[0].iter().zip(&expected).zip(RECORDED) {
            let error = worst_error(found, expected);
            assert!(error < tolerance, "{case} in {dtype:?} at step {step}: relative error {error:.1e}");
        }
    }
}

#[test]
fn schedules_have_pytorch_s_and_fastai_s_values() {
    let fixture = fixture("schedules.safetensors");
    let cosine = Cosine { initial: 0.1, last: 0.001, steps: 40 };
    let linear = Ramp { initial: 0.001, last: 0.1, steps: 20 };
    let to_zero = Box::new(Cosine { initial: 0.1, last: 0.0, steps: 40 });
    let mut cases: Vec<(String, Box<dyn Schedule>)> = vec![
        ("step-decay".into(), Box::new(StepDecay { initial: 0.1, factor: 0.2, milestones: vec![30, 10, 31] })),
        ("cosine".into(), Box::new(cosine)),
        ("linear".into(), Box::new(linear)),
        ("warm-up-cosine".into(), Box::new(Sequence::new(Box::new(linear), 20).then(to_zero, 40))),
    ];
    for n in [400, 37] {
        let three = |first, middle, last| OneCycle::three_phase(first, middle, last, 0.3, n);
        for (name, cycle) in [
            ("torch", OneCycle::torch(0.1, n)),
            ("torch-momentum", OneCycle::torch_momentum(n)),
            ("torch-linear", OneCycle::torch(0.1, n).map(|cycle| cycle.with_anneal(Anneal::Linear))),
            ("torch-three-phase", three(0.004, 0.1, 0.004 / 1e4)),
            ("torch-three-phase-momentum", three(0.95, 0.85, 0.95)),
            ("fastai-v1", OneCycle::fastai_v1(0.1, n)),
            ("fastai-v1-momentum", OneCycle::fastai_v1_momentum(n)),
            ("fastai-v2", OneCycle::fastai_v2(0.1, n)),
            ("fastai-v2-momentum", OneCycle::fastai_v2_momentum(n)),
        ] {
            cases.push((format!("{name}.{n}"), Box::new(cycle.unwrap())));
        }
    }
    assert_eq!(cases.len(), fixture.len());
    for (name, schedule) in cases {
        let expected = values(&fixture[&name]);
        for (step, expected) in expected.iter().enumerate() {
            let found = schedule.at(step);
            assert!((found - expected).abs() < 1e-12, "{name} at step {step}: {found:e}, expected {expected:e}");
        }
        assert_eq!(schedule.at(expected.len() + 1000), schedule.at(expected.len()), "{name} past its end");
    }
}

#[test]
fn the_published_values_of_one_cycle() {
    // 4000 steps to a peak of 0.1: first value, position of the peak, last value.
    for (cycle, peak_at, last) in [
        (OneCycle::fastai_v1(0.1, 4000), 1200, 4.31e-7),
        (OneCycle::torch(0.1, 4000), 1199, 4.00e-7),
        (OneCycle::fastai_v2(0.1, 4000), 1000, 1.03e-6),
    ] {
        let cycle = cycle.unwrap();
        assert!((cycle.at(0) - 0.004).abs() < 1e-15);
        assert!((cycle.at(peak_at) - 0.1).abs() < 1e-15);
        assert!((0..4000).all(|step| cycle.at(step) <= 0.1));
        assert!((cycle.at(3999) - last).abs() < 0.005 * last, "{:e}", cycle.at(3999));
    }
}

#[test]
#[should_panic(expected = "not finite")]
fn numbers_that_are_none_agree_with_nothing() {
    worst_error(&[f64::NAN; 2], &[1.0; 2]);
}
