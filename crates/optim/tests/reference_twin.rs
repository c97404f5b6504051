//! The paper's pseudo-code on plain numbers, against the tensor version, over random hyper-parameters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use lookahead_optim::{
    AdamW, AdamWConfig, Error, Lookahead, LookaheadConfig, Momentum, Optimizer, RmsProp, RmsPropConfig, Sgd, SgdConfig,
    StatePolicy, WeightDecay, with_evaluation_weights,
};
use proptest::prelude::*;
use support::{Numbers, values};

const SIZE: usize = 7;
const STEPS: usize = 60;

#[derive(Debug, Clone, Copy)]
enum Inner {
    Sgd { momentum: f64, dampening: f64, nesterov: bool },
    Adam { beta1: f64, beta2: f64, amsgrad: bool },
    RmsProp { smoothing: f64, momentum: f64, centered: bool },
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    inner: Inner,
    learning_rate: f64,
    l2: bool,
    decay: f64,
    period: usize,
    step_size: f64,
    policy: StatePolicy,
    seed: u64,
}

/// One number's inner optimizer, written from the formulas. `state` is all that a policy acts on; for Adam that includes the two weights
/// which the zero start still has in the moments.
#[derive(Clone)]
struct Scalar {
    state: [f64; 5],
    updates: u64,
}

const FRESH: Scalar = Scalar { state: [0.0, 0.0, 0.0, 1.0, 1.0], updates: 0 };

impl Scalar {
    fn step(&mut self, s: &Setting, x: f64, mut g: f64) -> f64 {
        let (lr, epsilon) = (s.learning_rate, 1e-8);
        let mut x = x;
        if s.l2 {
            g += s.decay * x;
        } else {
            x -= lr * s.decay * x;
        }
        self.updates += 1;
        let [a, b, c, zero_1, zero_2] = &mut self.state;
        match s.inner {
            Inner::Sgd { momentum, dampening, nesterov } => {
                *a = if self.updates == 1 { g } else { momentum * *a + (1.0 - dampening) * g };
                x - lr * if nesterov { g + momentum * *a } else { *a }
            }
            Inner::Adam { beta1, beta2, amsgrad } => {
                *a = beta1 * *a + (1.0 - beta1) * g;
                *b = beta2 * *b + (1.0 - beta2) * g * g;
                *zero_1 *= beta1;
                *zero_2 *= beta2;
                *c = c.max(*b);
                let v = if amsgrad { *c } else { *b };
                x - lr * (*a / (1.0 - *zero_1)) / ((v / (1.0 - *zero_2)).sqrt() + epsilon)
            }
            Inner::RmsProp { smoothing, momentum, centered } => {
                *a = smoothing * *a + (1.0 - smoothing) * g * g;
                *b = smoothing * *b + (1.0 - smoothing) * g;
                let v = if centered { *a - *b * *b } else { *a };
                *c = momentum * *c + g / (v.sqrt() + epsilon);
                x - lr * *c
            }
        }
    }
}

fn build(s: &Setting, x: &Var) -> Box<dyn Optimizer> {
    let named = vec![("x".to_string(), x.clone())];
    let learning_rate = s.learning_rate;
    let weight_decay = if s.l2 { WeightDecay::L2(s.decay) } else { WeightDecay::Decoupled(s.decay) };
    match s.inner {
        Inner::Sgd { momentum, dampening, nesterov } => {
            let momentum =
                if nesterov { Momentum::nesterov(momentum) } else { Momentum::Classical { momentum, dampening } };
            Box::new(
                Sgd::new(named, SgdConfig { learning_rate, momentum, weight_decay, ..Default::default() }).unwrap(),
            )
        }
        Inner::Adam { beta1, beta2, amsgrad } => {
            let config = AdamWConfig { learning_rate, beta1, beta2, amsgrad, weight_decay, ..AdamWConfig::default() };
            Box::new(AdamW::new(named, config).unwrap())
        }
        Inner::RmsProp { smoothing, momentum, centered } => {
            let momentum = Some(momentum);
            let config =
                RmsPropConfig { learning_rate, smoothing, momentum, centered, weight_decay, ..Default::default() };
            Box::new(RmsProp::new(named, config).unwrap())
        }
    }
}

