//! One test for each defect found in published implementations of Lookahead. Each fails if its defect is put back.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{BatchNormConfig, ModuleT, VarBuilder, VarMap};
use lookahead_optim::lookahead::{BufferPolicy, Period, StepSize};
use lookahead_optim::schedule::Schedule;
use lookahead_optim::{
    AdamW, AdamWConfig, Error, Lookahead, LookaheadConfig, Momentum, Optimizer, RmsProp, RmsPropConfig, Sgd, SgdConfig,
    State, StatePolicy, trainable,
};
use std::sync::Arc;
use support::{bits, gradients, scalar, values};

fn at(value: f64) -> Var {
    Var::new(&[value], &Device::Cpu).unwrap()
}

fn named(w: &Var) -> Vec<(String, Var)> {
    vec![("w".into(), w.clone())]
}

fn sgd(w: &Var, momentum: Momentum) -> Sgd {
    Sgd::new(named(w), SgdConfig { learning_rate: 1.0, momentum, ..SgdConfig::default() }).unwrap()
}

fn every(sync_period: usize, state_policy: StatePolicy) -> LookaheadConfig {
    LookaheadConfig { sync_period: sync_period.into(), state_policy, ..LookaheadConfig::default() }
}

/// How far each of `steps` steps with gradient 1 moved the weight; steps of the inner optimizer only, so pull-backs are left out.
fn walk(w: &Var, optimizer: &mut dyn Optimizer, steps: usize) -> Vec<f64> {
    (0..steps)
        .map(|_| {
            let before = scalar(w);
            optimizer.step(&gradients(&[(w, 1.0)])).unwrap();
            before - scalar(w)
        })
        .collect()
}

fn slow(optimizer: &Lookahead<impl Optimizer>) -> f64 {
    values(&optimizer.slow_weights().unwrap()[0].1)[0]
}

#[test]
fn defect_01_slow_weights_taken_after_the_first_inner_step() {
    // Right: slow 10 -> 10 + (5 - 10) / 2. Taken at 9, it would be 9 + (5 - 9) / 2 = 7.
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(5, StatePolicy::Keep)).unwrap();
    walk(&w, &mut optimizer, 1);
    assert_eq!(slow(&optimizer), 10.0);
    walk(&w, &mut optimizer, 4);
    assert_eq!((scalar(&w), slow(&optimizer)), (7.5, 7.5));
}

#[test]
fn defect_02_slow_weights_taken_at_the_first_sync() {
    // Then the first sync would do nothing and leave 5.
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(5, StatePolicy::Keep)).unwrap();
    walk(&w, &mut optimizer, 5);
    assert_eq!(scalar(&w), 7.5);
}

#[test]
fn defect_03_zero_initialised_or_period_k_plus_one() {
    // Started at zero, the first sync would give 0 + 0.5 * 7; with period k + 1 it would come a step late.
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(3, StatePolicy::Keep)).unwrap();
    let mut since = vec![optimizer.steps_since_sync().unwrap()];
    let mut path = vec![];
    for _ in 0..6 {
        walk(&w, &mut optimizer, 1);
        since.push(optimizer.steps_since_sync().unwrap());
        path.push(scalar(&w));
    }
    assert_eq!(path, [9.0, 8.0, 8.5, 7.5, 6.5, 7.0]);
    assert_eq!(since, [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn defect_04_adam_moments_reset_but_not_the_step_counter() {
    // With a constant gradient every correct Adam step has the length of the learning rate, under every policy. Without the
    // counter's reset the steps after a late sync are 2.5 to 4.6 times too long.
    for state_policy in [StatePolicy::Reset, StatePolicy::Interpolate, StatePolicy::Keep] {
        let w = at(0.0);
        let config = AdamWConfig { learning_rate: 0.001, epsilon: 0.0, ..AdamWConfig::adam() };
        // A slow step size of 1, so that the sync itself does not move the weight.
        let lookahead = LookaheadConfig { slow_step_size: 1.0.into(), ..every(5, state_policy) };
        let mut optimizer = Lookahead::new(AdamW::new(named(&w), config).unwrap(), lookahead).unwrap();
        for (step, length) in walk(&w, &mut optimizer, 1005).iter().enumerate() {
            assert!((length - 0.001).abs() < 1e-9, "{state_policy:?}: step {step} has length {length}");
        }
    }
    // The same where interpolation really mixes two states.
    let w = at(0.0);
    let config = AdamWConfig { learning_rate: 0.001, epsilon: 0.0, ..AdamWConfig::adam() };
    let mut optimizer =
        Lookahead::new(AdamW::new(named(&w), config).unwrap(), every(5, StatePolicy::Interpolate)).unwrap();
    for (step, length) in walk(&w, &mut optimizer, 100).iter().enumerate() {
        if step % 5 != 4 {
            assert!((length - 0.001).abs() < 1e-9, "interpolate: step {step} has length {length}");
        }
    }
}

#[test]
fn defect_05_reset_fails_when_there_is_no_momentum() {
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(2, StatePolicy::Reset)).unwrap();
    walk(&w, &mut optimizer, 4);
    assert_eq!(scalar(&w), 8.0);
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(2, StatePolicy::Interpolate)).unwrap();
    walk(&w, &mut optimizer, 4);
    assert_eq!(scalar(&w), 8.0);
}

