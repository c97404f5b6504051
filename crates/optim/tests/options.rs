//! Lookahead's options: adaptive step size, statistics at the swap, half precision, wrappers in wrappers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::evaluation::Reestimate;
use lookahead_optim::lookahead::{BufferPolicy, Period, StepSize};
use lookahead_optim::schedule::Constant;
use lookahead_optim::{
    AdamW, AdamWConfig, Average, Averaged, Error, Lookahead, LookaheadConfig, Momentum, Optimizer, RmsProp,
    RmsPropConfig, Sgd, SgdConfig, StatePolicy, with_evaluation_weights,
};
use std::sync::Arc;
use support::{bits, gradients, scalar, values};

fn at(value: f64) -> Var {
    Var::new(&[value], &Device::Cpu).unwrap()
}

fn plain(w: &Var) -> Sgd {
    Sgd::new(vec![("w".into(), w.clone())], SgdConfig { learning_rate: 1.0, ..SgdConfig::default() }).unwrap()
}

fn every(sync_period: usize) -> LookaheadConfig {
    LookaheadConfig { sync_period: sync_period.into(), ..LookaheadConfig::default() }
}

#[test]
fn the_adaptive_step_size_by_hand() {
    let after = |gradients: [f64; 2], lowest| {
        let w = at(0.0);
        let config = RmsPropConfig { learning_rate: 1.0, smoothing: 0.5, epsilon: 0.0, ..RmsPropConfig::default() };
        let inner = RmsProp::new(vec![("w".into(), w.clone())], config).unwrap();
        let config = LookaheadConfig { slow_step_size: StepSize::Adaptive { lowest }, ..every(2) };
        let mut optimizer = Lookahead::new(inner, config).unwrap();
        let mut fast = 0.0;
        for (step, gradient) in gradients.into_iter().enumerate() {
            if step == 1 {
                fast = scalar(&w);
            }
            optimizer.step(&support::gradients(&[(&w, gradient)])).unwrap();
        }
        (fast, scalar(&w))
    };
    // v: 2, then (2 + 0.5 * g^2); v-hat at the sync is that over 1 - 0.25. First step 2 / sqrt(2).
    for (second, lowest) in [(-1.0, 0.1), (1.0, 0.1), (-1.0, 0.9), (-2.5, 0.2)] {
        let (first, found) = after([2.0, second], lowest);
        assert!((first + 2f64.sqrt()).abs() < 1e-12);
        let v = 0.5 * 2.0 + 0.5 * second * second;
        let fast = first - second / v.sqrt();
        let gap = 0.0 - fast;
        let size = (1.0 + gap * second / (gap * gap * v / 0.75)).clamp(lowest, 1.0);
        assert!((found - size * fast).abs() < 1e-12, "{second} {lowest}: {found}, expected {}", size * fast);
    }
    let refused = Lookahead::new(
        plain(&at(0.0)),
        LookaheadConfig { slow_step_size: StepSize::Adaptive { lowest: 0.5 }, ..every(2) },
    );
    assert!(matches!(refused, Err(Error::NoCurvature)));
}

#[test]
fn schedules_are_equal_where_their_texts_are() {
    let period = |value| LookaheadConfig { sync_period: Period::Scheduled(Arc::new(Constant(value))), ..every(5) };
    let size = |value| LookaheadConfig { slow_step_size: StepSize::Scheduled(Arc::new(Constant(value))), ..every(5) };
    let adaptive = |lowest| LookaheadConfig { slow_step_size: StepSize::Adaptive { lowest }, ..every(5) };
    let all = [every(5), every(6), period(5.0), period(6.0), size(0.5), size(0.75), adaptive(0.5), adaptive(0.75)];
    let again = [every(5), every(6), period(5.0), period(6.0), size(0.5), size(0.75), adaptive(0.5), adaptive(0.75)];
    for (i, a) in all.iter().enumerate() {
        for (j, b) in again.iter().enumerate() {
            assert_eq!(a == b, i == j, "{a:?} {b:?}");
        }
    }
}

