//! Saved state: bitwise resume of every optimizer and wrapper, and errors that name the first difference.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::lookahead::BufferPolicy;
use lookahead_optim::schedule::{OneCycle, Schedule};
use lookahead_optim::{
    AdamW, AdamWConfig, Average, Averaged, Error, Lookahead, LookaheadConfig, Momentum, Muon, MuonConfig, NAdam,
    NAdamConfig, Optimizer, RmsProp, RmsPropConfig, ScheduleFreeAdamW, ScheduleFreeAdamWConfig, Sgd, SgdConfig, State,
    StatePolicy, load_checkpoint, save_checkpoint,
};
use support::every::every_optimizer;
use support::{Numbers, bits, gradient_of, gradients};

type Named = Vec<(String, Var)>;

fn network(dtype: DType) -> Named {
    let var = |dims: &[usize], seed| {
        let values = Numbers(seed).take(dims.iter().product());
        Var::from_tensor(&Tensor::from_vec(values, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap()
    };
    vec![("b.bias".into(), var(&[3], 1)), ("a.weight".into(), var(&[3, 5], 2)), ("frozen".into(), var(&[2], 3))]
}

fn statistics() -> Named {
    vec![("a.running_mean".into(), Var::zeros(3, DType::F32, &Device::Cpu).unwrap())]
}

fn momentum() -> SgdConfig {
    SgdConfig { learning_rate: 0.05, momentum: Momentum::classical(0.9), ..SgdConfig::default() }
}

fn policy(state_policy: StatePolicy) -> LookaheadConfig {
    LookaheadConfig { sync_period: 4.into(), state_policy, ..LookaheadConfig::default() }
}

type Build = Box<dyn Fn(Named, Named) -> Box<dyn Optimizer>>;

fn every_kind() -> Vec<(&'static str, Build)> {
    let bare =
        every_optimizer().into_iter().map(|(kind, build)| -> (_, Build) { (kind, Box::new(move |p, _| build(p))) });
    bare.chain(every_wrapper().into_iter().map(|(kind, build)| -> (_, Build) { (kind, Box::new(build)) })).collect()
}

type BuildAround = fn(Named, Named) -> Box<dyn Optimizer>;

fn every_wrapper() -> Vec<(&'static str, BuildAround)> {
    vec![
        ("lookahead keep", |p, b| {
            let config = LookaheadConfig { buffer_policy: BufferPolicy::Average, ..policy(StatePolicy::Keep) };
            Box::new(Lookahead::with_buffers(Sgd::new(p, momentum()).unwrap(), config, b).unwrap())
        }),
        ("lookahead interpolate", |p, _| {
            let adam = AdamW::new(p, AdamWConfig::default()).unwrap();
            Box::new(Lookahead::new(adam, policy(StatePolicy::Interpolate)).unwrap())
        }),
        ("lookahead reset", |p, _| {
            let inner = RmsProp::new(p, RmsPropConfig { momentum: Some(0.5), ..Default::default() }).unwrap();
            Box::new(Lookahead::new(inner, policy(StatePolicy::Reset)).unwrap())
        }),
        ("lookahead around nadam", |p, _| {
            let inner = NAdam::new(p, NAdamConfig::default()).unwrap();
            Box::new(Lookahead::new(inner, policy(StatePolicy::Interpolate)).unwrap())
        }),
        ("lookahead around schedule-free", |p, _| {
            let inner = ScheduleFreeAdamW::new(p, ScheduleFreeAdamWConfig::default()).unwrap();
            Box::new(Lookahead::new(inner, policy(StatePolicy::Interpolate)).unwrap())
        }),
        ("lookahead around muon", |p, _| {
            let inner = Muon::new(p, MuonConfig::default()).unwrap();
            Box::new(Lookahead::new(inner, policy(StatePolicy::Interpolate)).unwrap())
        }),
        ("polyak around lookahead", |p, _| {
            let inner = Lookahead::new(Sgd::new(p, momentum()).unwrap(), policy(StatePolicy::Keep)).unwrap();
            Box::new(Averaged::new(inner, Average::Polyak { start: 3, power: 0.0 }).unwrap())
        }),
        ("lookahead around an average", |p, _| {
            let inner = Averaged::new(Sgd::new(p, momentum()).unwrap(), Average::ema(0.9)).unwrap();
            Box::new(Lookahead::new(inner, policy(StatePolicy::Interpolate)).unwrap())
        }),
    ]
}

fn train(params: &Named, buffers: &Named, optimizer: &mut dyn Optimizer, steps: std::ops::Range<usize>) {
    let (rate, beta) = (OneCycle::torch(0.05, 20).unwrap(), OneCycle::torch_momentum(20).unwrap());
    for step in steps {
        let mut grads = GradStore::default();
        for (i, (_, var)) in params.iter().enumerate().take(2) {
            let noise = gradient_of(var, &Numbers((step * 7 + i) as u64).take(var.elem_count()));
            grads.insert(var, (var.as_detached_tensor() + noise).unwrap());
        }
        for (_, buffer) in buffers {
            buffer.set(&(buffer.as_detached_tensor() + step as f64).unwrap()).unwrap();
        }
        optimizer.set_learning_rate(rate.at(step));
        if optimizer.momentum().is_some() {
            optimizer.set_momentum(beta.at(step)).unwrap();
        }
        optimizer.step(&grads).unwrap();
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for (kind, build) in every_kind() {
            let (straight, buffers) = (network(dtype), statistics());
            let mut optimizer = build(straight.clone(), buffers.clone());
            // 6 is in mid-cycle.
            train(&straight, &buffers, &mut optimizer, 0..6);
            save_checkpoint(&path, &optimizer, &buffers, &[("step", "6".into()), ("note", "a\tb\n".into())]).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            train(&straight, &buffers, &mut optimizer, 6..20);

            let (resumed, fresh_buffers) = (network(dtype), statistics());
            let mut second = build(resumed.clone(), fresh_buffers.clone());
            let extra = load_checkpoint(&path, &mut second, &fresh_buffers).unwrap();
            assert_eq!((extra["step"].as_str(), extra["note"].as_str()), ("6", "a\tb\n"));
            save_checkpoint(&path, &second, &fresh_buffers, &[("step", "6".into()), ("note", "a\tb\n".into())])
                .unwrap();
            assert!(bytes == std::fs::read(&path).unwrap(), "{kind} {dtype:?}: saved again, the file differs");
            train(&resumed, &fresh_buffers, &mut second, 6..20);
            for ((name, a), (_, b)) in straight.iter().chain(&buffers).zip(resumed.iter().chain(&fresh_buffers)) {
                assert_eq!(bits(a), bits(b), "{kind} {dtype:?} {name}");
            }
            let (a, b) = (optimizer.state().unwrap(), second.state().unwrap());
            for ((name, a), (_, b)) in a.tensors().zip(b.tensors()) {
                assert_eq!(bits(a), bits(b), "{kind} {dtype:?} {name}");
            }
            assert_eq!(bits(&straight[2].1), bits(&network(dtype)[2].1), "{kind} {dtype:?}: frozen");
        }
    }
}

fn lookahead(params: Named, config: SgdConfig, sync_period: usize) -> Lookahead<Sgd> {
    let lookahead = LookaheadConfig { sync_period: sync_period.into(), ..LookaheadConfig::default() };
    Lookahead::new(Sgd::new(params, config).unwrap(), lookahead).unwrap()
}

#[test]
fn loading_into_something_else_names_the_first_difference_and_changes_nothing() {
    let params = network(DType::F32);
    let mut source = lookahead(params.clone(), momentum(), 5);
    train(&params, &vec![], &mut source, 0..7);
    let saved = source.state().unwrap();
    let message = |mut target: Box<dyn Optimizer>| {
        let before = format!("{:?}", target.state().unwrap());
        let error = target.load_state(&saved).unwrap_err();
        assert_eq!(format!("{:?}", target.state().unwrap()), before);
        error.to_string()
    };
    let net = || network(DType::F32);
    let with = |index: usize, name: &str, var: Var| {
        let mut params = net();
        params[index] = (name.to_string(), var);
        params
    };
    let zeros = |dims: &[usize], dtype| Var::zeros(dims, dtype, &Device::Cpu).unwrap();
    for (target, expected) in [
        (
            Box::new(Sgd::new(net(), momentum()).unwrap()) as Box<dyn Optimizer>,
            "the saved state has optimizer = lookahead, but here it is sgd",
        ),
        (Box::new(lookahead(net(), momentum(), 6)), "the saved state has sync_period = 5, but here it is 6"),
        (
            Box::new(lookahead(net(), SgdConfig { momentum: Momentum::nesterov(0.9), ..momentum() }, 5)),
            "the saved state has inner.momentum = classical, dampening 0, but here it is nesterov",
        ),
        (
            Box::new(
                Lookahead::new(AdamW::new(net(), AdamWConfig::default()).unwrap(), LookaheadConfig::default()).unwrap(),
            ),
            "the saved state has no `inner.amsgrad`",
        ),
        (
            Box::new(lookahead(with(0, "b.bias", zeros(&[4], DType::F32)), momentum(), 5)),
            "the saved state has inner.shape.b.bias = [3], but here it is [4]",
        ),
        (
            Box::new(lookahead(with(0, "c.bias", zeros(&[3], DType::F32)), momentum(), 5)),
            "the saved state has an unexpected `inner.scales.b.bias`",
        ),
        (
            Box::new(lookahead(with(0, "b.bias", zeros(&[3], DType::F64)), momentum(), 5)),
            "the saved `inner.momentum.b.bias` is [3] F32, but here it is [3] F64",
        ),
    ] {
        assert_eq!(message(target), expected);
    }
}

#[test]
fn a_damaged_or_foreign_file_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let load = || State::load(&path, &Device::Cpu).unwrap_err();
    assert!(matches!(load(), Error::Io { .. }));
    std::fs::write(&path, b"no such file").unwrap();
    assert!(matches!(load(), Error::Format { .. }) && load().to_string().contains("state.safetensors"));
    let tensors = std::collections::HashMap::from([("x", Tensor::new(&[1f32], &Device::Cpu).unwrap())]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    assert!(load().to_string().contains("was not written by lookahead-optim"), "{}", load());

    let params = network(DType::F32);
    let optimizer = Sgd::new(params, momentum()).unwrap();
    optimizer.state().unwrap().save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(load(), Error::Format { .. }), "{}", load());
    let nowhere = folder.path().join("missing").join("state.safetensors");
    assert!(matches!(optimizer.state().unwrap().save(&nowhere), Err(Error::Io { .. })));
}

#[test]
fn a_saved_number_that_cannot_be_is_refused() {
    let params = network(DType::F32);
    let mut optimizer = lookahead(params, momentum(), 5);
    let mut bad = optimizer.state().unwrap();
    bad.count("steps_since_sync", 5);
    assert!(matches!(optimizer.load_state(&bad), Err(Error::StateValue { .. })));
    let mut bad = optimizer.state().unwrap();
    bad.count("inner.learning_rate", f64::NAN);
    assert!(matches!(optimizer.load_state(&bad), Err(Error::OutOfRange { what: "learning_rate", .. })));
    for (key, value) in
        [("inner.steps.frozen", "many"), ("inner.steps.frozen", "18446744073709551615"), ("steps", "-1")]
    {
        let mut bad = optimizer.state().unwrap();
        bad.count(key, value);
        assert!(matches!(optimizer.load_state(&bad), Err(Error::StateValue { .. })), "{key} = {value}");
    }
    let mut adam = AdamW::new(network(DType::F32), AdamWConfig::default()).unwrap();
    for value in [-0.5, 1.5, f64::NAN] {
        let mut bad = adam.state().unwrap();
        bad.count("zero_start_2.frozen", value);
        assert!(matches!(adam.load_state(&bad), Err(Error::StateValue { .. })), "{value}");
    }
}

#[test]
fn a_checkpoint_of_another_model_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let params = network(DType::F32);
    let mut optimizer = Sgd::new(params.clone(), momentum()).unwrap();
    optimizer.step(&gradients(&[(&params[0].1, 1.0)])).unwrap();
    save_checkpoint(&path, &optimizer, &statistics(), &[]).unwrap();
    let fresh = network(DType::F32);
    let mut target = Sgd::new(fresh.clone(), momentum()).unwrap();
    let error = load_checkpoint(&path, &mut target, &[]).unwrap_err();
    assert_eq!(error.to_string(), "the saved state has an unexpected `buffers.a.running_mean`");
    assert_eq!(bits(&fresh[0].1), bits(&network(DType::F32)[0].1));
    assert_eq!(target.state().unwrap().counter::<u64>("steps.b.bias").unwrap(), 0);
}