#[test]
fn defect_06_slow_weights_or_counter_missing_from_saved_state() {
    let folder = tempfile::tempdir().unwrap();
    for state_policy in [StatePolicy::Keep, StatePolicy::Interpolate] {
        let build = |w: &Var| Lookahead::new(sgd(w, Momentum::classical(0.9)), every(5, state_policy)).unwrap();
        // Stopped in mid-cycle, after 7 steps of 12.
        let straight = at(10.0);
        let mut optimizer = build(&straight);
        walk(&straight, &mut optimizer, 7);
        let path = folder.path().join("state.safetensors");
        optimizer.state().unwrap().save(&path).unwrap();
        let resumed = at(scalar(&straight));
        let mut second = build(&resumed);
        second.load_state(&State::load(&path, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(second.steps_since_sync(), Some(2));
        assert_eq!(slow(&second).to_bits(), slow(&optimizer).to_bits());
        walk(&straight, &mut optimizer, 5);
        walk(&resumed, &mut second, 5);
        assert_eq!(bits(&resumed), bits(&straight), "{state_policy:?}");
    }
}

#[test]
fn defect_07_interpolated_momentum_aliasing_the_live_buffer() {
    // b at the syncs with period 1, momentum 0.5 and size 0.5: live 1, slow 0.5; live 1.25, slow (0.5 + 1.25) / 2 = 0.875. Were the slow
    // value the live buffer itself, it would follow it and mix nothing: 1.25 after the second sync.
    let w = at(0.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::classical(0.5)), every(1, StatePolicy::Interpolate)).unwrap();
    let mut seen = vec![];
    for _ in 0..3 {
        walk(&w, &mut optimizer, 1);
        seen.push(values(optimizer.state().unwrap().tensor("inner.momentum.w").unwrap())[0]);
    }
    // Third: live 0.4375 + 1 = 1.4375, slow (0.875 + 1.4375) / 2.
    assert_eq!(seen, [0.5, 0.875, 1.15625]);
}

#[test]
fn defect_08_a_state_policy_that_does_nothing_for_adam_or_rmsprop() {
    type Build = fn(&Var) -> Box<dyn Optimizer>;
    let adam: Build =
        |w| Box::new(AdamW::new(named(w), AdamWConfig { amsgrad: true, ..AdamWConfig::default() }).unwrap());
    let rmsprop: Build = |w| {
        let config = RmsPropConfig { centered: true, momentum: Some(0.9), ..RmsPropConfig::default() };
        Box::new(RmsProp::new(named(w), config).unwrap())
    };
    for (build, slots) in [
        (adam, ["first_moment", "second_moment", "largest_second_moment"]),
        (rmsprop, ["square_average", "average", "momentum"]),
    ] {
        let after = |state_policy| {
            let w = at(1.0);
            let mut optimizer = Lookahead::new(build(&w), every(3, state_policy)).unwrap();
            for step in 0..3 {
                optimizer.step(&gradients(&[(&w, 1.0 + f64::from(step))])).unwrap();
            }
            let state = optimizer.state().unwrap();
            let tensors: Vec<f64> =
                slots.iter().map(|slot| values(state.tensor(&format!("inner.{slot}.w")).unwrap())[0]).collect();
            (tensors, state.counter::<u64>("inner.steps.w").unwrap())
        };
        let ((kept, steps), (reset, reset_steps)) = (after(StatePolicy::Keep), after(StatePolicy::Reset));
        let (mixed, _) = after(StatePolicy::Interpolate);
        assert!(kept.iter().all(|x| *x > 0.0) && steps == 3);
        assert_eq!((reset, reset_steps), (vec![0.0; 3], 0));
        // The state after the last sync was zero, so half of it is left.
        assert_eq!(mixed, kept.iter().map(|x| x / 2.0).collect::<Vec<_>>());
    }
}

#[test]
fn defect_09_slow_weights_sharing_storage_or_graph_with_the_fast() {
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(100, StatePolicy::Keep)).unwrap();
    let given = optimizer.slow_weights().unwrap()[0].1.clone();
    w.set(&Tensor::new(&[3f64], &Device::Cpu).unwrap()).unwrap();
    assert_eq!(slow(&optimizer), 10.0, "they follow the fast weights");
    given.slice_set(&Tensor::new(&[5f64], &Device::Cpu).unwrap(), 0, 0).unwrap();
    assert_eq!(slow(&optimizer), 10.0, "what was handed out is shared");
    // A graph would lead from the slow weights back to the variable.
    optimizer.accept_adjustment().unwrap();
    optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
    let seen = optimizer.slow_weights().unwrap()[0].1.clone();
    let grads = (seen * 2.0).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&w).is_none());
    assert!(!optimizer.slow_weights().unwrap()[0].1.track_op());
}

