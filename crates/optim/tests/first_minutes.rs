//! What somebody meets who brings a program written against candle.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
// Both traits, as a program has them that is half moved.
use candle_nn::{Module, Optimizer as CandleOptimizer, VarBuilder, VarMap};
use lookahead_optim::checkpoint::{export_weights, import_weights};
use lookahead_optim::evaluation::EvaluationWeights;
use lookahead_optim::parameter::running_statistics;
use lookahead_optim::{
    AdamW, AdamWConfig, Average, Averaged, Error, FromCandle, Lookahead, LookaheadConfig, Momentum, Optimizer, RmsProp,
    Sgd, SgdConfig, State, load_checkpoint, save_checkpoint,
};
use support::{bits, gradients, scalar};

fn at(value: f64) -> Var {
    Var::new(&[value], &Device::Cpu).unwrap()
}

#[test]
fn with_both_traits_imported_no_call_is_ambiguous() {
    let w = at(3.0);
    let mut sgd = Sgd::new(vec![w.clone()], 0.5).unwrap();
    sgd.step(&gradients(&[(&w, 1.0)])).unwrap();
    sgd.set_learning_rate(0.25);
    sgd.backward_step(&w.sum_all().unwrap()).unwrap();
    assert_eq!((scalar(&w), sgd.learning_rate()), (2.25, 0.25));
    let adamw = FromCandle::<candle_nn::AdamW>::new([("w", w.clone())], candle_nn::ParamsAdamW::default()).unwrap();
    let mut outer =
        Averaged::new(Lookahead::new(adamw, LookaheadConfig::default()).unwrap(), Average::polyak()).unwrap();
    outer.set_learning_rate(0.5);
    outer.backward_step(&w.sum_all().unwrap()).unwrap();
    assert_eq!(outer.learning_rate(), 0.5);
}

#[test]
fn in_a_function_of_candle_s_result_every_error_converts() {
    fn train(vars: &VarMap, model: &impl Module) -> candle_core::Result<f32> {
        let mut optimizer = Lookahead::new(AdamW::new(vars, 0.1)?, LookaheadConfig::default())?;
        let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
        optimizer.backward_step(&model.forward(&x)?.sqr()?.sum_all()?)?;
        // Closures need no type, whatever they end in.
        optimizer.with_slow_weights(|| Ok(()))?;
        let slow = optimizer.with_slow_weights(|| Ok(model.forward(&x)?.sum_all()?.to_scalar::<f32>()?))?;
        let in_place = EvaluationWeights::of(&mut optimizer)?;
        assert_eq!(model.forward(&x)?.sum_all()?.to_scalar::<f32>()?, slow);
        in_place.restore()?;
        Ok(slow)
    }
    let vars = VarMap::new();
    let model = candle_nn::linear(2, 1, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu)).unwrap();
    train(&vars, &model).unwrap();
}

#[test]
fn a_bare_learning_rate_is_a_configuration() {
    let named = || [("w", at(0.0))];
    assert_eq!(*Sgd::new(named(), 0.3).unwrap().config(), SgdConfig { learning_rate: 0.3, ..SgdConfig::default() });
    let adamw = AdamWConfig { learning_rate: 0.3, ..AdamWConfig::default() };
    assert_eq!(*AdamW::new(named(), 0.3).unwrap().config(), adamw);
    assert_eq!(RmsProp::new(named(), 0.3).unwrap().config().learning_rate, 0.3);
    assert!(matches!(Sgd::new(named(), f64::NAN), Err(Error::OutOfRange { what: "learning_rate", .. })));
}

#[test]
fn an_optimizer_of_nothing_and_a_step_without_gradients_say_so() {
    for nothing in [Sgd::new(&VarMap::new(), 0.1), Sgd::new(Vec::<Var>::new(), 0.1)] {
        assert!(matches!(nothing, Err(Error::NoParameters)));
    }
    let (w, other) = (at(3.0), at(1.0));
    let sgd = Sgd::new([("w", w.clone())], SgdConfig { momentum: Momentum::classical(0.9), ..0.5.into() }).unwrap();
    let mut optimizer = Lookahead::new(sgd, LookaheadConfig::default()).unwrap();
    let error = optimizer.backward_step(&other.sum_all().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "none of the 1 parameters has a gradient: is the loss computed from these variables?"
    );
    assert_eq!((scalar(&w), optimizer.steps_since_sync()), (3.0, Some(0)));
}

