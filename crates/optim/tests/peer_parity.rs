//! The same numbers as PyTorch (RAdam, NAdam, Adagrad, Adadelta, Adamax, Muon, schedules) and as the authors' packages (Lion, Schedule-Free),
//! from fixtures made by `tests/fixtures/generate.py` (their metadata names the versions). Tolerances as in `torch_parity.rs`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::muon::{NewtonSchulz, StepScale};
use lookahead_optim::rule::{Fused, Rule};
use lookahead_optim::schedule::{
    CosineRestarts, Decay, Exponential, InverseSquareRoot, Polynomial, Schedule, WarmUpCosine, WarmUpStableDecay,
};
use lookahead_optim::schedule_free::IterateWeights;
use lookahead_optim::{
    AdadeltaConfig, AdagradConfig, AdamWConfig, AdamaxConfig, LionConfig, Muon, MuonConfig, NAdamConfig, Optimizer,
    RAdamConfig, ScheduleFreeAdamWConfig, ScheduleFreeSgdConfig, WeightDecay,
};
use support::moving_quadratic::{LR, Named, RECORDED, fixture, run};
use support::{Numbers, bits, gradient_of, values, worst_error};

const DECAY: f64 = 0.1;

/// The part of a case's name after the optimizer's decides the decay, if it does.
fn decay(case: &str) -> WeightDecay {
    if case.ends_with("-l2") {
        WeightDecay::L2(DECAY)
    } else if case.ends_with("-decoupled") || case.ends_with("-decoupled-decay") || case.ends_with("-decay") {
        WeightDecay::Decoupled(DECAY)
    } else {
        WeightDecay::None
    }
}

fn with_rate<R: Rule>(p: Named, learning_rate: f64, mut rule: R) -> Box<dyn Optimizer> {
    rule.set_learning_rate(learning_rate);
    Box::new(Fused::<R>::new(p, rule).unwrap())
}

fn build(case: &str, p: Named) -> Box<dyn Optimizer> {
    let weight_decay = decay(case);
    let iterates = IterateWeights { warm_up: 20, step_power: 0.5, rate_power: 1.0 };
    let muon = |config: MuonConfig| -> Box<dyn Optimizer> {
        let adamw = AdamWConfig { learning_rate: 0.01, ..AdamWConfig::default() };
        Box::new(Muon::new(p.clone(), MuonConfig { learning_rate: LR, adamw, ..config }).unwrap())
    };
    match case {
        "radam" | "radam-l2" | "radam-decoupled-decay" | "radam-one-cycle" => {
            with_rate(p, LR, RAdamConfig { weight_decay, ..RAdamConfig::default() })
        }
        "radam-betas" => {
            with_rate(p, LR, RAdamConfig { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, ..RAdamConfig::default() })
        }
        "radam-never-rectified" => with_rate(p, 0.01, RAdamConfig { beta2: 0.6, ..RAdamConfig::default() }),
        "nadam" | "nadam-l2" | "nadam-decoupled-decay" | "nadam-one-cycle" => {
            with_rate(p, LR, NAdamConfig { weight_decay, ..NAdamConfig::default() })
        }
        "nadam-options" => {
            let config =
                NAdamConfig { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, momentum_decay: 0.1, ..NAdamConfig::default() };
            with_rate(p, LR, config)
        }
        "adagrad" | "adagrad-l2" | "adagrad-decoupled" => {
            with_rate(p, LR, AdagradConfig { weight_decay, ..AdagradConfig::default() })
        }
        "adagrad-options" => {
            let options = AdagradConfig {
                learning_rate_decay: 0.01,
                initial_sum: 0.5,
                epsilon: 1e-3,
                ..AdagradConfig::default()
            };
            with_rate(p, LR, options)
        }
        "adadelta" | "adadelta-l2" => with_rate(p, 1.0, AdadeltaConfig { weight_decay, ..AdadeltaConfig::default() }),
        "adadelta-decoupled" => with_rate(p, LR, AdadeltaConfig { weight_decay, ..AdadeltaConfig::default() }),
        "adadelta-options" => {
            with_rate(p, 0.5, AdadeltaConfig { smoothing: 0.8, epsilon: 1e-2, ..AdadeltaConfig::default() })
        }
        "adamax" | "adamax-l2" | "adamax-decoupled" | "adamax-one-cycle" => {
            with_rate(p, LR, AdamaxConfig { weight_decay, ..AdamaxConfig::default() })
        }
        "adamax-options" => {
            with_rate(p, LR, AdamaxConfig { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, ..AdamaxConfig::default() })
        }
        "lion" => with_rate(p, LR, LionConfig::default()),
        "lion-decoupled-decay" => {
            with_rate(p, LR, LionConfig { weight_decay: WeightDecay::Decoupled(0.3), ..LionConfig::default() })
        }
        "lion-betas" => with_rate(p, 0.01, LionConfig { beta1: 0.8, beta2: 0.95, ..LionConfig::default() }),
        "schedule-free-sgd" | "schedule-free-sgd-decay" => {
            with_rate(p, LR, ScheduleFreeSgdConfig { weight_decay, ..ScheduleFreeSgdConfig::default() })
        }
        "schedule-free-sgd-options" => {
            let options =
                ScheduleFreeSgdConfig { momentum: 0.8, weights: iterates, ..ScheduleFreeSgdConfig::default() };
            with_rate(p, 0.2, options)
        }
        "schedule-free-adamw" | "schedule-free-adamw-decay" => {
            with_rate(p, LR, ScheduleFreeAdamWConfig { weight_decay, ..ScheduleFreeAdamWConfig::default() })
        }
        "schedule-free-adamw-options" => {
            let (beta1, beta2, epsilon) = (0.8, 0.95, 1e-3);
            let weights = iterates;
            with_rate(p, 0.2, ScheduleFreeAdamWConfig { beta1, beta2, epsilon, weights, ..Default::default() })
        }
        "muon" | "muon-rounded" => muon(MuonConfig::default()),
        "muon-classical" => {
            let weight_decay = WeightDecay::None;
            muon(MuonConfig { nesterov: false, momentum: 0.9, weight_decay, ..MuonConfig::default() })
        }
        "muon-match-rms" => muon(MuonConfig { step_scale: StepScale::MatchRmsAdamW, ..MuonConfig::default() }),
        "muon-spectral" => muon(MuonConfig { step_scale: StepScale::SpectralUnclamped, ..MuonConfig::default() }),
        "muon-iteration" => {
            let newton_schulz = NewtonSchulz { coefficients: [2.0, -1.5, 0.5], steps: 3, epsilon: 1e-3 };
            muon(MuonConfig { newton_schulz, ..MuonConfig::default() })
        }
        other => panic!("the fixture has a case `{other}` that the test does not know"),
    }
}

