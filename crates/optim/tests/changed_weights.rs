//! Weights that somebody else changed after the optimizer was built: noticed, and adopted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{
    Average, Averaged, Error, Lookahead, LookaheadConfig, Momentum, Optimizer, ScheduleFreeSgd, Sgd, SgdConfig, State,
    load_checkpoint, save_checkpoint, with_evaluation_weights,
};
use support::loading::{load, sgd, step, weight};
use support::{gradients, scalar, values};

type Build = fn(&Var) -> Box<dyn Optimizer>;

/// Each with whether it minds f32 and f64 weights that changed; half-precision ones all of them mind.
fn every_kind() -> Vec<(&'static str, Build, bool)> {
    vec![
        ("sgd", |w| Box::new(sgd(w)), false),
        ("lookahead", |w| Box::new(Lookahead::new(sgd(w), LookaheadConfig::default()).unwrap()), true),
        ("averaged", |w| Box::new(Averaged::new(sgd(w), Average::ema(0.9)).unwrap()), true),
        (
            "averaged lookahead",
            |w| {
                let inner = Lookahead::new(sgd(w), LookaheadConfig::default()).unwrap();
                Box::new(Averaged::new(inner, Average::polyak()).unwrap())
            },
            true,
        ),
    ]
}

#[test]
fn loaded_weights_are_noticed_and_adopted() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let half = matches!(dtype, DType::BF16 | DType::F16);
        for (kind, build, minds) in every_kind() {
            // Loaded right after building, and after some steps.
            for before in [0, 2] {
                let w = weight(dtype);
                let mut optimizer = build(&w);
                for _ in 0..before {
                    step(&mut optimizer, &w).unwrap();
                }
                load(&w, 32.0);
                let momentum = if before == 0 { 0.0 } else { 1.5 };
                if minds || half {
                    let error = step(&mut optimizer, &w).unwrap_err();
                    assert!(matches!(&error, Error::WeightsChanged { name } if name == "w"), "{kind} {dtype:?}");
                    assert!(error.to_string().contains("`adopt_weights`"), "{error}");
                    assert_eq!(values(&w), [32.0; 2], "{kind} {dtype:?}: a refused step changed something");
                    optimizer.adopt_weights().unwrap();
                }
                let seen = with_evaluation_weights(&mut optimizer, || Ok(values(&w))).unwrap();
                assert_eq!(seen, [32.0; 2], "{kind} {dtype:?}");
                step(&mut optimizer, &w).unwrap();
                // From the loaded weights, with the momentum there was.
                assert_eq!(values(&w), [31.0 - 0.5 * momentum; 2], "{kind} {dtype:?}");
            }
        }
    }
}

#[test]
fn a_step_of_the_inner_optimizer_alone_is_noticed_where_it_keeps_no_record() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let w = weight(dtype);
        let mut optimizer = Lookahead::new(sgd(&w), LookaheadConfig::default()).unwrap();
        optimizer.inner_mut().step(&gradients(&[(&w, 1.0)])).unwrap();
        let noticed = matches!(step(&mut optimizer, &w), Err(Error::WeightsChanged { .. }));
        assert_eq!(noticed, matches!(dtype, DType::F32 | DType::F64), "{dtype:?}");
    }
    let w = weight(DType::F32);
    let inside = Averaged::new(sgd(&w), Average::polyak()).unwrap();
    let mut optimizer = Lookahead::new(inside, LookaheadConfig::default()).unwrap();
    optimizer.inner_mut().step(&gradients(&[(&w, 1.0)])).unwrap();
    step(&mut optimizer, &w).unwrap();
}

#[test]
fn resuming_weights_and_state_in_either_order_is_no_surprise() {
    for dtype in [DType::F32, DType::BF16] {
        for (kind, build, _) in every_kind() {
            let w = weight(dtype);
            let mut optimizer = build(&w);
            step(&mut optimizer, &w).unwrap();
            step(&mut optimizer, &w).unwrap();
            let (state, at): (State, Tensor) = (optimizer.state().unwrap(), w.as_detached_tensor().copy().unwrap());
            step(&mut optimizer, &w).unwrap();
            for weights_first in [true, false] {
                let resumed = weight(dtype);
                let mut second = build(&resumed);
                if weights_first {
                    resumed.set(&at).unwrap();
                    second.load_state(&state).unwrap();
                } else {
                    second.load_state(&state).unwrap();
                    resumed.set(&at).unwrap();
                }
                step(&mut second, &resumed).unwrap();
                assert_eq!(values(&resumed), values(&w), "{kind} {dtype:?}");
            }
        }
    }
}

