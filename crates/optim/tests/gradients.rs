//! Missing, misshapen, non-finite and clipped gradients; groups; threads.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{
    AdamW, AdamWConfig, Clip, Error, Gradients, Group, Lookahead, LookaheadConfig, Momentum, Optimizer, RmsProp,
    RmsPropConfig, Sgd, SgdConfig, StatePolicy, WeightDecay,
};
use support::{Numbers, bits, gradients, values};

fn var(values: &[f64]) -> Var {
    Var::new(values, &Device::Cpu).unwrap()
}

fn two() -> (Var, Var, Vec<(String, Var)>) {
    let (a, b) = (var(&[1.0, 2.0]), var(&[3.0]));
    let named = vec![("a".to_string(), a.clone()), ("b".to_string(), b.clone())];
    (a, b, named)
}

#[test]
fn no_gradient_leaves_a_variable_and_its_state_untouched() {
    let decay = WeightDecay::Decoupled(0.1);
    type Build = fn(Vec<(String, Var)>, WeightDecay) -> Box<dyn Optimizer>;
    let builds: [Build; 4] = [
        |p, weight_decay| {
            let momentum = Momentum::classical(0.9);
            Box::new(
                Sgd::new(p, SgdConfig { learning_rate: 0.1, momentum, weight_decay, ..Default::default() }).unwrap(),
            )
        },
        |p, weight_decay| Box::new(AdamW::new(p, AdamWConfig { weight_decay, ..Default::default() }).unwrap()),
        |p, weight_decay| Box::new(RmsProp::new(p, RmsPropConfig { weight_decay, ..Default::default() }).unwrap()),
        |p, weight_decay| {
            let sgd = Sgd::new(p, SgdConfig { learning_rate: 0.1, weight_decay, ..Default::default() }).unwrap();
            let config = LookaheadConfig { sync_period: 1.into(), ..LookaheadConfig::default() };
            Box::new(Lookahead::new(sgd, config).unwrap())
        },
    ];
    for build in builds {
        let (a, b, named) = two();
        let mut optimizer = build(named, decay);
        for _ in 0..3 {
            optimizer.step(&gradients(&[(&a, 0.5)])).unwrap();
        }
        assert_eq!(values(&b), [3.0]);
        assert_ne!(values(&a), [1.0, 2.0]);
        // Its first update is a first update, whatever the others have done.
        optimizer.step(&gradients(&[(&b, 0.5)])).unwrap();
        let (_, twin, named) = two();
        let mut fresh = build(named, decay);
        fresh.step(&gradients(&[(&twin, 0.5)])).unwrap();
        assert_eq!(bits(&b), bits(&twin));
    }
}

#[test]
fn a_non_finite_gradient_is_reported_by_name_and_changes_nothing() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (a, b, named) = two();
        let gradients = Gradients { check_finite: true, ..Gradients::default() };
        let sgd = Sgd::new(named, SgdConfig { momentum: Momentum::classical(0.9), gradients, ..Default::default() });
        let mut optimizer = Lookahead::new(sgd.unwrap(), LookaheadConfig::default()).unwrap();
        let mut grads = GradStore::default();
        grads.insert(&a, Tensor::new(&[1f64, 1.0], &Device::Cpu).unwrap());
        grads.insert(&b, Tensor::new(&[bad], &Device::Cpu).unwrap());
        let error = optimizer.step(&grads).unwrap_err();
        assert!(matches!(&error, Error::NonFiniteGradient { name } if name == "b"), "{error}");
        assert_eq!((values(&a), values(&b), optimizer.steps_since_sync()), (vec![1.0, 2.0], vec![3.0], Some(0)));
        assert_eq!(optimizer.state().unwrap().counter::<u64>("inner.steps.a").unwrap(), 0);
    }
    // Finite gradients whose squares overflow are none of its business.
    let (a, _, named) = two();
    let gradients = Gradients { check_finite: true, ..Gradients::default() };
    let mut optimizer = Sgd::new(named, SgdConfig { gradients, ..Default::default() }).unwrap();
    optimizer.step(&support::gradients(&[(&a, 1e200)])).unwrap();
    // Not asked for, nothing is hidden either: the weight shows it.
    let (a, _, named) = two();
    let mut optimizer = Sgd::new(named, SgdConfig::default()).unwrap();
    optimizer.step(&support::gradients(&[(&a, f64::NAN)])).unwrap();
    assert!(values(&a)[0].is_nan());
}