#[test]
fn optimizers_take_the_steps_of_pytorch_and_of_their_authors_packages() {
    let fixture = fixture("more-optimizers.safetensors");
    let mut cases: Vec<&String> = fixture.keys().filter(|key| key.contains(".float")).collect();
    cases.sort();
    assert_eq!(cases.len(), 78);
    for key in cases {
        let (case, dtype) = key.split_once('.').unwrap();
        let (dtype, mut tolerance) = if dtype == "float64" { (DType::F64, 1e-10) } else { (DType::F32, 1e-5) };
        if case == "muon-rounded" {
            // bf16 has 8 bits: each step is off by some 2^-8 of its length, and every later gradient with it.
            tolerance = 5e-2;
        }
        let expected = fixture[key].to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        let rows = if case.starts_with("schedule-free") { 2 * RECORDED.len() } else { RECORDED.len() };
        assert_eq!(expected.len(), rows, "{case}");
        let [trained, evaluated] = run(case, build, dtype, &fixture);
        for (what, found, expected) in
            [("trained", &trained, &expected[..5]), ("evaluated", &evaluated, &expected[5..])]
        {
            for ((found, expected), step) in found.iter().zip(expected).zip(RECORDED) {
                let error = worst_error(found, expected);
                assert!(error < tolerance, "{case} in {dtype:?} at step {step}, {what}: relative error {error:.1e}");
            }
        }
        assert_eq!(trained == evaluated, !case.starts_with("schedule-free"), "{case}");
    }
}

#[test]
fn muon_takes_filters_as_matrices_and_leaves_what_it_is_told() {
    let start = Numbers(5).take(24);
    let run = |dims: &[usize], left_to_adamw: &[&str]| {
        let w = Var::from_tensor(&Tensor::from_slice(&start, dims, &Device::Cpu).unwrap()).unwrap();
        let left_to_adamw = left_to_adamw.iter().map(ToString::to_string).collect();
        let config = MuonConfig { learning_rate: 0.1, left_to_adamw, ..MuonConfig::default() };
        let mut muon = Muon::new(vec![("conv.weight".into(), w.clone())], config).unwrap();
        for step in 0..3 {
            let mut grads = GradStore::default();
            grads.insert(&w, gradient_of(&w, &Numbers(step).take(24)));
            muon.step(&grads).unwrap();
        }
        let taken = muon.matrices().count();
        (bits(&w), taken)
    };
    let flat = run(&[2, 12], &[]);
    assert_eq!(run(&[2, 3, 2, 2], &[]), flat);
    let (by_adamw, taken) = run(&[2, 3, 2, 2], &["conv.*"]);
    assert!(by_adamw != flat.0 && taken == 0);
    let w = Var::from_tensor(&Tensor::from_slice(&start, (4, 6), &Device::Cpu).unwrap()).unwrap();
    let misspelt = MuonConfig { left_to_adamw: vec!["embedding.*".into()], ..MuonConfig::default() };
    let error = Muon::new(vec![("conv.weight".into(), w)], misspelt).unwrap_err();
    assert_eq!(error.to_string(), "the group pattern `embedding.*` matches no parameter");
}