#[test]
fn defect_10_period_zero_or_a_step_size_outside_zero_to_one_accepted() {
    #[derive(Debug)]
    struct Always(f64);
    impl Schedule for Always {
        fn at(&self, _: usize) -> f64 {
            self.0
        }
    }
    let build = |sync_period: Period, slow_step_size: StepSize| {
        let config = LookaheadConfig { sync_period, slow_step_size, ..LookaheadConfig::default() };
        Lookahead::new(sgd(&at(1.0), Momentum::None), config)
    };
    assert!(matches!(build(0.into(), 0.5.into()), Err(Error::OutOfRange { what: "sync_period", .. })));
    for size in [-0.001, 1.001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = build(5.into(), size.into()).unwrap_err();
        assert!(error.to_string().contains("slow_step_size should be in [0, 1]"), "{error}");
        let w = at(1.0);
        let config = LookaheadConfig {
            sync_period: 1.into(),
            slow_step_size: StepSize::Scheduled(Arc::new(Always(size))),
            ..LookaheadConfig::default()
        };
        let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), config).unwrap();
        assert!(optimizer.step(&gradients(&[(&w, 1.0)])).is_err());
        assert_eq!((scalar(&w), optimizer.steps_since_sync()), (1.0, Some(0)), "an error changed something");
    }
    for period in [0.0, 0.4, -1.0, f64::NAN] {
        assert!(build(Period::Scheduled(Arc::new(Always(period))), 0.5.into()).is_err(), "{period}");
    }
    assert!(build(1.into(), 0.0.into()).is_ok() && build(1.into(), 1.0.into()).is_ok());
}

#[test]
fn defect_11_validation_on_the_fast_weights_in_mid_cycle() {
    let w = at(10.0);
    let mut optimizer = Lookahead::new(sgd(&w, Momentum::None), every(5, StatePolicy::Keep)).unwrap();
    walk(&w, &mut optimizer, 7); // slow 7.5, fast 5.5
    let seen = optimizer.with_slow_weights(|| Ok::<_, Error>(scalar(&w))).unwrap();
    assert_eq!((seen, scalar(&w)), (7.5, 5.5));
    // Back also after an error and after a panic.
    let failed: Result<(), Error> = optimizer.with_slow_weights(|| Err(Error::NoCurvature));
    assert!(matches!(failed, Err(Error::NoCurvature)));
    assert_eq!(scalar(&w), 5.5);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        optimizer.with_slow_weights(|| -> Result<(), Error> { panic!("in validation") })
    }));
    assert!(panicked.is_err());
    assert_eq!(scalar(&w), 5.5);
    // Swapped in by hand and forgotten: loud, not wrong.
    optimizer.swap_evaluation_weights().unwrap();
    let refused = optimizer.step(&gradients(&[(&w, 1.0)]));
    assert!(matches!(refused, Err(Error::EvaluationWeightsInPlace { .. })));
    assert!(optimizer.state().is_err());
    optimizer.swap_evaluation_weights().unwrap();
    walk(&w, &mut optimizer, 3);
    assert_eq!(scalar(&w), 5.0); // 7.5 + (2.5 - 7.5) / 2
}

