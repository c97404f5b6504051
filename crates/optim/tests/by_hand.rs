//! Trajectories worked out on paper.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::lookahead::{BufferPolicy, Period, StepSize};
use lookahead_optim::schedule::Schedule;
use lookahead_optim::{
    Average, Averaged, Lookahead, LookaheadConfig, Momentum, Optimizer, Sgd, SgdConfig, StatePolicy, WeightDecay,
    with_evaluation_weights,
};
use support::{gradients, scalar};

fn plain(w: &Var, learning_rate: f64) -> Sgd {
    Sgd::new(vec![("w".into(), w.clone())], SgdConfig { learning_rate, ..SgdConfig::default() }).unwrap()
}

fn lookahead(w: &Var, sync_period: usize, slow_step_size: f64) -> Lookahead<Sgd> {
    let config = LookaheadConfig {
        sync_period: sync_period.into(),
        slow_step_size: slow_step_size.into(),
        ..LookaheadConfig::default()
    };
    Lookahead::new(plain(w, 1.0), config).unwrap()
}

/// The weight before, and after each step with gradient 1.
fn path(w: &Var, optimizer: &mut dyn Optimizer, steps: usize) -> Vec<f64> {
    let mut path = vec![scalar(w)];
    for _ in 0..steps {
        optimizer.step(&gradients(&[(w, 1.0)])).unwrap();
        path.push(scalar(w));
    }
    path
}

fn at(value: f64) -> Var {
    Var::new(value, &Device::Cpu).unwrap()
}

#[test]
fn two_cycles_of_period_two() {
    // fast 3 -> 2 -> 1, slow 3 + (1 - 3) / 2 = 2; fast 2 -> 1 -> 0, slow 2 + (0 - 2) / 2 = 1.
    let w = at(3.0);
    assert_eq!(path(&w, &mut lookahead(&w, 2, 0.5), 4), [3.0, 2.0, 2.0, 1.0, 1.0]);
}