#[test]
fn schedules_have_pytorch_s_values() {
    let fixture = fixture("more-schedules.safetensors");
    let restarts =
        |last, first_cycle, growth| CosineRestarts { peak: 0.1, last, first_cycle, growth, cycles: usize::MAX };
    let stable = WarmUpStableDecay {
        initial: 0.001,
        peak: 0.1,
        last: 0.001,
        warm_up: 20,
        decay: 10,
        steps: 60,
        shape: Decay::Linear,
    };
    let cases: Vec<(&str, Box<dyn Schedule>)> = vec![
        ("warm-up-cosine", Box::new(WarmUpCosine { initial: 0.001, peak: 0.1, last: 0.002, warm_up: 20, steps: 60 })),
        ("warm-up-stable-decay", Box::new(stable)),
        (
            "inverse-square-root",
            Box::new(InverseSquareRoot { initial: 0.0, peak: 0.1, warm_up: 25, steps: usize::MAX }),
        ),
        ("polynomial", Box::new(Polynomial { initial: 0.1, last: 0.0, power: 2.5, steps: 40 })),
        ("exponential", Box::new(Exponential { initial: 0.1, factor: 0.9, steps: 40 })),
        ("cosine-restarts", Box::new(restarts(0.001, 10, 2))),
        ("cosine-restarts-alike", Box::new(restarts(0.0, 7, 1))),
    ];
    assert_eq!(cases.len(), fixture.len());
    for (name, schedule) in cases {
        for (step, expected) in values(&fixture[name]).iter().enumerate() {
            let found = schedule.at(step);
            assert!((found - expected).abs() < 1e-12, "{name} at step {step}: {found:e}, expected {expected:e}");
        }
        assert!(schedule.at(usize::MAX).is_finite(), "{name} far out");
    }
}

#[test]
fn schedules_without_length_or_with_parts_that_overlap() {
    let stable = |warm_up, decay, steps, shape| WarmUpStableDecay {
        initial: 0.0,
        peak: 1.0,
        last: 0.25,
        warm_up,
        decay,
        steps,
        shape,
    };
    // The decay is cut where the warm-up ends.
    let cut = stable(4, 100, 8, Decay::Linear);
    assert_eq!([0, 2, 4, 6, 8, 9].map(|step| cut.at(step)), [0.0, 0.5, 1.0, 0.625, 0.25, 0.25]);
    assert_eq!(stable(0, 4, 8, Decay::OneMinusRoot).at(5), 0.25 + 0.75 * 0.5);
    assert!((stable(0, 4, 8, Decay::Cosine).at(6) - 0.625).abs() < 1e-15);
    assert_eq!([0, 1].map(|step| stable(0, 0, 0, Decay::Linear).at(step)), [0.25, 0.25]);
    assert_eq!(WarmUpCosine { initial: 0.0, peak: 1.0, last: 0.5, warm_up: 0, steps: 0 }.at(0), 0.5);
    let cut = WarmUpCosine { initial: 0.0, peak: 1.0, last: 0.5, warm_up: 100, steps: 50 };
    assert_eq!([25, 50, 80, 500].map(|step| cut.at(step)), [0.25, 0.5, 0.5, 0.5]);
    assert_eq!(Polynomial { initial: 1.0, last: 0.5, power: 2.0, steps: 0 }.at(0), 0.5);
    let restarts = |first_cycle, growth, cycles| CosineRestarts { peak: 1.0, last: 0.5, first_cycle, growth, cycles };
    assert_eq!([restarts(0, 1, 3), restarts(0, 2, 3), restarts(5, 1, 0)].map(|s| s.at(2)), [0.5; 3]);
    // Three of four steps, then held; growth 0 is one cycle.
    assert_eq!([11, 12, 13].map(|step| restarts(4, 1, 3).at(step) > 0.5), [true, false, false]);
    assert_eq!([3, 4].map(|step| restarts(4, 0, 9).at(step) > 0.5), [true, false]);
    let root = InverseSquareRoot { initial: 0.0, peak: 1.0, warm_up: 0, steps: 16 };
    assert_eq!([0, 1, 4, 16, 99].map(|step| root.at(step)), [1.0, 1.0, 0.5, 0.25, 0.25]);
}
