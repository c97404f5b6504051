//! A run that was stopped makes the very steps of one that never was.

use std::path::Path;
use std::sync::Arc;

use image::{Rgb, RgbImage};
use lookahead_data::{Dataset, DecodedCache, Mixing, Pipeline, Splits, image_folder};
use lookahead_models::{Head, Stem};

use super::{CPU, StopAt, data, open, options, row, run, shapes};
use crate::config::{Config, Experiment, ModelConfig, Protocol, RunConfig, SpeedNetParts};
use crate::error::Error;
use crate::parts::Data;
use crate::train::{Interrupt, LoopOptions, Unwatched, train};

/// Trains in `root`, stopped at every one of `stops` and begun anew from its files; the digest of the final weights,
/// and the training loss of each step.
fn trained(root: &Path, run: &RunConfig, data: impl Fn() -> Data, stops: &[usize]) -> (String, Vec<f64>) {
    for &at in stops {
        let data = data();
        let folder = open(root, run, &data);
        let interrupt = Interrupt::default();
        let options = LoopOptions { interrupt: interrupt.clone(), ..options() };
        match train(run, &data, &CPU, &folder, &options, &mut StopAt { at, interrupt }) {
            Err(Error::Interrupted { step, .. }) => assert_eq!(step, at + 1),
            other => panic!("{other:?}"),
        }
    }
    let data = data();
    let folder = open(root, run, &data);
    let summary = train(run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap();
    let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
    (summary.weights_sha256, log.steps.iter().map(|step| step.train_loss).collect())
}

/// Two epochs of six steps, stopped within the first, within the second and right before the end.
fn resumes_to_the_bit(run: &RunConfig, data: impl Fn() -> Data) {
    let [straight, stopped] = [&[][..], &[2, 7, 10]].map(|stops| {
        let root = tempfile::tempdir().unwrap();
        trained(root.path(), run, &data, stops)
    });
    assert_eq!(straight.1.len(), 12);
    assert_eq!(straight, stopped);
}

/// Asked to stop while it validates, a run saves the epoch's last step and validates again when it goes on.
#[test]
fn stopped_while_it_validates() {
    let run = run(row("lookahead-sgd"), |config| config.train.epochs = 2.0);
    let data = || data(&run, shapes(48, 8));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data());
    let interrupt = Interrupt::default();
    let options = LoopOptions { interrupt: interrupt.clone(), ..options() };
    let error = train(&run, &data(), &CPU, &folder, &options, &mut StopAt { at: 6, interrupt }).unwrap_err();
    assert!(matches!(error, Error::Interrupted { step: 6, .. }), "{error}");
    drop(folder);
    let straight = tempfile::tempdir().unwrap();
    assert_eq!(trained(root.path(), &run, data, &[]), trained(straight.path(), &run, data, &[]));
}

/// Killed between its last checkpoint and its summary, a run validates again; its seconds count that once.
#[test]
fn a_repeated_validation_takes_no_time() {
    let run = run(row("sgd"), |_| ());
    let data = data(&run, shapes(16, 64));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    // In place of the summary, a folder keeps it from being written.
    let summary = folder.path().join("summary.json");
    std::fs::create_dir(&summary).unwrap();
    train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap_err();
    std::fs::remove_dir(&summary).unwrap();
    let ended = train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap();
    let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(log.epochs.len(), 1);
    let (seconds, before) = (ended.figures.seconds, log.epochs[0].seconds);
    assert!((seconds - before).abs() < 1e-6, "{seconds} is not {before}");
}

#[test]
fn with_mixup() {
    let run = run(row("lookahead-adamw"), |config| {
        config.train.epochs = 2.0;
        config.data.images_mut().unwrap().mixing = Mixing::MixupPerSample { alpha: 0.4 };
    });
    resumes_to_the_bit(&run, || data(&run, shapes(48, 8)));
}

#[test]
fn with_accumulation() {
    let run = run(row("lookahead-sgd"), |config| (config.train.epochs, config.train.accumulate) = (2.0, 2));
    // Fifty images make twelve parts of four, and two images are left over.
    resumes_to_the_bit(&run, || data(&run, shapes(50, 8)));
}

#[test]
fn with_dropout() {
    let run = run(row("lookahead-rmsprop"), |config| {
        config.train.epochs = 2.0;
        config.model = config.model.clone().with_ends(Stem::Cifar, Head::Fastai);
    });
    resumes_to_the_bit(&run, || data(&run, shapes(48, 8)));
}

/// Half of the second epoch, a slow step size that falls to its end, statistics that are pulled along, a whitening
/// whose bias freezes in mid-run, and six views: stopped within a cycle of five steps.
#[test]
fn with_the_sprints_recipe() {
    let mut sprint = Config::for_protocol(Experiment::Demo, Protocol::Sprint);
    (sprint.train.epochs, sprint.train.batch_size) = (1.5, 8);
    sprint.model = ModelConfig::SpeedNet(SpeedNetParts { width: 0.25, whitening_images: 20, whitening_bias_epochs: 1 });
    for row in Config::all_rows(Experiment::Demo, Protocol::Sprint) {
        let run = RunConfig { config: sprint.clone(), row, seed: 1 };
        let data = || data(&run, shapes(64, 8));
        let [straight, stopped] = [&[][..], &[2, 6, 9]].map(|stops| {
            let root = tempfile::tempdir().unwrap();
            trained(root.path(), &run, data, stops)
        });
        assert_eq!(straight.1.len(), 12);
        assert_eq!(straight, stopped, "{}", run.row.name);
    }
}

#[test]
fn with_an_average() {
    let run = run(row("polyak"), |config| config.train.epochs = 2.0);
    resumes_to_the_bit(&run, || data(&run, shapes(48, 8)));
}

/// Photographs of two classes, decoded once into a file, and read from there by each session.
#[test]
fn with_the_decoded_cache() {
    let folder = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 24), ("val", 4)] {
        for (class, shift) in [("blue", 0), ("red", 128)] {
            let folder = folder.path().join(part).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let image =
                    RgbImage::from_fn(40, 36, |x, y| Rgb([shift + (x + i) as u8, (3 * y + i) as u8, (x + y) as u8]));
                image.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
    let run = run(row("lookahead-sgd"), |config| {
        config.train.epochs = 2.0;
        let images = config.data.images_mut().unwrap();
        images.train = Pipeline::fastai_train(32).unwrap();
        images.valid = Pipeline::fastai_eval(32).unwrap();
    });
    let cached =
        |part: Arc<dyn Dataset>| -> Arc<dyn Dataset> {
            Arc::new(
                DecodedCache::open(part, &folder.path().join(".cache"), 34, &mut |_, _| {
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap(),
            )
        };
    resumes_to_the_bit(&run, || {
        let splits = image_folder(folder.path()).unwrap();
        data(&run, Splits { train: cached(splits.train), valid: cached(splits.valid), ..splits })
    });
    assert_eq!(std::fs::read_dir(folder.path().join(".cache")).unwrap().count(), 2);
}
