//! What holds for every optimizer of the crate: reset, interpolation, evaluation weights, errors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{Error, Lookahead, LookaheadConfig, Optimizer, StatePolicy, with_evaluation_weights};
use support::every::{candle_s_adamw, every_optimizer};
use support::{Numbers, bits, everything, gradient_of, values};

type Named = Vec<(String, Var)>;

fn network(dtype: DType) -> Named {
    let var = |dims: &[usize], seed| {
        let values = Numbers(seed).take(dims.iter().product());
        Var::from_tensor(&Tensor::from_vec(values, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap()
    };
    vec![
        ("a.weight".into(), var(&[3, 5], 2)),
        ("b.bias".into(), var(&[3], 1)),
        ("c.conv".into(), var(&[2, 3, 2, 1], 3)),
    ]
}

fn copy(params: &Named) -> Named {
    let copy = |var: &Var| Var::from_tensor(&var.as_detached_tensor().copy().unwrap()).unwrap();
    params.iter().map(|(name, var)| (name.clone(), copy(var))).collect()
}

fn train(params: &Named, optimizer: &mut dyn Optimizer, steps: std::ops::Range<u64>) {
    for step in steps {
        let mut grads = GradStore::default();
        for (i, (_, var)) in params.iter().enumerate() {
            let noise = gradient_of(var, &Numbers(step * 7 + i as u64).take(var.elem_count()));
            grads.insert(var, (var.as_detached_tensor() + noise).unwrap());
        }
        optimizer.step(&grads).unwrap();
    }
}

fn all_bits(params: &Named) -> Vec<Vec<u64>> {
    params.iter().map(|(_, var)| bits(var)).collect()
}

#[test]
fn a_reset_optimizer_is_a_new_one() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for (kind, build) in every_optimizer() {
            let params = network(dtype);
            let mut old = build(params.clone());
            train(&params, &mut old, 0..5);
            // A master copy of bf16 weights is no state and stays; a new optimizer starts at the rounded weights.
            if dtype == DType::BF16 {
                old.load_state(&build(copy(&params)).state().unwrap()).unwrap();
            }
            old.reset_state().unwrap();
            let twin = copy(&params);
            let mut new = build(twin.clone());
            for (_, tensor) in old.state().unwrap().tensors().filter(|(name, _)| !name.contains("master.")) {
                assert!(values(tensor).iter().all(|x| *x == 0.0), "{kind} {dtype:?}");
            }
            train(&params, &mut old, 5..9);
            train(&twin, &mut new, 5..9);
            assert_eq!(all_bits(&params), all_bits(&twin), "{kind} {dtype:?}");
            assert_eq!(everything(&old.state().unwrap()), everything(&new.state().unwrap()), "{kind} {dtype:?}");
        }
    }
}

#[test]
fn interpolation_mixes_every_tensor_as_the_weights_are_mixed() {
    for (kind, build) in every_optimizer() {
        for rate in [0.0, 0.25, 0.5, 1.0] {
            let params = network(DType::F64);
            let mut optimizer = build(params.clone());
            train(&params, &mut optimizer, 0..3);
            let before = optimizer.state().unwrap();
            train(&params, &mut optimizer, 3..6);
            let now = optimizer.state().unwrap();
            let mut anchor = before.clone();
            optimizer.interpolate_state(&mut anchor, rate).unwrap();
            let mixed = optimizer.state().unwrap();
            for (name, found) in mixed.tensors() {
                let (before, now) = (values(before.tensor(name).unwrap()), values(now.tensor(name).unwrap()));
                assert_eq!(values(found), values(anchor.tensor(name).unwrap()), "{kind} {name}: anchor");
                for ((found, before), now) in values(found).iter().zip(before).zip(now) {
                    let expected = before + rate * (now - before);
                    assert!((found - expected).abs() < 1e-14, "{kind} {name} at {rate}: {found}, expected {expected}");
                }
            }
            // The anchor is a state of its own: it can be taken over, and does not follow.
            optimizer.load_state(&anchor).unwrap();
            let kept = everything(&anchor);
            train(&params, &mut optimizer, 6..8);
            assert_eq!(everything(&anchor), kept, "{kind}: the anchor is shared");
        }
    }
}