#[test]
fn a_gradient_of_the_wrong_shape_is_refused() {
    let (a, _, named) = two();
    let mut optimizer = Sgd::new(named, SgdConfig::default()).unwrap();
    let mut grads = GradStore::default();
    grads.insert(&a, Tensor::new(&[[1f64, 1.0]], &Device::Cpu).unwrap());
    let error = optimizer.step(&grads).unwrap_err();
    assert_eq!(error.to_string(), "the gradient of `a` has shape [1, 2], but the parameter has [2]");
}

#[test]
fn a_gradient_may_be_transposed_broadcast_or_the_weight_itself() {
    let w = Var::new(&[[1f64, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
    let other = Var::new(&[[9f64, 9.0], [9.0, 9.0]], &Device::Cpu).unwrap();
    let named = vec![("w".to_string(), w.clone()), ("other".to_string(), other.clone())];
    let mut optimizer = Sgd::new(named, SgdConfig { learning_rate: 1.0, ..SgdConfig::default() }).unwrap();
    let mut grads = GradStore::default();
    grads.insert(&w, Tensor::new(&[[0f64, 1.0], [2.0, 3.0]], &Device::Cpu).unwrap().t().unwrap());
    grads.insert(&other, Tensor::new(1f64, &Device::Cpu).unwrap().broadcast_as((2, 2)).unwrap());
    optimizer.step(&grads).unwrap();
    assert_eq!((values(&w), values(&other)), (vec![1.0, 0.0, 2.0, 1.0], vec![8.0; 4]));
    let mut grads = GradStore::default();
    grads.insert(&w, other.as_detached_tensor());
    grads.insert(&other, other.as_tensor().clone());
    optimizer.step(&grads).unwrap();
    assert_eq!((values(&w), values(&other)), (vec![-7.0, -8.0, -6.0, -7.0], vec![0.0; 4]));
}

#[test]
fn clipping_by_hand() {
    // Norm over both variables: sqrt(3 * 2^2 + ...) with gradients (2, 2) and (1): 3. Limit 1.5 halves them.
    let after = |clip| {
        let (a, b, named) = two();
        let gradients = Gradients { clip: Some(clip), ..Gradients::default() };
        let mut sgd = Sgd::new(named, SgdConfig { learning_rate: 1.0, gradients, ..SgdConfig::default() }).unwrap();
        sgd.step(&support::gradients(&[(&a, 2.0), (&b, -1.0)])).unwrap();
        [values(&a), values(&b)].concat()
    };
    for (found, expected) in after(Clip::GlobalNorm(1.5)).iter().zip([0.0, 1.0, 3.5]) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert_eq!(after(Clip::GlobalNorm(4.0)), [-1.0, 0.0, 4.0]);
    assert_eq!(after(Clip::Value(0.5)), [0.5, 1.5, 3.5]);
    // The norm of a NaN is a NaN, as in PyTorch: the other gradients do not pass unclipped.
    let (a, b, named) = two();
    let gradients = Gradients { clip: Some(Clip::GlobalNorm(1.0)), ..Gradients::default() };
    let mut sgd = Sgd::new(named, SgdConfig { gradients, ..SgdConfig::default() }).unwrap();
    sgd.step(&support::gradients(&[(&a, 1e9), (&b, f64::NAN)])).unwrap();
    assert!(values(&a)[0].is_nan() && values(&b)[0].is_nan());
    for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for clip in [Clip::GlobalNorm(limit), Clip::Value(limit)] {
            let gradients = Gradients { clip: Some(clip), ..Gradients::default() };
            assert!(Sgd::new(two().2, SgdConfig { gradients, ..SgdConfig::default() }).is_err());
        }
    }
}

#[test]
fn groups_scale_rates_and_decay_and_a_misspelt_pattern_is_refused() {
    let net = || {
        let weight = Var::new(&[[4f64]], &Device::Cpu).unwrap();
        let (bias, head) = (var(&[4.0]), Var::new(&[[4f64]], &Device::Cpu).unwrap());
        let named = vec![
            ("fc.bias".to_string(), bias.clone()),
            ("fc.weight".into(), weight.clone()),
            ("head.weight".into(), head.clone()),
        ];
        (bias, weight, head, named)
    };
    let config =
        |groups| SgdConfig { learning_rate: 0.5, weight_decay: WeightDecay::L2(0.25), groups, ..SgdConfig::default() };
    let (bias, weight, head, named) = net();
    let groups = vec![Group::no_decay_on_vectors(), Group { learning_rate_scale: 2.0, ..Group::named("head.*") }];
    let mut sgd = Sgd::new(named, config(groups)).unwrap();
    sgd.step(&gradients(&[(&bias, 1.0), (&weight, 1.0), (&head, 1.0)])).unwrap();
    assert_eq!((values(&bias), values(&weight), values(&head)), (vec![3.5], vec![3.0], vec![2.0]));
    let error = Sgd::new(net().3, config(vec![Group::named("fc.wieght")])).unwrap_err();
    assert_eq!(error.to_string(), "the group pattern `fc.wieght` matches no parameter");
    let bad = Group { weight_decay_scale: f64::NAN, ..Group::no_decay_on_vectors() };
    assert!(Sgd::new(net().3, config(vec![bad])).is_err());
}

#[test]
fn lists_with_a_name_or_a_variable_twice_or_integers_are_refused() {
    let build = |named| Sgd::new(named, SgdConfig::default()).unwrap_err().to_string();
    let (a, b) = (var(&[1.0]), var(&[1.0]));
    assert_eq!(build(vec![("x".into(), a.clone()), ("x".into(), b)]), "the name `x` is given twice");
    assert_eq!(
        build(vec![("y".into(), a.clone()), ("x".into(), a)]),
        "`x` and `y` are the same variable: list a shared weight once"
    );
    let integers = Var::zeros(2, DType::U32, &Device::Cpu).unwrap();
    assert!(build(vec![("n".into(), integers)]).contains("`n` has dtype U32"));
}

#[test]
fn hyper_parameters_out_of_range_are_refused_nan_included() {
    for value in [-0.1, 1.0, 1.5, f64::NAN] {
        let momentum = Momentum::classical(value);
        assert!(Sgd::new([("w", var(&[1.0]))], SgdConfig { momentum, ..SgdConfig::default() }).is_err());
        assert!(AdamW::new([("w", var(&[1.0]))], AdamWConfig { beta1: value, ..AdamWConfig::default() }).is_err());
        assert!(AdamW::new([("w", var(&[1.0]))], AdamWConfig { beta2: value, ..AdamWConfig::default() }).is_err());
        assert!(
            RmsProp::new([("w", var(&[1.0]))], RmsPropConfig { smoothing: value, ..RmsPropConfig::default() }).is_err()
        );
        assert!(
            RmsProp::new([("w", var(&[1.0]))], RmsPropConfig { momentum: Some(value), ..RmsPropConfig::default() })
                .is_err()
        );
        let mut adam = AdamW::new([("w", var(&[1.0]))], AdamWConfig::default()).unwrap();
        assert!(adam.set_momentum(value).is_err());
    }
    for value in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(Sgd::new([("w", var(&[1.0]))], SgdConfig { learning_rate: value, ..SgdConfig::default() }).is_err());
        assert!(
            Sgd::new([("w", var(&[1.0]))], SgdConfig { weight_decay: WeightDecay::L2(value), ..SgdConfig::default() })
                .is_err()
        );
        assert!(AdamW::new([("w", var(&[1.0]))], AdamWConfig { epsilon: value, ..AdamWConfig::default() }).is_err());
        let (a, _, named) = two();
        let mut sgd = Sgd::new(named, SgdConfig::default()).unwrap();
        sgd.set_learning_rate(value);
        assert!(sgd.step(&gradients(&[(&a, 1.0)])).is_err());
        assert_eq!(values(&a), [1.0, 2.0]);
    }
    let mut sgd = Sgd::new([("w", var(&[1.0]))], SgdConfig::default()).unwrap();
    assert!(matches!(sgd.set_momentum(0.9), Err(Error::NoMomentum { optimizer: "sgd" })));
}

/// In candle they have strides of 0, by which in-place operations take them for broadcast.
#[test]
fn parameters_without_elements_are_in_nobody_s_way() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let full = Var::from_tensor(&Tensor::new(&[8f64], &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap();
        let [rows, columns] = [(2, 0), (0, 3)].map(|shape| Var::zeros(shape, dtype, &Device::Cpu).unwrap());
        let named = [("columns", columns.clone()), ("full", full.clone()), ("rows", rows.clone())];
        let momentum = Momentum::classical(0.0);
        let gradients = Gradients { clip: Some(Clip::GlobalNorm(9.0)), check_finite: true };
        let config = SgdConfig { learning_rate: 1.0, momentum, gradients, ..SgdConfig::default() };
        let sgd = Sgd::new(named, config).unwrap();
        let config = LookaheadConfig {
            sync_period: 2.into(),
            state_policy: StatePolicy::Interpolate,
            ..LookaheadConfig::default()
        };
        let mut optimizer = Lookahead::new(sgd, config).unwrap();
        for (expected, slow) in [(7.0, 8.0), (7.0, 7.0), (6.0, 7.0)] {
            optimizer.step(&support::gradients(&[(&rows, 1.0), (&full, 1.0), (&columns, 1.0)])).unwrap();
            let seen = optimizer.with_slow_weights(|| Ok(values(&full))).unwrap();
            assert_eq!((values(&full), seen), (vec![expected], vec![slow]), "{dtype:?}"); // 8 -> 7 -> (6 ->) 7 -> 6
        }
        optimizer.step(&support::gradients(&[(&rows, 1.0)])).unwrap();
        optimizer.adopt_weights().unwrap();
        optimizer.reset_state().unwrap();
        assert_eq!((rows.dims(), columns.dims()), (&[2, 0][..], &[0, 3][..]));
    }
}

/// Sizes around the chunks of 65536, and around the two chunks from which on several threads share the work.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let sizes = [1, 3, 65_535, 65_536, 65_537, 131_073, 200_003];
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let named: Vec<(String, Var)> = sizes
                .iter()
                .map(|size| {
                    let values: Vec<f32> = Numbers(*size as u64).take(*size).iter().map(|x| *x as f32).collect();
                    (format!("w{size}"), Var::from_vec(values, *size, &Device::Cpu).unwrap())
                })
                .collect();
            let gradients = Gradients { clip: Some(Clip::GlobalNorm(0.5)), check_finite: true };
            let adam = AdamW::new(named.clone(), AdamWConfig { gradients, ..AdamWConfig::default() }).unwrap();
            let config = LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() };
            let mut optimizer = Lookahead::new(adam, config).unwrap();
            for _ in 0..5 {
                let mut grads = GradStore::default();
                for (_, var) in &named {
                    grads.insert(var, (var.as_detached_tensor().sin().unwrap() * 0.7).unwrap());
                }
                optimizer.step(&grads).unwrap();
            }
            named.iter().flat_map(|(_, var)| bits(var)).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == one, "{threads} threads");
    }
}
