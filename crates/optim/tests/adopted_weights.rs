//! What begins anew at weights that were loaded and adopted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::DType;
use lookahead_optim::checkpoint::{export_weights, import_weights};
use lookahead_optim::lookahead::Period;
use lookahead_optim::schedule::Ramp;
use lookahead_optim::{
    Average, Averaged, Lookahead, LookaheadConfig, Optimizer, ScheduleFreeAdamW, ScheduleFreeSgd, Sgd, StatePolicy,
    with_evaluation_weights,
};
use support::loading::{load, sgd, step, weight};
use support::{scalar, values};

#[test]
fn adopted_weights_begin_a_cycle_and_an_average() {
    let w = weight(DType::F64);
    let lookahead = LookaheadConfig { sync_period: 3.into(), ..LookaheadConfig::default() };
    let plain = Sgd::new([("w", w.clone())], 1.0).unwrap();
    let mut optimizer = Lookahead::new(plain, lookahead).unwrap();
    step(&mut optimizer, &w).unwrap();
    load(&w, 32.0);
    optimizer.adopt_weights().unwrap();
    assert_eq!(optimizer.steps_since_sync(), Some(0));
    for expected in [31.0, 30.0, 30.5] {
        step(&mut optimizer, &w).unwrap();
        assert_eq!(scalar(&w), expected);
    }
    let w = weight(DType::F64);
    let plain = Sgd::new([("w", w.clone())], 1.0).unwrap();
    let mut optimizer = Averaged::new(plain, Average::Polyak { start: 0, power: 0.0 }).unwrap();
    step(&mut optimizer, &w).unwrap();
    load(&w, 32.0);
    optimizer.adopt_weights().unwrap();
    step(&mut optimizer, &w).unwrap();
    step(&mut optimizer, &w).unwrap();
    assert_eq!(optimizer.with_average(|| Ok(scalar(&w))).unwrap(), 30.5);
}

#[test]
fn adopted_weights_begin_a_cycle_of_the_period_for_their_step() {
    let w = weight(DType::F64);
    // 5, 4, 3, then 2.
    let sync_period = Period::Scheduled(std::sync::Arc::new(Ramp { initial: 5.0, last: 2.0, steps: 3 }));
    let lookahead = LookaheadConfig { sync_period, ..LookaheadConfig::default() };
    let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0).unwrap(), lookahead).unwrap();
    for _ in 0..3 {
        step(&mut optimizer, &w).unwrap();
    }
    load(&w, 32.0);
    optimizer.adopt_weights().unwrap();
    for expected in [31.0, 31.0] {
        step(&mut optimizer, &w).unwrap();
        assert_eq!(scalar(&w), expected); // 32 -> 31 -> (30 ->) 31
    }
}

#[test]
fn the_momentum_at_adopted_weights_is_what_later_momentum_is_pulled_back_to() {
    let w = weight(DType::F64);
    let lookahead =
        LookaheadConfig { sync_period: 2.into(), state_policy: StatePolicy::Interpolate, ..LookaheadConfig::default() };
    let mut optimizer = Lookahead::new(sgd(&w), lookahead).unwrap();
    step(&mut optimizer, &w).unwrap(); // momentum 1
    load(&w, 32.0);
    optimizer.adopt_weights().unwrap();
    for expected in [30.5, 30.375] {
        step(&mut optimizer, &w).unwrap();
        assert_eq!(scalar(&w), expected); // momentum 1.5, then 1.75: 32 -> 30.5 -> (28.75 ->) 30.375
    }
    // 1 + (1.75 - 1) / 2
    assert_eq!(values(optimizer.state().unwrap().tensor("inner.momentum.w").unwrap()), [1.375; 2]);
}

#[test]
fn an_average_does_not_wait_for_its_start_again() {
    // (steps before the load, steps after it, average there): from 32, 31 and 30 are averaged; or 30 and 29, since 31 is step 2 of 2.
    for (before, after, expected) in [(3, 2, 30.5), (1, 3, 29.5)] {
        let w = weight(DType::F64);
        let plain = Sgd::new([("w", w.clone())], 1.0).unwrap();
        let mut optimizer = Averaged::new(plain, Average::Polyak { start: 2, power: 0.0 }).unwrap();
        for _ in 0..before {
            step(&mut optimizer, &w).unwrap();
        }
        load(&w, 32.0);
        optimizer.adopt_weights().unwrap();
        assert_eq!(optimizer.with_average(|| Ok(scalar(&w))).unwrap(), 32.0);
        for _ in 0..after {
            step(&mut optimizer, &w).unwrap();
        }
        assert_eq!(optimizer.with_average(|| Ok(scalar(&w))).unwrap(), expected);
    }
}

/// Schedule-Free evaluates at other weights than it trains at; both are the loaded ones.
#[test]
fn schedule_free_evaluates_at_the_weights_it_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let source = weight(DType::F64);
    load(&source, 32.0);
    export_weights(&path, &mut sgd(&source), &[]).unwrap();
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");

    let w = weight(DType::F64);
    let mut optimizer = ScheduleFreeSgd::new([("w", w.clone())], 0.5).unwrap();
    for _ in 0..2 {
        step(&mut optimizer, &w).unwrap();
    }
    // Iterate 7, average (7.5 + 7) / 2 = 7.25, weights 0.1 * 7 + 0.9 * 7.25.
    close(scalar(&w), 7.225);
    import_weights(&path, &mut optimizer, &[]).unwrap();
    assert_eq!(with_evaluation_weights(&mut optimizer, || Ok(scalar(&w))).unwrap(), 32.0);
    // Third step: iterate 31.5, average 32 + (31.5 - 32) / 3, weights 0.1 * 31.5 + 0.9 * the average.
    step(&mut optimizer, &w).unwrap();
    close(scalar(&w), 31.8);
    close(with_evaluation_weights(&mut optimizer, || Ok(scalar(&w))).unwrap(), 32.0 - 0.5 / 3.0);

    for dtype in [DType::F32, DType::BF16] {
        let w = weight(dtype);
        let mut optimizer = ScheduleFreeAdamW::new([("w", w.clone())], 0.5).unwrap();
        for _ in 0..3 {
            step(&mut optimizer, &w).unwrap();
        }
        load(&w, 32.0);
        optimizer.adopt_weights().unwrap();
        assert_eq!(with_evaluation_weights(&mut optimizer, || Ok(values(&w))).unwrap(), [32.0; 2], "{dtype:?}");
    }
}
