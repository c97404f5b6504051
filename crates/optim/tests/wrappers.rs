//! candle's optimizers inside ours, and optimizers and wrappers of a user's own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::lookahead::StepSize;
use lookahead_optim::parameter::Parameter;
use lookahead_optim::{
    AdamW, AdamWConfig, Average, Averaged, Error, FromCandle, Lookahead, LookaheadConfig, Optimizer, Result, Sgd,
    StatePolicy, with_evaluation_weights,
};
use support::{bits, gradients, scalar, values};

fn at(value: f64) -> Var {
    Var::new(&[value], &Device::Cpu).unwrap()
}

fn every(sync_period: usize, state_policy: StatePolicy) -> LookaheadConfig {
    LookaheadConfig { sync_period: sync_period.into(), state_policy, ..LookaheadConfig::default() }
}

/// The weight after each step with gradient 1.
fn path(w: &Var, optimizer: &mut dyn Optimizer, steps: usize) -> Vec<f64> {
    (0..steps)
        .map(|_| {
            optimizer.step(&gradients(&[(w, 1.0)])).unwrap();
            scalar(w)
        })
        .collect()
}

#[test]
fn candle_s_sgd_inside_lookahead_by_hand() {
    let w = at(3.0);
    let sgd = FromCandle::<candle_nn::SGD>::new([("w", w.clone())], 1.0).unwrap();
    let mut optimizer = Lookahead::new(sgd, every(2, StatePolicy::Keep)).unwrap();
    assert_eq!(path(&w, &mut optimizer, 4), [2.0, 2.0, 1.0, 1.0]); // 2 -> (1 ->) 2 -> 1 -> (0 ->) 1
    // The learning rate goes through, both ways.
    optimizer.set_learning_rate(0.25);
    assert_eq!((optimizer.learning_rate(), optimizer.inner().get().learning_rate()), (0.25, 0.25));
    assert_eq!(path(&w, &mut optimizer, 1), [0.75]);
    assert_eq!(optimizer.with_slow_weights(|| Ok(scalar(&w))).unwrap(), 1.0);
    use candle_nn::Optimizer as _;
    optimizer.inner_mut().get_mut().set_learning_rate(2.0);
    assert_eq!(Optimizer::learning_rate(&optimizer), 2.0);
}

#[test]
fn candle_s_adamw_makes_its_own_steps_in_it() {
    let (alone, wrapped, averaged) = (at(3.0), at(3.0), at(3.0));
    let params = || candle_nn::ParamsAdamW { lr: 0.1, ..candle_nn::ParamsAdamW::default() };
    let mut plain = <candle_nn::AdamW as candle_nn::Optimizer>::new(vec![alone.clone()], params()).unwrap();
    let adamw = |w: &Var| FromCandle::<candle_nn::AdamW>::new([("w", w.clone())], params()).unwrap();
    let whole = LookaheadConfig { slow_step_size: 1.0.into(), ..every(3, StatePolicy::Keep) };
    let mut lookahead = Lookahead::new(adamw(&wrapped), whole).unwrap();
    let mut average = Averaged::new(adamw(&averaged), Average::ema(0.9)).unwrap();
    for step in 0..20 {
        let gradient = f64::from(step).sin();
        candle_nn::Optimizer::step(&mut plain, &gradients(&[(&alone, gradient)])).unwrap();
        lookahead.step(&gradients(&[(&wrapped, gradient)])).unwrap();
        average.step(&gradients(&[(&averaged, gradient)])).unwrap();
        assert_eq!((bits(&wrapped), bits(&averaged)), (bits(&alone), bits(&alone)), "step {step}");
    }
}

#[test]
fn what_candle_s_optimizers_cannot_do_is_said() {
    let build = || FromCandle::<candle_nn::SGD>::new([("w", at(0.0))], 0.1).unwrap();
    let refused = |error: Error, operation: &str| {
        assert!(matches!(&error, Error::Unsupported { .. }), "{error}");
        assert_eq!(error.to_string(), format!("candle_nn::optim::SGD cannot {operation}"));
    };
    refused(Lookahead::new(build(), every(5, StatePolicy::Reset)).unwrap_err(), "reset its state");
    refused(Lookahead::new(build(), every(5, StatePolicy::Interpolate)).unwrap_err(), "save its state");
    let boxed: Box<dyn Optimizer> = Box::new(Averaged::new(build(), Average::polyak()).unwrap());
    refused(Lookahead::new(boxed, every(5, StatePolicy::Reset)).unwrap_err(), "reset its state");
    let mut optimizer = Lookahead::new(build(), every(5, StatePolicy::Keep)).unwrap();
    refused(optimizer.state().unwrap_err(), "save its state");
    refused(optimizer.reset_state().unwrap_err(), "reset its state");
    let state = Sgd::new([("w", at(0.0))], 0.1).unwrap().state().unwrap();
    refused(optimizer.inner_mut().load_state(&state).unwrap_err(), "load a state");
    let error = optimizer.set_momentum(0.9).unwrap_err().to_string();
    assert_eq!(error, "candle_nn::optim::SGD has no momentum that can be set");
    let adaptive =
        LookaheadConfig { slow_step_size: StepSize::Adaptive { lowest: 0.1 }, ..every(5, StatePolicy::Keep) };
    assert!(matches!(Lookahead::new(build(), adaptive), Err(Error::NoCurvature)));
    assert!(matches!(optimizer.step(&GradStore::default()), Err(Error::NoGradient { parameters: 1 })));
    let twice = at(0.0);
    let named = vec![("a".to_string(), twice.clone()), ("b".to_string(), twice)];
    assert!(matches!(FromCandle::<candle_nn::SGD>::new(named, 0.1), Err(Error::SameVariable { .. })));
}