/// Two places in each tensor are looked at: what leaves both alone goes unnoticed, as documented.
#[test]
fn a_look_is_no_comparison() {
    let w = Var::zeros(9, DType::F32, &Device::Cpu).unwrap();
    let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0).unwrap(), LookaheadConfig::default()).unwrap();
    let elsewhere = Tensor::new(&[5f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], &Device::Cpu).unwrap();
    w.set(&elsewhere).unwrap();
    step(&mut optimizer, &w).unwrap();
    let there = Tensor::new(&[0f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], &Device::Cpu).unwrap();
    w.set(&(w.as_detached_tensor() + there).unwrap()).unwrap();
    assert!(matches!(step(&mut optimizer, &w), Err(Error::WeightsChanged { .. })));
}

#[test]
fn weights_are_taken_over_only_while_the_fast_ones_are_in_place() {
    let w = weight(DType::BF16);
    for mut optimizer in every_kind().into_iter().skip(1).map(|(_, build, _)| build(&w)) {
        optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
        optimizer.swap_evaluation_weights().unwrap();
        for refused in [optimizer.adopt_weights(), optimizer.accept_adjustment()] {
            assert!(matches!(refused, Err(Error::EvaluationWeightsInPlace { .. })));
        }
        optimizer.swap_evaluation_weights().unwrap();
    }
}

/// The natural order: load, validate, save, go on. None of it may mix the loaded weights with the old slow weights, averages or masters.
#[test]
fn loaded_weights_are_noticed_by_an_evaluation_and_by_saved_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let half = matches!(dtype, DType::BF16 | DType::F16);
        let schedule_free: Build = |w| Box::new(ScheduleFreeSgd::new([("w", w.clone())], 0.5).unwrap());
        for (kind, build, minds) in every_kind().into_iter().chain([("schedule-free", schedule_free, true)]) {
            // Right after building, in mid-cycle, and right after a sync.
            for before in [0, 2, 5] {
                let w = weight(dtype);
                let mut optimizer = build(&w);
                for _ in 0..before {
                    step(&mut optimizer, &w).unwrap();
                }
                optimizer.state().unwrap();
                load(&w, 32.0);
                if !(minds || half) {
                    save_checkpoint(&path, &optimizer, &[], &[]).unwrap();
                    continue;
                }
                let what = format!("{kind} {dtype:?} after {before} steps");
                // SGD has no evaluation weights, and before the first step there is no average: the weights themselves are evaluated.
                let swaps = if kind == "averaged" { before > 0 } else { kind != "sgd" };
                let seen = with_evaluation_weights(&mut optimizer, || Ok(values(&w)));
                assert_eq!(matches!(seen, Err(Error::WeightsChanged { .. })), swaps, "{what}");
                for refused in [optimizer.state().map(drop), save_checkpoint(&path, &optimizer, &[], &[])] {
                    assert!(matches!(refused, Err(Error::WeightsChanged { .. })), "{what}");
                }
                // Still noticed by the step, and nothing changed.
                assert!(matches!(step(&mut optimizer, &w), Err(Error::WeightsChanged { .. })), "{what}");
                assert_eq!(values(&w), [32.0; 2], "{what}");

                optimizer.adopt_weights().unwrap();
                save_checkpoint(&path, &optimizer, &[], &[]).unwrap();
                let resumed = weight(dtype);
                let mut second = build(&resumed);
                load_checkpoint(&path, &mut second, &[]).unwrap();
                step(&mut optimizer, &w).unwrap();
                step(&mut second, &resumed).unwrap();
                assert_eq!(values(&resumed), values(&w), "{what}");
            }
        }
    }
}

