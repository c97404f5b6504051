//! Weights that somebody else changed after the optimizer was built.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::checkpoint::export_weights;
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
fn weights_changed_by_hand_go_on_with_the_slow_weights_where_they_are() {
    for dtype in [DType::F32, DType::BF16] {
        let w = weight(dtype);
        let lookahead = LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() };
        let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0).unwrap(), lookahead).unwrap();
        step(&mut optimizer, &w).unwrap();
        load(&w, 5.0); // clamped from 7
        assert!(step(&mut optimizer, &w).is_err());
        optimizer.accept_adjustment().unwrap();
        step(&mut optimizer, &w).unwrap();
        assert_eq!(scalar(&w), 6.0, "{dtype:?}"); // 8 + (4 - 8) / 2
    }
}

/// Right after a sync fast and slow weights are equal, and a swap has nothing to do; after the adjustment they are not.
#[test]
fn weights_changed_by_hand_at_a_sync_are_not_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for dtype in [DType::F32, DType::BF16] {
        let (w, mean) = (weight(dtype), weight(dtype));
        let named = [("w", w.clone()), ("mean", mean.clone())];
        let lookahead = LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() };
        let mut optimizer = Lookahead::new(Sgd::new(named, 1.0).unwrap(), lookahead).unwrap();
        for _ in 0..2 {
            step(&mut optimizer, &w).unwrap(); // 8 -> 7 -> (6 ->) 7
        }
        load(&w, 5.0);
        load(&mean, 3.0); // a statistic listed by mistake, which changes all the time
        optimizer.accept_adjustment().unwrap();
        assert_eq!(values(&optimizer.slow_weights().unwrap()[1].1), [7.0; 2], "{dtype:?}");
        let seen = optimizer.with_slow_weights(|| Ok((scalar(&w), scalar(&mean)))).unwrap();
        assert_eq!((seen, scalar(&w)), ((7.0, 3.0), 5.0), "{dtype:?}");
        export_weights(&path, &mut optimizer, &[]).unwrap();
        let exported = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(values(&exported["w"]), [7.0; 2], "{dtype:?}");
        for expected in [4.0, 5.0] {
            step(&mut optimizer, &w).unwrap();
            assert_eq!(scalar(&w), expected, "{dtype:?}"); // 5 -> 4 -> (3 ->) 7 + (3 - 7) / 2
        }
        assert_eq!(scalar(&mean), 3.0, "{dtype:?}");
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
        for (kind, build, minds) in every_kind().into_iter().chain([("schedule-free", schedule_free, false)]) {
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