#[test]
fn positions_are_no_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let (a, b) = (at(1.0), at(2.0));
    let config = || SgdConfig { momentum: Momentum::classical(0.9), ..SgdConfig::default() };
    let build = |vars: Vec<Var>| <Sgd as CandleOptimizer>::new(vars, config()).unwrap();
    let mut saved = build(vec![a.clone(), b.clone()]);
    saved.step(&gradients(&[(&a, 1.0), (&b, 5.0)])).unwrap();
    // In a file, the next process may list them the other way round.
    assert!(matches!(save_checkpoint(&path, &saved, &[], &[]), Err(Error::Unnamed)));
    assert!(matches!(saved.state().unwrap().save(&path), Err(Error::Unnamed)));
    let wrapped = Lookahead::new(build(vec![a.clone()]), LookaheadConfig::default()).unwrap();
    assert!(matches!(wrapped.state().unwrap().save(&path), Err(Error::Unnamed)));
    assert!(!path.exists());
    let named = Sgd::new([("000000", a.clone()), ("000001", b.clone())], config()).unwrap();
    save_checkpoint(&path, &named, &[], &[]).unwrap();
    assert!(matches!(load_checkpoint(&path, &mut build(vec![b.clone(), a.clone()]), &[]), Err(Error::Unnamed)));
    assert!(build(vec![b.clone(), a.clone()]).load_state(&State::load(&path, &Device::Cpu).unwrap()).is_err());
    // In one process, the variables themselves are compared.
    let state = saved.state().unwrap();
    let error = build(vec![b.clone(), a.clone()]).load_state(&state).unwrap_err();
    assert!(matches!(&error, Error::StateSetting { key, .. } if key == "unnamed.000000"), "{error}");
    build(vec![a, b]).load_state(&state).unwrap();
}

#[test]
fn weight_files_go_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let network = || {
        let vars = VarMap::new();
        let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let layer = candle_nn::linear(3, 2, builder.pp("fc")).unwrap();
        candle_nn::batch_norm(2, candle_nn::BatchNormConfig::default(), builder.pp("bn")).unwrap();
        (vars, layer)
    };
    let (vars, layer) = network();
    let mut optimizer = Lookahead::new(Sgd::new(&vars, 0.1).unwrap(), LookaheadConfig::default()).unwrap();
    let x = Tensor::new(&[[1f32, 2.0, 3.0]], &Device::Cpu).unwrap();
    let outputs = || layer.forward(&x).unwrap();
    let slow = bits(&outputs());
    for _ in 0..3 {
        optimizer.backward_step(&outputs().sqr().unwrap().sum_all().unwrap()).unwrap();
    }
    let fast = bits(&outputs());
    let buffers = running_statistics(&vars);
    assert_eq!(
        buffers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["bn.running_mean", "bn.running_var"]
    );

    // Ours to candle: the slow weights, by their plain names; the fast ones are still in place.
    export_weights(&path, &mut optimizer, &buffers).unwrap();
    assert_eq!(bits(&outputs()), fast);
    let (mut other, copy) = network();
    other.load(&path).unwrap();
    assert_eq!(bits(&copy.forward(&x).unwrap()), slow);
    assert!(matches!(
        export_weights(&path, &mut optimizer, &[("fc.bias".into(), at(0.0))]),
        Err(Error::DuplicateName { .. })
    ));
    assert_eq!(bits(&outputs()), fast, "an error left the slow weights in place");

    // candle's to ours: the fast weights, and training goes on from them.
    vars.save(&path).unwrap();
    let (here, copy) = network();
    let mut second = Lookahead::new(Sgd::new(&here, 0.1).unwrap(), LookaheadConfig::default()).unwrap();
    assert_eq!(import_weights(&path, &mut second, &[]).unwrap(), ["bn.running_mean", "bn.running_var"]);
    assert_eq!(bits(&copy.forward(&x).unwrap()), fast);
    assert_eq!(second.with_slow_weights(|| Ok(bits(&copy.forward(&x)?))).unwrap(), fast);
    second.backward_step(&copy.forward(&x).unwrap().sum_all().unwrap()).unwrap();

    // Nothing is written where something is missing or of another shape.
    let before = bits(&copy.forward(&x).unwrap());
    let missing = Var::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let error = import_weights(&path, &mut second, &[("head".into(), missing.clone())]).unwrap_err();
    assert!(matches!(&error, Error::StateMissing { key } if key == "head"));
    let error = import_weights(&path, &mut second, &[("bn.running_mean".into(), missing)]).unwrap_err();
    assert!(matches!(&error, Error::StateTensor { key, .. } if key == "bn.running_mean"));
    assert_eq!(bits(&copy.forward(&x).unwrap()), before);
}