/// A pull acts on what had a gradient since the last sync, whether it has one now or not.
#[test]
fn weights_loaded_between_two_of_their_gradients_are_noticed() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        for averaged in [false, true] {
            let (a, b) = (weight(dtype), weight(dtype));
            let sgd = Sgd::new([("a", a.clone()), ("b", b.clone())], 1.0).unwrap();
            let mut optimizer: Box<dyn Optimizer> = if averaged {
                Box::new(Averaged::new(sgd, Average::Polyak { start: 0, power: 0.0 }).unwrap())
            } else {
                Box::new(Lookahead::new(sgd, LookaheadConfig::default()).unwrap())
            };
            optimizer.step(&gradients(&[(&a, 1.0), (&b, 1.0)])).unwrap();
            load(&a, 32.0);
            for _ in 0..2 {
                let error = step(&mut optimizer, &b).unwrap_err();
                assert!(matches!(&error, Error::WeightsChanged { name } if name == "a"), "{dtype:?}: {error}");
            }
            optimizer.adopt_weights().unwrap();
            for _ in 0..5 {
                step(&mut optimizer, &b).unwrap();
            }
            // 7 -> (2 ->) 7 - 5 / 2; an average leaves it alone.
            assert_eq!((scalar(&a), scalar(&b)), (32.0, if averaged { 2.0 } else { 4.5 }), "{dtype:?}");
        }
    }
}

/// After a sync nothing pulls a parameter without a gradient: its next gradient is what notices the change, not the steps before.
#[test]
fn weights_loaded_long_before_their_next_gradient_are_noticed_there() {
    for dtype in [DType::F32, DType::BF16] {
        let (a, b) = (weight(dtype), weight(dtype));
        let lookahead = LookaheadConfig { sync_period: 1.into(), ..LookaheadConfig::default() };
        let sgd = Sgd::new([("a", a.clone()), ("b", b.clone())], 1.0).unwrap();
        let mut optimizer = Lookahead::new(sgd, lookahead).unwrap();
        step(&mut optimizer, &a).unwrap();
        load(&a, 32.0);
        step(&mut optimizer, &b).unwrap();
        for refused in [step(&mut optimizer, &a), optimizer.with_slow_weights(|| Ok(())), optimizer.state().map(drop)] {
            assert!(matches!(&refused, Err(Error::WeightsChanged { name }) if name == "a"), "{dtype:?}");
        }
    }
}

/// A step would forget the load, and an evaluation then mix the loaded weights with the offset to the old average.
#[test]
fn schedule_free_takes_no_step_from_loaded_weights() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let w = weight(dtype);
        let mut optimizer = ScheduleFreeSgd::new([("w", w.clone())], 0.5).unwrap();
        step(&mut optimizer, &w).unwrap();
        step(&mut optimizer, &w).unwrap();
        load(&w, 32.0);
        for refused in [step(&mut optimizer, &w), with_evaluation_weights(&mut optimizer, || Ok(()))] {
            assert!(matches!(refused, Err(Error::WeightsChanged { .. })), "{dtype:?}");
        }
        assert_eq!(values(&w), [32.0; 2], "{dtype:?}");
    }
}

/// Running statistics listed by mistake change at every forward pass: no reason to refuse an evaluation or a checkpoint.
#[test]
fn statistics_listed_by_mistake_are_nobodys_changed_weights() {
    for dtype in [DType::F32, DType::BF16] {
        let (w, mean) = (weight(dtype), weight(dtype));
        let named = [("norm.weight", w.clone()), ("norm.mean", mean.clone())];
        let sgd = Sgd::new(named, SgdConfig { momentum: Momentum::classical(0.5), ..SgdConfig::default() }).unwrap();
        let mut optimizer =
            Lookahead::new(sgd, LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() }).unwrap();
        for value in [1.0, 2.0, 3.0, 4.0] {
            load(&mean, value);
            step(&mut optimizer, &w).unwrap();
            load(&mean, -value);
            optimizer.state().unwrap();
            assert_eq!(optimizer.with_slow_weights(|| Ok(values(&mean))).unwrap(), [-value; 2]);
        }
    }
}
