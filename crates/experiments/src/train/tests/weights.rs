//! Which weights are validated and written.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use lookahead_optim::LookaheadConfig;

use super::{CPU, StopAt, data, images, lookahead, open, options, run, shapes};
use crate::config::RunConfig;
use crate::parts::{Data, model};
use crate::train::{Evaluation, Images, Interrupt, Judge, LoopOptions, Task as _, Unwatched, train};

fn tensors(folder: &Path, name: &str) -> BTreeMap<String, Tensor> {
    let path = folder.join("checkpoint").join(format!("{name}.safetensors"));
    candle_core::safetensors::load(path, &CPU).unwrap().into_iter().collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// What validation finds at these weights.
fn at(weights: &BTreeMap<String, Tensor>, run: &RunConfig, data: &Data) -> Evaluation {
    let network = model(&run.config, images(data), 99, &CPU).unwrap();
    for (name, var) in network.parameters().into_iter().chain(network.buffers()) {
        var.set(&weights[&name]).unwrap();
    }
    let task = Images::with(network, run, images(data), &CPU).unwrap();
    task.judge(Judge::Valid(run.config.evaluation.views), &Interrupt::default()).unwrap().unwrap()
}

/// With a sync period that the run never reaches, the slow weights are the initial ones: validation and `final` must be
/// there, while the fast weights have moved on.
#[test]
fn validation_and_final_are_at_the_slow_weights() {
    let run = run(lookahead(LookaheadConfig { sync_period: 1000.into(), ..LookaheadConfig::default() }), |_| {});
    let data = data(&run, shapes(32, 20));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    // Stopped before the last validation, the run has its fast weights on disk; a finished one has not.
    let interrupt = Interrupt::default();
    let stopping = LoopOptions { interrupt: interrupt.clone(), ..options() };
    train(&run, &data, &CPU, &folder, &stopping, &mut StopAt { at: 4, interrupt }).unwrap_err();
    let newest = folder.checkpoints().unwrap().newest().unwrap().unwrap();
    let fast = candle_core::safetensors::load(newest.tensors, &CPU).unwrap();
    let summary = train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap();

    let fresh = model(&run.config, images(&data), run.seed, &CPU).unwrap();
    let written = tensors(folder.path(), "final");
    for (parameter, initial) in fresh.parameters() {
        assert_eq!(values(&written[&parameter]), values(&initial), "{parameter}");
    }
    let at_slow = at(&written, &run, &data);
    assert_eq!((summary.figures.valid_loss, summary.figures.scores), (at_slow.loss, at_slow.scores));

    let moved = fresh.parameters().into_iter().filter(|(name, slow)| {
        let fast = fast.iter().find(|(key, _)| key.ends_with(name.as_str()) && !key.contains("slow"));
        fast.is_some_and(|(_, fast)| values(fast) != values(slow))
    });
    assert!(moved.count() > 10, "the fast weights did not move");
}

/// The figures of `summary.json` are those of `final.safetensors` in mid-cycle too: four steps, syncs after each third.
#[test]
fn the_summary_is_of_the_final_weights() {
    let run = run(lookahead(LookaheadConfig { sync_period: 3.into(), ..LookaheadConfig::default() }), |_| {});
    let data = data(&run, shapes(32, 20));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let summary = train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap();
    let found = at(&tensors(folder.path(), "final"), &run, &data);
    assert_eq!((summary.figures.valid_loss, summary.figures.scores), (found.loss, found.scores));
}

/// Averaged running statistics are those of the slow weights: with a period never reached, the initial ones. After a
/// sync they have moved.
#[test]
fn averaged_statistics_go_with_the_slow_weights() {
    let means = |sync_period: usize| -> Vec<f32> {
        let config = LookaheadConfig {
            sync_period: sync_period.into(),
            buffer_policy: lookahead_optim::lookahead::BufferPolicy::Average,
            ..LookaheadConfig::default()
        };
        let run = run(lookahead(config), |_| {});
        let data = data(&run, shapes(32, 8));
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path(), &run, &data);
        train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap();
        let written = tensors(folder.path(), "final");
        written.iter().filter(|(name, _)| name.ends_with("running_mean")).flat_map(|(_, mean)| values(mean)).collect()
    };
    let (before, after) = (means(1000), means(2));
    assert!(!before.is_empty() && before.iter().all(|mean| *mean == 0.0));
    assert!(after.iter().any(|mean| *mean != 0.0));
}