#[test]
fn evaluation_leaves_no_trace() {
    for dtype in [DType::F32, DType::BF16] {
        for (kind, build) in every_optimizer() {
            let params = network(dtype);
            let mut optimizer = build(params.clone());
            let start = all_bits(&params);
            let seen = with_evaluation_weights(&mut optimizer, || Ok::<_, Error>(all_bits(&params))).unwrap();
            assert_eq!(seen, start, "{kind}: before the first step");
            train(&params, &mut optimizer, 0..5);
            let (fast, state) = (all_bits(&params), everything(&optimizer.state().unwrap()));
            let seen = with_evaluation_weights(&mut optimizer, || Ok::<_, Error>(all_bits(&params))).unwrap();
            assert_eq!(seen == fast, !kind.starts_with("schedule-free"), "{kind}");
            assert_eq!(all_bits(&params), fast, "{kind} {dtype:?}");
            assert_eq!(everything(&optimizer.state().unwrap()), state, "{kind} {dtype:?}");
            if kind.starts_with("schedule-free") {
                optimizer.swap_evaluation_weights().unwrap();
                let in_place =
                    |result: Result<(), Error>| matches!(result, Err(Error::EvaluationWeightsInPlace { .. }));
                assert!(in_place(optimizer.step(&GradStore::default())) && in_place(optimizer.reset_state()));
                assert!(in_place(optimizer.state().map(|_| ())));
                optimizer.swap_evaluation_weights().unwrap();
                train(&params, &mut optimizer, 5..6);
            }
        }
    }
}

#[test]
fn lookahead_goes_around_every_optimizer_under_every_policy() {
    let ours = every_optimizer().into_iter().flat_map(|of| StatePolicy::ALL.map(|policy| (of, policy)));
    for ((kind, build), state_policy) in ours.chain([(candle_s_adamw(), StatePolicy::Keep)]) {
        let params = network(DType::F32);
        let (start, config) =
            (all_bits(&params), LookaheadConfig { sync_period: 3.into(), state_policy, ..Default::default() });
        let mut optimizer = Lookahead::new(build(params.clone()), config).unwrap();
        train(&params, &mut optimizer, 0..10);
        assert!(params.iter().flat_map(|(_, var)| values(var)).all(f64::is_finite), "{kind} {state_policy:?}");
        assert!(all_bits(&params).iter().zip(&start).all(|(now, start)| now != start), "{kind} {state_policy:?}");
    }
}

#[test]
fn a_gradient_of_the_wrong_shape_changes_nothing() {
    for (kind, build) in every_optimizer().into_iter().chain([candle_s_adamw()]) {
        let params = network(DType::F64);
        let mut optimizer = build(params.clone());
        train(&params, &mut optimizer, 0..2);
        let state = |optimizer: &dyn Optimizer| optimizer.state().ok().map(|state| everything(&state));
        let before = (all_bits(&params), state(&optimizer));
        let mut grads = GradStore::default();
        grads.insert(&params[0].1, params[0].1.ones_like().unwrap());
        grads.insert(&params[2].1, Tensor::new(&[1f64], &Device::Cpu).unwrap());
        let refused = optimizer.step(&grads);
        assert!(
            matches!(refused, Err(Error::GradientShape { ref name, .. }) if name == "c.conv"),
            "{kind}: {refused:?}"
        );
        assert_eq!((all_bits(&params), state(&optimizer)), before, "{kind}");
    }
}

#[test]
fn rates_out_of_range_are_refused() {
    for (kind, build) in every_optimizer().into_iter().chain([candle_s_adamw()]) {
        for rate in [-1e-3, f64::NAN, f64::INFINITY] {
            let params = network(DType::F64);
            let mut optimizer = build(params.clone());
            let start = all_bits(&params);
            optimizer.set_learning_rate(rate);
            let refused = optimizer.step(&GradStore::default());
            assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{kind} {rate}: {refused:?}");
            match optimizer.momentum() {
                Some(_) => assert!(matches!(optimizer.set_momentum(1.0), Err(Error::OutOfRange { .. })), "{kind}"),
                None => assert!(matches!(optimizer.set_momentum(0.5), Err(Error::NoMomentum { .. })), "{kind}"),
            }
            assert_eq!(all_bits(&params), start);
        }
    }
}
