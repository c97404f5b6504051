//! Training itself: it learns, it repeats to the bit, and it does what Lookahead says.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::Path;

use candle_core::Device;
use lookahead_data::{Mixing, Pipeline, Shapes, ShapesConfig, Splits};
use lookahead_experiments::{
    Config, Data, Experiment, ImageData, Interrupt, LoopOptions, ModelConfig, ModelName, Protocol, RunConfig,
    ScheduleConfig, Unwatched, environment, train,
};
use lookahead_runs::{Measure, Opened, RunFolder, RunSummary};

fn splits(train: usize, valid: usize) -> Splits {
    Shapes::draw(&ShapesConfig { train, valid, ..ShapesConfig::default() }).unwrap()
}

fn train_in(root: &Path, run: &RunConfig, splits: Splits) -> RunSummary {
    let data: Data = ImageData::new(splits, run.config.images().unwrap()).unwrap().into();
    let environment = environment("cpu", 1).unwrap();
    let opened = RunFolder::open(root, &run.name(), &run.to_table(), data.about(), &environment).unwrap();
    let Opened::ToDo(folder) = opened else { panic!("done before") };
    let options = LoopOptions { log_every: 10, checkpoint_every: None, interrupt: Interrupt::default() };
    train(run, &data, &Device::Cpu, &folder, &options, &mut Unwatched).unwrap()
}

/// A run of the demo's row `name` with ResNet-20, no image held out.
fn run(name: &str, change: impl FnOnce(&mut Config)) -> RunConfig {
    let mut config = Config::for_protocol(Experiment::Demo, Protocol::Quick);
    config.model = ModelConfig::of(ModelName::ResNet20);
    config.train.batch_size = 128;
    config.data.images_mut().unwrap().held_out = 0.0;
    change(&mut config);
    let all = Config::all_rows(Experiment::Demo, Protocol::Quick);
    let row = all.into_iter().find(|row| row.name == name).unwrap();
    RunConfig { config, row, seed: 1 }
}

/// Sixty-four images, the same ones for training and validation: every optimizer must learn them by heart.
#[test]
fn one_batch_is_overfitted() {
    for (name, rate) in [("sgd", 0.05), ("lookahead-adamw", 5e-3)] {
        let mut run = run(name, |config| {
            config.train.epochs = 60.0;
            config.train.batch_size = 64;
            config.data.images_mut().unwrap().train = Pipeline::default();
        });
        run.row.inner.set_learning_rate(rate);
        let mut splits = splits(64, 10);
        splits.valid = splits.train.clone();
        let root = tempfile::tempdir().unwrap();
        let summary = train_in(root.path(), &run, splits);
        assert_eq!(summary.figures.scores.top1, Some(100.0), "{name}: training loss {}", summary.figures.train_loss);
    }
}

#[test]
fn one_seed_gives_one_result_and_another_seed_another() {
    let digests: Vec<String> = [1, 1, 2]
        .into_iter()
        .map(|seed| {
            let mut run = run("lookahead-sgd", |config| {
                config.train.epochs = 2.0;
                config.train.batch_size = 16;
                config.data.images_mut().unwrap().mixing = Mixing::Mixup { alpha: 0.4 };
            });
            run.seed = seed;
            train_in(tempfile::tempdir().unwrap().path(), &run, splits(64, 16)).weights_sha256
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

/// With a step size of 1 and the state kept Lookahead is its inner optimizer, to the bit, whatever its period: the
/// identity that a grid has as its control.
#[test]
fn a_slow_step_of_one_is_no_lookahead() {
    let digest = |name: &str, period: usize| {
        let mut run = run(name, |config| {
            config.train.epochs = 1.0;
            config.train.batch_size = 16;
        });
        if let Some(lookahead) = run.row.around.lookahead_mut() {
            (lookahead.slow_step_size, lookahead.sync_period) = (1.0.into(), period.into());
        }
        train_in(tempfile::tempdir().unwrap().path(), &run, splits(48, 16)).weights_sha256
    };
    for (inner, lookahead) in [("sgd", "lookahead-sgd"), ("adamw", "lookahead-adamw")] {
        let plain = digest(inner, 0);
        // Three steps: the run must end with a sync, or the slow weights lag behind; at period 1 each step does.
        for period in [1, 3] {
            assert_eq!(digest(lookahead, period), plain, "{lookahead}, period {period}");
        }
        assert_ne!(digest(lookahead, 2), plain);
    }
}

/// Parts see their own batch statistics, so the result is not that of one whole batch, but the steps are as many.
#[test]
fn accumulation_makes_the_same_number_of_steps() {
    let run = run("sgd", |config| {
        config.train.epochs = 2.0;
        config.train.batch_size = 16;
        config.train.accumulate = 2;
        config.schedule = ScheduleConfig::Constant;
    });
    let summary = train_in(tempfile::tempdir().unwrap().path(), &run, splits(40, 16));
    // 40 images make five parts of 8: two steps an epoch, and one part is left over.
    assert_eq!(summary.steps, 4);
    assert!(summary.figures.train_loss.is_finite() && summary.figures.train_loss > 0.0);
}

#[test]
fn a_summary_tells_where_the_time_went_and_what_was_confused() {
    let run = run("sgd", |config| {
        config.train.epochs = 1.0;
        config.train.batch_size = 16;
    });
    let root = tempfile::tempdir().unwrap();
    let summary = train_in(root.path(), &run, splits(32, 20));
    let details = summary.details.unwrap();
    let counted: u64 = details.confusion.iter().flatten().sum();
    assert_eq!((counted, details.classes.len(), details.per_class.len()), (20, 10, 10));
    assert!(details.time.forward > 0.0 && details.time.backward > 0.0 && details.time.optimizer > 0.0);
    assert!(summary.figures.seconds >= details.time.training());
    assert!((0.0..=1.0).contains(&details.ece.unwrap()));
    let folder = root.path().join("sgd-s1");
    for file in ["config.toml", "env.json", "metrics.jsonl", "data.json", "summary.json"] {
        assert!(folder.join(file).exists(), "{file} is missing");
    }
    // The only epoch was the best: its weights are there once, and nothing to go on from.
    let kept: Vec<_> =
        std::fs::read_dir(folder.join("checkpoint")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(kept, ["final.safetensors"]);
}

/// An average of the weights is worth having in the demo already, as short as it is: `just test-long`.
#[test]
#[ignore = "trains the demo three times"]
fn averages_hold_their_own_at_the_length_of_the_demo() {
    let [sgd, polyak, ema] = ["sgd", "polyak", "ema"].map(|name| {
        let root = tempfile::tempdir().unwrap();
        let demo = run(name, |config| *config = Config::for_protocol(Experiment::Demo, Protocol::Quick));
        let top1 = train_in(root.path(), &demo, splits(4000, 1000)).figures.scores.get(Measure::Top1);
        println!("{name} {top1:.1} %");
        top1
    });
    assert!(polyak > sgd - 3.0 && ema > sgd - 3.0, "sgd {sgd}, polyak {polyak}, ema {ema}");
}
