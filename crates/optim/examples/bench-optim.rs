//! Time of one optimizer step over ResNet-18's parameters, as one JSON line per case.
//!
//! `median_step_s` is the median of 15 measurements after 3 warm-up steps; for Lookahead, whole cycles of 5 steps are timed and divided.
//! `gb_per_s` counts the minimum traffic of the update (each tensor read or written once), `copy_gb_per_s` is the machine's copy bandwidth
//! (bytes read plus bytes written) on as many threads, and `share` is their ratio.
//! Run: `cargo run --release -p lookahead-optim --example bench-optim`.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use lookahead_optim::{
    Adadelta, AdadeltaConfig, Adagrad, AdagradConfig, AdamW, AdamWConfig, Adamax, AdamaxConfig, Average, Averaged,
    Clip, Gradients, Lion, LionConfig, Lookahead, LookaheadConfig, Momentum, Muon, MuonConfig, NAdam, NAdamConfig,
    Optimizer, RAdam, RAdamConfig, RangerConfig, RmsProp, RmsPropConfig, ScheduleFreeAdamW, ScheduleFreeAdamWConfig,
    ScheduleFreeSgd, ScheduleFreeSgdConfig, Sgd, SgdConfig, StatePolicy, WeightDecay,
};
use rayon::prelude::*;
use std::time::Instant;

const WARM_UP: usize = 3;
const ROUNDS: usize = 15;
const PERIOD: usize = 5;
const RANGER_PERIOD: usize = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let copy = copy_bandwidth();
    for (case, steps, bytes, make) in cases() {
        if !only.is_empty() && !only.iter().any(|name| name == case) {
            continue;
        }
        let (named, grads) = resnet18()?;
        let count: usize = named.iter().map(|(_, var)| var.elem_count()).sum();
        let mut optimizer = make(named)?;
        let mut seconds = Vec::new();
        for round in 0..WARM_UP + ROUNDS {
            let start = Instant::now();
            for _ in 0..steps {
                optimizer.step(&grads)?;
            }
            if round >= WARM_UP {
                seconds.push(start.elapsed().as_secs_f64() / steps as f64);
            }
        }
        let time = median(seconds);
        let bandwidth = count as f64 * bytes / time / 1e9;
        println!(
            r#"{{"peer": "lookahead", "case": "{case}", "mode": "fused", "params": {count}, "median_step_s": {time:.5}, "gb_per_s": {bandwidth:.1}, "copy_gb_per_s": {copy:.1}, "share": {:.2}}}"#,
            bandwidth / copy
        );
    }
    Ok(())
}

