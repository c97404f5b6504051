//! Weights changed by hand between two steps, and accepted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device};
use lookahead_optim::checkpoint::export_weights;
use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Sgd};
use support::loading::{load, step, weight};
use support::{scalar, values};

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

/// Whatever an adjustment follows, statistics listed by mistake are evaluated as they are.
#[test]
fn an_adjustment_leaves_statistics_listed_by_mistake_alone() {
    for dtype in [DType::F32, DType::BF16] {
        for before in ["nothing", "adopted weights", "a load"] {
            let (w, mean) = (weight(dtype), weight(dtype));
            let build = || {
                let sgd = Sgd::new([("w", w.clone()), ("mean", mean.clone())], 1.0).unwrap();
                Lookahead::new(sgd, LookaheadConfig::default()).unwrap()
            };
            let mut optimizer = build();
            if before != "nothing" {
                step(&mut optimizer, &w).unwrap();
            }
            match before {
                "adopted weights" => optimizer.adopt_weights().unwrap(),
                "a load" => {
                    let state = optimizer.state().unwrap();
                    optimizer = build();
                    optimizer.load_state(&state).unwrap();
                }
                _ => {}
            }
            let slow = if before == "adopted weights" { 7.0 } else { 8.0 };
            load(&w, 5.0);
            load(&mean, 3.0);
            optimizer.accept_adjustment().unwrap();
            assert_eq!(optimizer.with_slow_weights(|| Ok(scalar(&mean))).unwrap(), 3.0, "{dtype:?} after {before}");
            step(&mut optimizer, &w).unwrap();
            let seen = optimizer.with_slow_weights(|| Ok((scalar(&w), scalar(&mean)))).unwrap();
            assert_eq!((seen, scalar(&w)), ((slow, 3.0), 4.0), "{dtype:?} after {before}");
        }
    }
}
