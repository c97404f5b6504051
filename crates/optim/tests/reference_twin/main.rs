//! The paper's pseudo-code on plain numbers, against the tensor version, over random hyper-parameters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod inner;
#[path = "../support/mod.rs"]
mod support;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use inner::{FRESH, Inner, build, inner};
use lookahead_optim::{Error, Lookahead, LookaheadConfig, StatePolicy, with_evaluation_weights};
use proptest::prelude::*;
use support::{Numbers, values};

const SIZE: usize = 7;
const STEPS: usize = 60;

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
                        for k in 0..inner[i].state.len() {
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
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookahead_is_the_paper_s_pseudo_code(setting in setting()) {
        agree(&setting)?;
    }
}