fn inner() -> impl Strategy<Value = Inner> {
    prop_oneof![
        (0.0..0.95, 0.0..1.0, any::<bool>()).prop_map(|(momentum, dampening, nesterov)| Inner::Sgd {
            momentum,
            dampening: if nesterov { 0.0 } else { dampening },
            nesterov
        }),
        (0.0..0.95, 0.5..0.999, any::<bool>()).prop_map(|(beta1, beta2, amsgrad)| Inner::Adam {
            beta1,
            beta2,
            amsgrad
        }),
        (0.5..0.99, 0.0..0.9, any::<bool>()).prop_map(|(smoothing, momentum, centered)| Inner::RmsProp {
            smoothing,
            momentum,
            centered
        }),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let policy = prop_oneof![Just(StatePolicy::Keep), Just(StatePolicy::Reset), Just(StatePolicy::Interpolate)];
    (inner(), 0.001..0.1, any::<bool>(), 0.0..0.1, 1usize..9, 0.0..=1.0, policy, any::<u64>()).prop_map(
        |(inner, learning_rate, l2, decay, period, step_size, policy, seed)| Setting {
            inner,
            learning_rate,
            l2,
            decay,
            period,
            step_size,
            policy,
            seed,
        },
    )
}

/// Compares after every step, fast and slow weights.
fn agree(s: &Setting) -> Result<(), TestCaseError> {
    let mut numbers = Numbers(s.seed);
    let start = numbers.take(SIZE);
    let curvature: Vec<f64> = numbers.take(SIZE).iter().map(|c| 1.5 + c).collect();
    let x = Var::from_slice(&start, SIZE, &Device::Cpu).unwrap();
    let config = LookaheadConfig {
        sync_period: s.period.into(),
        slow_step_size: s.step_size.into(),
        state_policy: s.policy,
        ..LookaheadConfig::default()
    };
    let mut optimizer = Lookahead::new(build(s, &x), config).unwrap();
    let (mut fast, mut slow) = (start.clone(), start);
    let (mut inner, mut slow_inner) = (vec![FRESH; SIZE], vec![FRESH; SIZE]);
    for step in 1..=STEPS {
        let centre = numbers.take(SIZE);
        let gradient: Vec<f64> = (0..SIZE).map(|i| curvature[i] * (fast[i] - centre[i])).collect();
        for i in 0..SIZE {
            fast[i] = inner[i].step(s, fast[i], gradient[i]);
            if step % s.period == 0 {
                slow[i] += s.step_size * (fast[i] - slow[i]);
                fast[i] = slow[i];
                match s.policy {
                    StatePolicy::Keep => {}
                    StatePolicy::Reset => inner[i] = FRESH,
                    StatePolicy::Interpolate => {
                        for k in 0..5 {
                            slow_inner[i].state[k] += s.step_size * (inner[i].state[k] - slow_inner[i].state[k]);
                            inner[i].state[k] = slow_inner[i].state[k];
                        }
                    }
                }
            }
        }
        let mut grads = GradStore::default();
        grads.insert(&x, Tensor::from_slice(&gradient, SIZE, &Device::Cpu).unwrap());
        optimizer.step(&grads).unwrap();
        let at_slow = with_evaluation_weights(&mut optimizer, || Ok::<_, Error>(values(&x))).unwrap();
        for (what, found, expected) in [("fast", values(&x), &fast), ("slow", at_slow, &slow)] {
            for (a, b) in found.iter().zip(expected) {
                prop_assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{what} weights at step {step}: {a} and {b}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookahead_is_the_paper_s_pseudo_code(setting in setting()) {
        agree(&setting)?;
    }
}