#[test]
fn settings_can_be_checked_before_anything_is_built() {
    assert!(LookaheadConfig::default().validate().is_ok());
    let refused = every(0).validate().unwrap_err().to_string();
    assert_eq!(refused, "sync_period should be in [1, inf), but is 0");
    let refused = LookaheadConfig { slow_step_size: 1.5.into(), ..every(5) }.validate().unwrap_err().to_string();
    assert_eq!(refused, "slow_step_size should be in [0, 1], but is 1.5");
    assert!(Average::Polyak { start: 0, power: 0.0 }.validate().is_ok() && Average::ema(1.0).validate().is_ok());
    for decay in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(Average::ema(decay).validate(), Err(Error::OutOfRange { what: "decay", .. })));
        assert!(Averaged::new(plain(&at(0.0)), Average::ema(decay)).is_err());
    }
    assert_eq!(StatePolicy::ALL.map(|policy| policy.to_string()), ["keep", "reset", "interpolate"]);
    assert_eq!(format!("{:<6}|", StatePolicy::Keep), "keep  |");
}

/// The curvature of the adaptive step size: with a constant gradient its corrected square, exactly, whatever a policy does to the state.
#[test]
fn second_moments_are_corrected_under_every_policy() {
    type Build = fn(Vec<(String, Var)>) -> Box<dyn Optimizer>;
    let builds: [Build; 2] = [
        |p| Box::new(AdamW::new(p, AdamWConfig::default()).unwrap()),
        |p| Box::new(RmsProp::new(p, RmsPropConfig::default()).unwrap()),
    ];
    for build in builds {
        for state_policy in [StatePolicy::Keep, StatePolicy::Reset, StatePolicy::Interpolate] {
            let w = at(0.0);
            let config = LookaheadConfig { state_policy, ..every(3) };
            let mut optimizer = Lookahead::new(build(vec![("w".into(), w.clone())]), config).unwrap();
            for step in 1..=20 {
                optimizer.step(&gradients(&[(&w, 3.0)])).unwrap();
                let found = values(&optimizer.second_moments().unwrap().unwrap()[0])[0];
                let expected = if state_policy == StatePolicy::Reset && step % 3 == 0 { 0.0 } else { 9.0 };
                assert!((found - expected).abs() < 1e-9, "{state_policy:?} at step {step}: {found}");
            }
        }
    }
}

