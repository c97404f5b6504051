//! Checkpoints and weight files: all or nothing, and nothing dropped.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Var};
use lookahead_optim::checkpoint::{export_weights, import_weights};
use lookahead_optim::evaluation::{Reestimate, with_reestimated_statistics};
use lookahead_optim::{
    AdamW, AdamWConfig, Average, Averaged, Error, Lookahead, LookaheadConfig, Optimizer, ScheduleFreeSgd, Sgd, State,
    StatePolicy, load_checkpoint, save_checkpoint, with_evaluation_weights,
};
use support::{everything, gradients, values};

fn var(value: f32) -> Var {
    Var::new(&[value, value], &Device::Cpu).unwrap()
}

fn lookahead(w: &Var) -> Lookahead<AdamW> {
    let config = LookaheadConfig { state_policy: StatePolicy::Interpolate, ..LookaheadConfig::default() };
    Lookahead::new(AdamW::new([("w", w.clone())], AdamWConfig::default()).unwrap(), config).unwrap()
}

/// Two networks' statistics in one list, say.
#[test]
fn two_buffers_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut sgd = Sgd::new([("w", var(1.0))], 0.1).unwrap();
    let buffer = |value| ("bn.running_mean".to_string(), var(value));
    let (one, two) = (vec![buffer(1.0)], vec![buffer(1.0), buffer(2.0)]);
    let refused = |result: lookahead_optim::Result<()>| {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::DuplicateName { name } if name == "bn.running_mean"), "{error}");
    };
    refused(save_checkpoint(&path, &sgd, &two, &[]));
    refused(export_weights(&path, &mut sgd, &two));
    assert!(!path.exists());
    save_checkpoint(&path, &sgd, &one, &[]).unwrap();
    refused(load_checkpoint(&path, &mut sgd, &two).map(drop));
    export_weights(&path, &mut sgd, &one).unwrap();
    refused(import_weights(&path, &mut sgd, &two).map(drop));
    assert_eq!(values(&two[1].1), [2.0; 2]);
}

#[test]
fn an_import_that_is_refused_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    export_weights(&path, &mut lookahead(&var(9.0)), &[]).unwrap();
    let w = var(1.0);
    let mut optimizer = lookahead(&w);
    optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
    let fast = values(&w);
    optimizer.swap_evaluation_weights().unwrap();
    let refused = import_weights(&path, &mut optimizer, &[]);
    assert!(matches!(refused, Err(Error::EvaluationWeightsInPlace { .. })));
    assert_eq!(values(&w), [1.0; 2]);
    optimizer.swap_evaluation_weights().unwrap();
    assert_eq!(values(&w), fast);
    import_weights(&path, &mut optimizer, &[]).unwrap();
    assert_eq!(values(&w), [9.0; 2]);
}

/// A second swap would put the fast weights in their place, and evaluate or write those.
#[test]
fn evaluation_weights_swapped_in_by_hand_are_neither_exported_nor_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    type Build = fn(&Var) -> Box<dyn Optimizer>;
    let kinds: [Build; 4] = [
        |w| Box::new(lookahead(w)),
        |w| Box::new(Averaged::new(Sgd::new([("w", w.clone())], 1.0).unwrap(), Average::polyak()).unwrap()),
        |w| Box::new(Averaged::new(lookahead(w), Average::polyak().starting_at(9)).unwrap()),
        |w| Box::new(ScheduleFreeSgd::new([("w", w.clone())], 1.0).unwrap()),
    ];
    for build in kinds {
        let w = var(1.0);
        let mut optimizer = build(&w);
        for _ in 0..2 {
            optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
        }
        let fast = values(&w);
        optimizer.swap_evaluation_weights().unwrap();
        assert!(optimizer.evaluation_weights_in_place());
        let seen = values(&w);
        assert_ne!(seen, fast);
        let how = Reestimate { batches: 1, momentum: 0.1 };
        for refused in [
            export_weights(&path, &mut optimizer, &[]),
            with_evaluation_weights(&mut optimizer, || Ok(())),
            with_reestimated_statistics(&mut optimizer, &[], how, |_| Ok(()), || Ok(())),
        ] {
            assert!(matches!(refused, Err(Error::EvaluationWeightsInPlace { .. })), "{optimizer:?}");
        }
        assert_eq!(values(&w), seen);
        optimizer.swap_evaluation_weights().unwrap();
        assert!(!optimizer.evaluation_weights_in_place());
        assert_eq!(values(&w), fast);
        export_weights(&path, &mut optimizer, &[]).unwrap();
        let exported = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(values(&exported["w"]), seen);
    }
}

/// The slow inner state is checked as the inner optimizer checks its own, before anything changes.
#[test]
fn a_damaged_slow_state_is_refused_and_changes_nothing() {
    let w = var(1.0);
    let mut source = lookahead(&w);
    for _ in 0..7 {
        source.step(&gradients(&[(&w, 0.5)])).unwrap();
    }
    let good = source.state().unwrap();
    let w = var(3.0);
    let mut optimizer = lookahead(&w);
    optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
    let before = everything(&optimizer.state().unwrap());
    for (key, value) in [
        ("slow_state.steps.w", "abc"),
        ("slow_state.zero_start_2.w", "7"),
        ("slow_state.learning_rate", "-1"),
        ("inner.zero_start_1.w", "7"),
    ] {
        let mut bad = good.clone();
        bad.count(key, value);
        assert!(optimizer.load_state(&bad).is_err(), "{key} = {value}");
        assert!(everything(&optimizer.state().unwrap()) == before, "{key} = {value} changed something");
    }
    // A change of the weights is still noticed after a refused load.
    let mut bad = good.clone();
    bad.count("inner.zero_start_1.w", 7);
    w.set(&(w.as_detached_tensor() + 1.0).unwrap()).unwrap();
    assert!(optimizer.load_state(&bad).is_err());
    assert!(matches!(optimizer.step(&gradients(&[(&w, 1.0)])), Err(Error::WeightsChanged { .. })));
    optimizer.load_state(&good).unwrap();
    assert!(everything(&optimizer.state().unwrap()) == everything(&good));
}

#[test]
fn a_file_of_another_format_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    Sgd::new([("w", var(1.0))], 0.1).unwrap().state().unwrap().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let rewritten = |line: &[u8]| {
        let at = bytes.windows(line.len()).position(|window| window == br"format\t1").unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + line.len()].copy_from_slice(line);
        std::fs::write(&path, bytes).unwrap();
        State::load(&path, &Device::Cpu).unwrap_err().to_string()
    };
    assert!(rewritten(br"format\t2").ends_with("has format 2, but this version reads 1"));
    assert!(rewritten(br"tamrof\t1").ends_with("its metadata is damaged: it names no format"));
}

/// A step counter, say, among the variables of a map.
#[test]
fn integers_in_a_var_map_are_not_trained() {
    let vars = candle_nn::VarMap::new();
    let mut data = vars.data().lock().unwrap();
    data.insert("w".into(), var(1.0));
    data.insert("steps".into(), Var::zeros(1, DType::U32, &Device::Cpu).unwrap());
    drop(data);
    let names: Vec<String> = Sgd::new(&vars, 0.1).unwrap().parameters().iter().map(|p| p.name().to_string()).collect();
    assert_eq!(names, ["w"]);
}