#[test]
fn defect_12_statistics_swept_into_the_slow_weights_or_an_order_of_chance() {
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F64, &Device::Cpu);
    let norm = candle_nn::batch_norm(3, BatchNormConfig::default(), builder.pp("bn")).unwrap();
    let names: Vec<String> = trainable(&vars).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["bn.bias", "bn.weight"]);
    let statistics = || {
        let data = vars.data().lock().unwrap();
        [values(&data["bn.running_mean"]), values(&data["bn.running_var"])]
    };
    let images = Tensor::randn(3f64, 2.0, (8, 3), &Device::Cpu).unwrap();
    let train = |optimizer: &mut dyn FnMut(&GradStore)| {
        let loss = norm.forward_t(&images, true).unwrap().sqr().unwrap().sum_all().unwrap();
        let before = statistics();
        optimizer(&loss.backward().unwrap());
        assert_eq!(statistics(), before, "a step changed the running statistics");
    };
    // Even through candle's trait with every variable of the map, statistics included, and at an evaluation.
    let config = (SgdConfig { learning_rate: 0.01, ..SgdConfig::default() }, every(2, StatePolicy::Keep));
    let mut optimizer: Lookahead<Sgd> = candle_nn::Optimizer::new(vars.all_vars(), config).unwrap();
    for _ in 0..3 {
        train(&mut |grads| Optimizer::step(&mut optimizer, grads).unwrap());
    }
    let before = statistics();
    optimizer
        .with_slow_weights(|| {
            assert_eq!(statistics(), before, "the swap changed the running statistics");
            Ok::<_, Error>(())
        })
        .unwrap();
    let buffers = || {
        let data = vars.data().lock().unwrap();
        ["bn.running_mean", "bn.running_var"].map(|name| (name.to_string(), data[name].clone())).to_vec()
    };
    // Known to Lookahead but not asked for, they are left alone.
    let frozen = || Sgd::new(trainable(&vars), SgdConfig { learning_rate: 0.0, ..SgdConfig::default() }).unwrap();
    let mut optimizer = Lookahead::with_buffers(frozen(), every(1, StatePolicy::Keep), buffers()).unwrap();
    train(&mut |grads| Optimizer::step(&mut optimizer, grads).unwrap());
    // Asked for, they are averaged, and swapped for evaluation.
    let config = LookaheadConfig { buffer_policy: BufferPolicy::Average, ..every(1, StatePolicy::Keep) };
    let mut optimizer = Lookahead::with_buffers(frozen(), config, buffers()).unwrap();
    let start = statistics();
    let loss = norm.forward_t(&images, true).unwrap().sum_all().unwrap();
    let live = statistics();
    optimizer.step(&loss.backward().unwrap()).unwrap();
    for ((start, live), now) in start.iter().zip(&live).zip(&statistics()) {
        for ((start, live), now) in start.iter().zip(live).zip(now) {
            assert!((now - (start + live) / 2.0).abs() < 1e-12);
        }
    }
    // The order is that of the names, however the list came.
    let shuffled = ["b", "a", "c.2", "c.10"].map(|name| (name.to_string(), at(0.0))).to_vec();
    let optimizer = Sgd::new(shuffled, SgdConfig::default()).unwrap();
    let order: Vec<&str> = optimizer.parameters().iter().map(|p| p.name()).collect();
    assert_eq!(order, ["a", "b", "c.10", "c.2"]);
}