#[test]
fn statistics_are_kept_averaged_or_estimated_anew() {
    let statistic = |value: f64| vec![("bn.running_mean".to_string(), at(value))];
    let run = |buffer_policy| {
        let (w, buffers) = (at(0.0), statistic(0.0));
        let config = LookaheadConfig { buffer_policy, ..every(2) };
        let mut optimizer = Lookahead::with_buffers(plain(&w), config, buffers.clone()).unwrap();
        let mut seen = vec![];
        for step in 1..=3 {
            buffers[0].1.set(&Tensor::new(&[f64::from(4 * step)], &Device::Cpu).unwrap()).unwrap();
            optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
            let live = scalar(&buffers[0].1);
            let slow = optimizer.with_slow_weights(|| Ok::<_, Error>(scalar(&buffers[0].1))).unwrap();
            assert_eq!(scalar(&buffers[0].1), live);
            seen.push((live, slow));
        }
        seen
    };
    assert_eq!(run(BufferPolicy::Keep), [(4.0, 4.0), (8.0, 8.0), (12.0, 12.0)]);
    // The sync after step 2: 0 + (8 - 0) / 2, written back.
    assert_eq!(run(BufferPolicy::Average), [(4.0, 0.0), (4.0, 4.0), (12.0, 4.0)]);

    // A layer whose statistic is the weight plus the batch's number, with momentum 0.1.
    let (w, buffers) = (at(10.0), statistic(123.0));
    let mut optimizer = Lookahead::with_buffers(plain(&w), every(5), buffers.clone()).unwrap();
    optimizer.step(&gradients(&[(&w, 4.0)])).unwrap();
    let forward = |batch: usize| {
        let now = scalar(&buffers[0].1) * 0.9 + 0.1 * (scalar(&w) + batch as f64);
        buffers[0].1.set(&Tensor::new(&[now], &Device::Cpu)?)?;
        Ok::<_, Error>(())
    };
    let how = Reestimate { batches: 4, momentum: 0.1 };
    let seen = optimizer.with_reestimated_slow_weights(how, forward, || Ok(scalar(&buffers[0].1))).unwrap();
    assert!((seen - (10.0 + 1.5)).abs() < 1e-12, "{seen}");
    assert_eq!((scalar(&buffers[0].1), scalar(&w)), (123.0, 6.0));
    // An error in either closure leaves nothing behind.
    let broken = optimizer.with_reestimated_slow_weights(how, |_| Err(Error::NoCurvature), || Ok(()));
    assert!(matches!(broken, Err(Error::NoCurvature)));
    let broken = optimizer.with_reestimated_slow_weights(how, forward, || Err::<(), _>(Error::NoCurvature));
    assert!(matches!(broken, Err(Error::NoCurvature)));
    assert_eq!((scalar(&buffers[0].1), scalar(&w)), (123.0, 6.0));
    for how in [Reestimate { batches: 0, momentum: 0.1 }, Reestimate { batches: 1, momentum: f64::NAN }] {
        assert!(optimizer.with_reestimated_slow_weights(how, forward, || Ok(())).is_err());
    }
    // A buffer that is a parameter too would be pulled twice.
    let refused = Lookahead::with_buffers(plain(&w), every(5), vec![("w".into(), w.clone())]);
    assert!(matches!(refused, Err(Error::SameVariable { .. })));
    // One under two names would be locked twice.
    let twice = ["b", "a"].map(|name| (name.to_owned(), buffers[0].1.clone())).to_vec();
    let error = Lookahead::with_buffers(plain(&w), every(5), twice).unwrap_err();
    assert!(matches!(&error, Error::SameVariable { first, second } if first == "a" && second == "b"), "{error}");
}