/// Slow weights of bf16 variables have all bits of f32: half of 1/128 is no bf16 step from 1.
#[test]
fn slow_weights_around_candle_s_optimizer_are_f32_for_half_precision() {
    let start = Tensor::new(&[1f32], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
    let w = Var::from_tensor(&start).unwrap();
    let sgd = FromCandle::<candle_nn::SGD>::new([("w", w.clone())], 1.0).unwrap();
    let mut optimizer = Lookahead::new(sgd, every(2, StatePolicy::Keep)).unwrap();
    let step = |optimizer: &mut Lookahead<_>| {
        optimizer.step(&gradients(&[(&w, 1.0 / 256.0)])).unwrap();
    };
    step(&mut optimizer);
    assert_eq!(scalar(&w), 1.0 - 1.0 / 256.0);
    step(&mut optimizer);
    assert_eq!(values(&optimizer.slow_weights().unwrap()[0].1), [1.0 - 1.0 / 256.0]);
    step(&mut optimizer);
    step(&mut optimizer);
    // 255/256 -> 253/256 in bf16, and half of the way back.
    assert_eq!(values(&optimizer.slow_weights().unwrap()[0].1), [254.0 / 256.0]);
    assert_eq!(scalar(&w), 254.0 / 256.0);
}

/// A wrapper that says what it wraps, and nothing else that has a default.
#[derive(Debug)]
struct Counted<O> {
    inner: O,
    steps: usize,
}

impl<O: Optimizer> Optimizer for Counted<O> {
    fn inner(&self) -> Option<&dyn Optimizer> {
        Some(&self.inner)
    }
    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        Some(&mut self.inner)
    }
    fn parameters(&self) -> &[Parameter] {
        self.inner.parameters()
    }
    fn learning_rate(&self) -> f64 {
        self.inner.learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.inner.set_learning_rate(learning_rate);
    }
    fn step(&mut self, grads: &GradStore) -> Result<()> {
        self.steps += 1;
        self.inner.step(grads)
    }
}

fn adamw(w: &Var) -> AdamW {
    AdamW::new([("w", w.clone())], AdamWConfig { learning_rate: 0.1, ..AdamWConfig::default() }).unwrap()
}

#[test]
fn a_wrapper_that_says_no_more_than_what_it_wraps_is_right() {
    let (a, b) = (at(3.0), at(3.0));
    let mut plain = Lookahead::new(adamw(&a), every(3, StatePolicy::Keep)).unwrap().measuring_syncs();
    let inner = Lookahead::new(adamw(&b), every(3, StatePolicy::Keep)).unwrap().measuring_syncs();
    let mut wrapped = Counted { inner, steps: 0 };
    assert_eq!(path(&a, &mut plain, 7), path(&b, &mut wrapped, 7));
    let slow = plain.with_slow_weights(|| Ok(scalar(&a))).unwrap();
    assert_ne!(slow, scalar(&a));
    assert_eq!(with_evaluation_weights(&mut wrapped, || Ok(scalar(&b))).unwrap(), slow);
    assert_eq!((wrapped.momentum(), wrapped.steps_since_sync(), wrapped.steps), (Some(0.9), Some(1), 7));
    assert_eq!(wrapped.last_sync(), plain.last_sync());
    assert!(wrapped.last_sync().is_some() && wrapped.can_reset_state());
    let curvature = |optimizer: &dyn Optimizer| values(&optimizer.second_moments().unwrap().unwrap()[0]);
    assert_eq!(curvature(&wrapped), curvature(&plain));
    // State goes through, into a wrapped one and out of it.
    let state = wrapped.state().unwrap();
    state.check_fits(&plain.state().unwrap()).unwrap();
    wrapped.set_momentum(0.5).unwrap();
    wrapped.reset_state().unwrap();
    assert_eq!((wrapped.momentum(), wrapped.steps_since_sync()), (Some(0.5), Some(0)));
    wrapped.load_state(&state).unwrap();
    assert_eq!(path(&a, &mut plain, 5), path(&b, &mut wrapped, 5));
    b.set(&Tensor::new(&[9f64], &Device::Cpu).unwrap()).unwrap();
    wrapped.adopt_weights().unwrap();
    assert_eq!(with_evaluation_weights(&mut wrapped, || Ok(scalar(&b))).unwrap(), 9.0);
}