type Named = Vec<(String, Var)>;
type Made = lookahead_optim::Result<Box<dyn Optimizer>>;
/// Name, steps timed together, minimum bytes moved per parameter and step, constructor.
type Case = (&'static str, usize, f64, fn(Named) -> Made);

fn cases() -> Vec<Case> {
    // Lookahead reads and writes the slow weights once a cycle; the fast ones are written by the step anyway.
    let slow = 8.0 / PERIOD as f64;
    vec![
        ("sgd", 1, 12.0, |p| Ok(Box::new(Sgd::new(p, SgdConfig { learning_rate: 0.01, ..SgdConfig::default() })?))),
        ("sgd-momentum", 1, 20.0, |p| Ok(Box::new(sgd(p)?))),
        ("adamw", 1, 28.0, |p| Ok(Box::new(AdamW::new(p, AdamWConfig::default())?))),
        ("rmsprop", 1, 20.0, |p| Ok(Box::new(rmsprop(p)?))),
        ("lion", 1, 20.0, |p| Ok(Box::new(Lion::new(p, LionConfig::default())?))),
        ("adagrad", 1, 20.0, |p| Ok(Box::new(Adagrad::new(p, AdagradConfig::default())?))),
        ("adadelta", 1, 28.0, |p| Ok(Box::new(Adadelta::new(p, AdadeltaConfig::default())?))),
        ("adamax", 1, 28.0, |p| Ok(Box::new(Adamax::new(p, AdamaxConfig::default())?))),
        ("nadam", 1, 28.0, |p| Ok(Box::new(NAdam::new(p, NAdamConfig::default())?))),
        ("radam", 1, 28.0, |p| Ok(Box::new(RAdam::new(p, RAdamConfig::default())?))),
        ("ranger", RANGER_PERIOD, 28.0 + 8.0 / RANGER_PERIOD as f64, |p| {
            Ok(Box::new(RangerConfig::default().build(p)?))
        }),
        ("schedule-free-sgd", 1, 20.0, |p| {
            let config = ScheduleFreeSgdConfig { learning_rate: 0.01, ..ScheduleFreeSgdConfig::default() };
            Ok(Box::new(ScheduleFreeSgd::new(p, config)?))
        }),
        ("schedule-free-adamw", 1, 28.0, |p| {
            Ok(Box::new(ScheduleFreeAdamW::new(p, ScheduleFreeAdamWConfig::default())?))
        }),
        // Its products take far longer than its memory.
        ("muon", 1, 20.0, |p| Ok(Box::new(Muon::new(p, MuonConfig::default())?))),
        ("lookahead-sgd-momentum", PERIOD, 20.0 + slow, |p| Ok(Box::new(lookahead(sgd(p)?, StatePolicy::Keep)?))),
        ("lookahead-sgd-momentum-reset", PERIOD, 20.0 + slow, |p| {
            Ok(Box::new(lookahead(sgd(p)?, StatePolicy::Reset)?))
        }),
        ("lookahead-adamw", PERIOD, 28.0 + slow, |p| {
            Ok(Box::new(lookahead(AdamW::new(p, AdamWConfig::default())?, StatePolicy::Keep)?))
        }),
        ("lookahead-rmsprop", PERIOD, 20.0 + slow, |p| Ok(Box::new(lookahead(rmsprop(p)?, StatePolicy::Keep)?))),
        ("polyak-sgd-momentum", 1, 28.0, |p| {
            Ok(Box::new(Averaged::new(sgd(p)?, Average::Polyak { start: 0, power: 0.0 })?))
        }),
        ("sgd-momentum-clip-norm", 1, 24.0, |p| {
            let gradients = Gradients { clip: Some(Clip::GlobalNorm(1.0)), check_finite: true };
            Ok(Box::new(Sgd::new(p, SgdConfig { gradients, ..momentum() })?))
        }),
    ]
}

fn momentum() -> SgdConfig {
    SgdConfig {
        learning_rate: 0.01,
        momentum: Momentum::classical(0.9),
        weight_decay: WeightDecay::L2(5e-4),
        ..SgdConfig::default()
    }
}

fn sgd(named: Named) -> lookahead_optim::Result<Sgd> {
    Sgd::new(named, momentum())
}

fn rmsprop(named: Named) -> lookahead_optim::Result<RmsProp> {
    RmsProp::new(named, RmsPropConfig { learning_rate: 1e-3, ..RmsPropConfig::default() })
}

fn lookahead<O: Optimizer>(inner: O, state_policy: StatePolicy) -> lookahead_optim::Result<Lookahead<O>> {
    Lookahead::new(inner, LookaheadConfig { sync_period: PERIOD.into(), state_policy, ..LookaheadConfig::default() })
}

/// The parameters of ResNet-18 for CIFAR-10 (3x3 stem, 10 classes): 62 tensors, 11,173,962 numbers; and gradients for them.
fn resnet18() -> candle_core::Result<(Named, GradStore)> {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![("conv1.weight".into(), vec![64, 3, 3, 3])];
    let norm = |shapes: &mut Vec<(String, Vec<usize>)>, name: String, width: usize| {
        shapes.push((format!("{name}.weight"), vec![width]));
        shapes.push((format!("{name}.bias"), vec![width]));
    };
    norm(&mut shapes, "bn1".into(), 64);
    let mut input = 64;
    for (stage, width) in [(1, 64), (2, 128), (3, 256), (4, 512)] {
        for block in 0..2 {
            let name = format!("layer{stage}.{block}");
            shapes.push((format!("{name}.conv1.weight"), vec![width, input, 3, 3]));
            norm(&mut shapes, format!("{name}.bn1"), width);
            shapes.push((format!("{name}.conv2.weight"), vec![width, width, 3, 3]));
            norm(&mut shapes, format!("{name}.bn2"), width);
            if input != width {
                shapes.push((format!("{name}.downsample.0.weight"), vec![width, input, 1, 1]));
                norm(&mut shapes, format!("{name}.downsample.1"), width);
            }
            input = width;
        }
    }
    shapes.push(("fc.weight".into(), vec![10, 512]));
    shapes.push(("fc.bias".into(), vec![10]));
    let mut grads = GradStore::default();
    let mut named = Vec::new();
    for (name, shape) in shapes {
        let var = Var::from_tensor(&Tensor::randn(0f32, 0.05, shape.clone(), &Device::Cpu)?)?;
        grads.insert(&var, Tensor::randn(0f32, 1e-3, shape, &Device::Cpu)?);
        named.push((name, var));
    }
    Ok((named, grads))
}

fn copy_bandwidth() -> f64 {
    let source = vec![1f32; 32 * 1024 * 1024];
    let mut target = vec![0f32; source.len()];
    let mut seconds = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let start = Instant::now();
        let size = source.len().div_ceil(rayon::current_num_threads());
        target.par_chunks_mut(size).zip(source.par_chunks(size)).for_each(|(to, from)| to.copy_from_slice(from));
        if round >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
        std::hint::black_box(&mut target);
    }
    (2 * source.len() * 4) as f64 / median(seconds) / 1e9
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