/// The same slow weights rule, and nothing is pulled: the fast weights go their own way, the inner state too.
#[test]
fn without_the_pull_the_slow_weights_are_an_average() {
    for state_policy in StatePolicy::ALL {
        let (w, statistic) = (at(3.0), at(8.0));
        let momentum = SgdConfig { learning_rate: 1.0, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
        let inner = Sgd::new([("w", w.clone())], momentum.clone()).unwrap();
        let config = LookaheadConfig {
            sync_period: 2.into(),
            state_policy,
            buffer_policy: BufferPolicy::Average,
            pulls_back: false,
            ..LookaheadConfig::default()
        };
        let buffers = vec![("mean".to_owned(), statistic.clone())];
        let mut optimizer = Lookahead::with_buffers(inner, config, buffers).unwrap();
        statistic.set(&Tensor::new(4f64, &Device::Cpu).unwrap()).unwrap();
        // Velocities 1, 1.5, 1.75, 1.875: fast 3, 2, 0.5, -1.25, -3.125, as momentum alone has it.
        assert_eq!(path(&w, &mut optimizer, 4), [3.0, 2.0, 0.5, -1.25, -3.125]);
        // Slow 3 + (0.5 - 3) / 2 = 1.75, then 1.75 + (-3.125 - 1.75) / 2 = -0.6875; of the statistic 8, 6, 5.
        let slow = optimizer.with_slow_weights(|| Ok((scalar(&w), scalar(&statistic)))).unwrap();
        assert_eq!((slow, scalar(&w), scalar(&statistic)), ((-0.6875, 5.0), -3.125, 4.0));
    }
}

#[test]
fn two_cycles_of_period_three() {
    // optax's path, with the fast weights before each sync left out: 3 -> 2 -> 1 -> (0, back to) 2 -> 1 -> 0 -> (-1, back to) 1.
    // With alpha = 1/3: slow 3 + (0 - 3) / 3 = 2, then 2 + (-1 - 2) / 3 = 1.
    let w = at(3.0);
    let path = path(&w, &mut lookahead(&w, 3, 1.0 / 3.0), 6);
    for (found, expected) in path.iter().zip([3.0, 2.0, 1.0, 2.0, 1.0, 0.0, 1.0]) {
        assert!((found - expected).abs() < 1e-15, "{path:?}");
    }
}

#[test]
fn step_size_one_is_the_inner_optimizer_and_zero_stands_still() {
    let (w, twin) = (at(0.3), at(0.3));
    assert_eq!(path(&w, &mut lookahead(&w, 3, 1.0), 7), path(&twin, &mut plain(&twin, 1.0), 7));
    let w = at(0.3);
    let path = path(&w, &mut lookahead(&w, 2, 0.0), 4);
    assert_eq!((path[2], path[4]), (0.3, 0.3));
}

#[test]
fn period_one_takes_shortened_steps() {
    let w = at(3.0);
    assert_eq!(path(&w, &mut lookahead(&w, 1, 0.5), 3), [3.0, 2.5, 2.0, 1.5]);
}

#[test]
fn classical_momentum_with_dampening() {
    // b: 1, then 0.5 * 1 + 0.75 * 1 = 1.25, then 0.5 * 1.25 + 0.75 = 1.375; the first is not damped.
    let w = at(3.0);
    let momentum = Momentum::Classical { momentum: 0.5, dampening: 0.25 };
    let config = SgdConfig { learning_rate: 1.0, momentum, ..SgdConfig::default() };
    let mut sgd = Sgd::new(vec![("w".into(), w.clone())], config).unwrap();
    assert_eq!(path(&w, &mut sgd, 3), [3.0, 2.0, 0.75, -0.625]);
    // Without momentum there is no buffer, and nothing is damped: PyTorch's steps of 1.
    let w = at(3.0);
    let momentum = Momentum::Classical { momentum: 0.0, dampening: 0.25 };
    let config = SgdConfig { learning_rate: 1.0, momentum, ..SgdConfig::default() };
    assert_eq!(path(&w, &mut Sgd::new([("w", w.clone())], config).unwrap(), 3), [3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn nesterov_momentum() {
    // b: 1, 1.5; steps 1 + 0.5 * 1 = 1.5, 1 + 0.5 * 1.5 = 1.75.
    let w = at(3.0);
    let config = SgdConfig { learning_rate: 1.0, momentum: Momentum::nesterov(0.5), ..SgdConfig::default() };
    let mut sgd = Sgd::new(vec![("w".into(), w.clone())], config).unwrap();
    assert_eq!(path(&w, &mut sgd, 2), [3.0, 1.5, -0.25]);
}

#[test]
fn both_kinds_of_decay() {
    for (weight_decay, expected) in [
        (WeightDecay::L2(0.25), 4.0 - 0.5 * (1.0 + 0.25 * 4.0)),
        (WeightDecay::Decoupled(0.25), 4.0 * (1.0 - 0.5 * 0.25) - 0.5),
    ] {
        let w = at(4.0);
        let config = SgdConfig { learning_rate: 0.5, weight_decay, ..SgdConfig::default() };
        let mut sgd = Sgd::new(vec![("w".into(), w.clone())], config).unwrap();
        assert_eq!(path(&w, &mut sgd, 1)[1], expected, "{weight_decay:?}");
    }
}

#[test]
fn the_momentum_reaches_the_inner_optimizer_through_wrappers() {
    let w = at(3.0);
    let config = SgdConfig { learning_rate: 1.0, momentum: Momentum::classical(0.9), ..SgdConfig::default() };
    let sgd = Sgd::new(vec![("w".into(), w.clone())], config).unwrap();
    let inner: Box<dyn Optimizer> = Box::new(Lookahead::new(sgd, LookaheadConfig::default()).unwrap());
    let mut optimizer = Averaged::new(inner, Average::Ema { decay: 0.5, start: 0, warm_up: false }).unwrap();
    optimizer.set_momentum(0.0).unwrap();
    optimizer.set_learning_rate(0.5);
    assert_eq!(optimizer.momentum(), Some(0.0));
    assert_eq!(path(&w, &mut optimizer, 2), [3.0, 2.5, 2.0]);
    assert_eq!(optimizer.steps_since_sync(), Some(2));
}

#[test]
fn period_and_step_size_follow_their_schedules() {
    #[derive(Debug)]
    struct Table(Vec<f64>);
    impl Schedule for Table {
        fn at(&self, step: usize) -> f64 {
            self.0[step.min(self.0.len() - 1)]
        }
    }
    // Cycles start at steps 0 and 1: periods 1, then 2. Syncs come after 1 and 3 steps, with sizes 0.5 and 0.25.
    let w = at(8.0);
    let config = LookaheadConfig {
        sync_period: Period::Scheduled(std::sync::Arc::new(Table(vec![1.0, 2.2, 9.0, 9.0]))),
        slow_step_size: StepSize::Scheduled(std::sync::Arc::new(Table(vec![9.0, 0.5, 9.0, 0.25]))),
        ..LookaheadConfig::default()
    };
    let mut optimizer = Lookahead::new(plain(&w, 1.0), config).unwrap();
    // 8 -> 7, slow 7.5; 7.5 -> 6.5 -> 5.5, slow 7.5 - 0.25 * 2 = 7.
    assert_eq!(path(&w, &mut optimizer, 3), [8.0, 7.5, 6.5, 7.0]);
}

#[test]
fn reset_forgets_the_momentum_and_interpolate_mixes_it() {
    let cycle = |state_policy| {
        let w = at(0.0);
        let config = SgdConfig { learning_rate: 1.0, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
        let sgd = Sgd::new(vec![("w".into(), w.clone())], config).unwrap();
        let config = LookaheadConfig { sync_period: 2.into(), state_policy, ..LookaheadConfig::default() };
        let mut optimizer = Lookahead::new(sgd, config).unwrap();
        path(&w, &mut optimizer, 4)
    };
    // b: 1, 1.5; fast 0 -> -1 -> -2.5, slow -1.25. Then b goes on from 1.5, 0 or (0 + 1.5) / 2:
    //   keep         1.75, 1.875:    -3,     -4.875, slow (-1.25 - 4.875) / 2
    //   reset        1, 1.5:         -2.25,  -3.75
    //   interpolate  1.375, 1.6875:  -2.625, -4.3125
    assert_eq!(cycle(StatePolicy::Keep), [0.0, -1.0, -1.25, -3.0, (-1.25 - 4.875) / 2.0]);
    assert_eq!(cycle(StatePolicy::Reset), [0.0, -1.0, -1.25, -2.25, (-1.25 - 3.75) / 2.0]);
    assert_eq!(cycle(StatePolicy::Interpolate), [0.0, -1.0, -1.25, -2.625, (-1.25 - 4.3125) / 2.0]);
}

#[test]
fn averages_by_hand() {
    let seen = |average, steps| {
        let w = at(4.0);
        let mut optimizer = Averaged::new(plain(&w, 1.0), average).unwrap();
        path(&w, &mut optimizer, steps);
        let seen = with_evaluation_weights(&mut optimizer, || Ok::<_, lookahead_optim::Error>(scalar(&w))).unwrap();
        assert_eq!(scalar(&w), 4.0 - steps as f64);
        seen
    };
    assert_eq!(seen(Average::Polyak { start: 0, power: 0.0 }, 3), 2.0); // (3 + 2 + 1) / 3
    assert_eq!(seen(Average::Polyak { start: 2, power: 0.0 }, 2), 2.0); // not begun: the weights
    assert_eq!(seen(Average::Polyak { start: 1, power: 0.0 }, 3), 1.5); // (2 + 1) / 2
    assert_eq!(seen(Average::Ema { decay: 0.5, start: 0, warm_up: false }, 2), 2.5); // begins at 3; (3 + 2) / 2
}

#[test]
fn half_precision_weights_follow_an_exact_master() {
    // 1 - 2^-9 is no bf16 number: without a master copy the weight would stay at 1 for ever.
    for dtype in [DType::BF16, DType::F16] {
        let w = Var::from_tensor(&Tensor::new(&[1f32], &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap();
        let mut optimizer = Lookahead::new(
            plain(&w, 2f64.powi(-9)),
            LookaheadConfig { sync_period: 4.into(), ..LookaheadConfig::default() },
        )
        .unwrap();
        let gradient = Tensor::new(&[1f32], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        for _ in 0..4 {
            let mut grads = candle_core::backprop::GradStore::default();
            grads.insert(&w, gradient.clone());
            optimizer.step(&grads).unwrap();
        }
        let value = w.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(value, [1.0 - 2f32.powi(-8)], "{dtype:?}"); // half of four steps of 2^-9
    }
}