#[test]
fn half_precision_swaps_and_comes_back_to_the_bit() {
    let start = Tensor::new(&[1f32, -0.3, 7.7], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
    let w = Var::from_tensor(&start).unwrap();
    let adam = AdamW::new(vec![("w".into(), w.clone())], AdamWConfig { learning_rate: 0.01, ..Default::default() });
    let mut optimizer = Lookahead::new(adam.unwrap(), LookaheadConfig::default()).unwrap();
    for _ in 0..3 {
        optimizer.step(&gradients(&[(&w, 0.25)])).unwrap();
    }
    let (fast, state) = (bits(&w), optimizer.state().unwrap());
    let slow = optimizer.with_slow_weights(|| Ok::<_, Error>(bits(&w))).unwrap();
    assert_eq!(slow, bits(&start));
    assert_eq!(bits(&w), fast);
    let again = optimizer.state().unwrap();
    assert_eq!(bits(state.tensor("inner.master.w").unwrap()), bits(again.tensor("inner.master.w").unwrap()));
}

#[test]
fn wrappers_compose_in_any_order() {
    // Gradient 1, rate 1, from 8: Lookahead with period 2 gives 7, 7, 6, 6.
    let evaluate = |optimizer: &mut dyn Optimizer, w: &Var| {
        let seen = with_evaluation_weights(optimizer, || Ok::<_, Error>(scalar(w))).unwrap();
        (scalar(w), seen)
    };
    // Polyak around it averages the weights as they are after each step.
    let w = at(8.0);
    let mut outer =
        Averaged::new(Lookahead::new(plain(&w), every(2)).unwrap(), Average::Polyak { start: 0, power: 0.0 }).unwrap();
    for _ in 0..4 {
        outer.step(&gradients(&[(&w, 1.0)])).unwrap();
    }
    assert_eq!(evaluate(&mut outer, &w), (6.0, 6.5));
    // Inside it, the average is of the fast weights before the sync: 7, 6, 6, 5. Evaluation is at the slow weights.
    let w = at(8.0);
    let inner = Averaged::new(plain(&w), Average::Polyak { start: 0, power: 0.0 }).unwrap();
    let mut outer = Lookahead::new(inner, every(2)).unwrap();
    for _ in 0..4 {
        outer.step(&gradients(&[(&w, 1.0)])).unwrap();
    }
    let average = outer.state().unwrap();
    assert_eq!(values(average.tensor("inner.average.w").unwrap()), [6.0]);
    assert_eq!(evaluate(&mut outer, &w), (6.0, 6.0));
    // Before its average starts, a wrapper evaluates as what it wraps.
    let w = at(8.0);
    let mut late =
        Averaged::new(Lookahead::new(plain(&w), every(5)).unwrap(), Average::Polyak { start: 9, power: 0.0 }).unwrap();
    late.step(&gradients(&[(&w, 1.0)])).unwrap();
    assert_eq!(evaluate(&mut late, &w), (7.0, 8.0));
}

#[test]
fn lookahead_takes_an_optimizer_it_has_never_seen() {
    /// Halves the weight; the one number of state counts how often.
    #[derive(Debug)]
    struct Halving(Vec<lookahead_optim::parameter::Parameter>, u64);
    impl Optimizer for Halving {
        fn parameters(&self) -> &[lookahead_optim::parameter::Parameter] {
            &self.0
        }
        fn step(&mut self, _: &GradStore) -> lookahead_optim::Result<()> {
            self.1 += 1;
            let w = self.0[0].weights();
            Ok(w.set(&(w.as_detached_tensor() * 0.5)?)?)
        }
        fn learning_rate(&self) -> f64 {
            0.5
        }
        fn set_learning_rate(&mut self, _: f64) {}
        fn reset_state(&mut self) -> lookahead_optim::Result<()> {
            self.1 = 0;
            Ok(())
        }
        fn can_reset_state(&self) -> bool {
            true
        }
    }
    let w = at(8.0);
    let parameters = lookahead_optim::parameter::Parameter::list(vec![("w".into(), w.clone())]).unwrap();
    let config = LookaheadConfig { state_policy: StatePolicy::Reset, ..every(2) };
    let mut optimizer = Lookahead::new(Halving(parameters, 0), config).unwrap();
    for expected in [4.0, 5.0, 2.5] {
        optimizer.step(&gradients(&[(&w, 0.0)])).unwrap();
        assert_eq!(scalar(&w), expected); // 8 -> 4 -> 2, back to 5
    }
    assert_eq!(optimizer.inner().1, 1);
}

#[test]
fn candle_s_trait_takes_the_same_steps() {
    let (a, b) = (at(3.0), at(3.0));
    let config = || SgdConfig { learning_rate: 0.5, momentum: Momentum::classical(0.5), ..SgdConfig::default() };
    let mut ours = Lookahead::new(Sgd::new(vec![("a".into(), a.clone())], config()).unwrap(), every(2)).unwrap();
    let mut candle: Lookahead<Sgd> = candle_nn::Optimizer::new(vec![b.clone()], (config(), every(2))).unwrap();
    for _ in 0..5 {
        Optimizer::step(&mut ours, &gradients(&[(&a, 1.0)])).unwrap();
        candle_nn::Optimizer::step(&mut candle, &gradients(&[(&b, 1.0)])).unwrap();
    }
    assert_eq!(bits(&a), bits(&b));
    assert_eq!(candle_nn::Optimizer::learning_rate(&candle), 0.5);
}