/// Adam's counters are mixed with its moments, through a wrapper without state and through one that has some.
#[test]
fn interpolation_is_exact_through_wrappers() {
    let (plain, counted, averaged) = (at(3.0), at(3.0), at(3.0));
    let interpolate = || every(2, StatePolicy::Interpolate);
    let mut expected = Lookahead::new(adamw(&plain), interpolate()).unwrap();
    let mut first = Lookahead::new(Counted { inner: adamw(&counted), steps: 0 }, interpolate()).unwrap();
    let inside = Averaged::new(adamw(&averaged), Average::polyak()).unwrap();
    let mut second = Lookahead::new(inside, interpolate()).unwrap();
    for step in 0..12 {
        let expected = path(&plain, &mut expected, 1);
        assert_eq!(path(&counted, &mut first, 1), expected, "step {step}");
        assert_eq!(path(&averaged, &mut second, 1), expected, "step {step}");
    }
}

/// Four methods, and not a word to the crate about what it does to the weights.
#[derive(Debug)]
struct Halving(Vec<Parameter>);

impl Optimizer for Halving {
    fn parameters(&self) -> &[Parameter] {
        &self.0
    }
    fn step(&mut self, _: &GradStore) -> Result<()> {
        let w = self.0[0].weights();
        Ok(w.set(&(w.as_detached_tensor() * 0.5)?)?)
    }
    fn learning_rate(&self) -> f64 {
        0.5
    }
    fn set_learning_rate(&mut self, _: f64) {}
}

#[test]
fn four_methods_are_an_optimizer_and_the_rest_is_honest() {
    let w = at(8.0);
    let build = |w: &Var| Halving(Parameter::list([("w", w.clone())]).unwrap());
    let mut optimizer = Lookahead::new(build(&w), every(2, StatePolicy::Keep)).unwrap();
    assert_eq!(path(&w, &mut optimizer, 3), [4.0, 5.0, 2.5]); // 8 -> 4 -> (2 ->) 5 -> 2.5
    assert_eq!(optimizer.with_slow_weights(|| Ok(scalar(&w))).unwrap(), 5.0);
    assert_eq!(optimizer.momentum(), None);
    let error = optimizer.state().unwrap_err();
    assert!(error.to_string().ends_with("Halving cannot save its state"), "{error}");
    assert!(matches!(build(&w).reset_state(), Err(Error::Unsupported { operation: "reset its state", .. })));
    // Refused before the first step, not at the first sync.
    let boxed: Box<dyn Optimizer> = Box::new(Averaged::new(build(&w), Average::polyak()).unwrap());
    for inner in [Box::new(build(&w)) as Box<dyn Optimizer>, boxed] {
        assert!(!inner.can_reset_state());
        let error = Lookahead::new(inner, every(2, StatePolicy::Reset)).unwrap_err();
        assert!(error.to_string().ends_with("Halving cannot reset its state"), "{error}");
    }
    assert!(matches!(build(&w).set_momentum(0.5), Err(Error::NoMomentum { .. })));
    let mut average = Averaged::new(build(&w), Average::Polyak { start: 0, power: 0.0 }).unwrap();
    path(&w, &mut average, 2); // 1.25, 0.625
    assert_eq!(average.with_average(|| Ok(scalar(&w))).unwrap(), 0.9375);
}

#[test]
fn measuring_changes_no_bit() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let run = |measures: bool| {
            let start = Tensor::new(&[1f32, -2.0, 0.3], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let w = Var::from_tensor(&start).unwrap();
            let adam = AdamW::new([("w", w.clone())], 0.01).unwrap();
            let mut optimizer = Lookahead::new(adam, every(3, StatePolicy::Keep)).unwrap();
            if measures {
                optimizer = optimizer.measuring_syncs();
            }
            for step in 0..10 {
                optimizer.step(&gradients(&[(&w, f64::from(step).cos())])).unwrap();
            }
            (bits(&w), bits(&optimizer.slow_weights().unwrap()[0].1), optimizer.last_sync().cloned())
        };
        let ((w, slow, none), (measured_w, measured_slow, sync)) = (run(false), run(true));
        assert_eq!((w, slow), (measured_w, measured_slow), "{dtype:?}");
        assert!(none.is_none());
        let sync = sync.unwrap();
        assert!(sync.steps == 9 && sync.distance() > 0.0 && sync.distances.len() == 1, "{sync:?}");
    }
}
