//! The recipe of a speed run against PyTorch in f64, by `tests/fixtures/speedrun/generate.py`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use lookahead_data::{Dataset, ImageSize, InMemory, Loader, LoaderConfig, Normalize, Pipeline, Splits};
use lookahead_models::{SpeedNet, SpeedNetConfig};
use lookahead_optim::Optimizer;
use lookahead_runs::TimeSplit;

use super::{CPU, data, images};
use crate::config::{Config, Experiment, ModelConfig, Protocol, RunConfig, SpeedNetParts, Views};
use crate::train::task::logits;
use crate::train::{Images, Setup};

type Named = BTreeMap<String, Tensor>;

fn fixture() -> Named {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speedrun/run.safetensors");
    candle_core::safetensors::load(path, &CPU).unwrap().into_iter().collect()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference. A NaN would be in no maximum, so none may be among the numbers.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().chain(expected).all(|number| number.is_finite()), "{found:?}");
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max)
}

/// Twelve steps of four images, as three epochs of four, so that the bias of the whitening stops after one; the losses
/// of the row `name` and the logits of the last batch, by six views, at the weights meant for evaluation.
fn trained(name: &str, fixture: &Named) -> (Vec<f64>, Tensor, Vec<(String, Tensor)>) {
    let pixels = fixture["pixels"].flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let labels = numbers(&fixture["labels"]).into_iter().map(|label| label as u32).collect();
    let classes = (0..10).map(|class| class.to_string()).collect();
    let pixels = InMemory::new("fixture", classes, ImageSize::square(32), pixels, labels).unwrap();
    let all: Arc<dyn Dataset> = Arc::new(pixels);
    let train = lookahead_data::limit(Arc::clone(&all), 16);
    let splits = Splits { name: "fixture".into(), valid: Arc::clone(&train), train, normalize: Normalize::CIFAR10 };

    let mut config = Config::for_protocol(Experiment::Cifar10, Protocol::SpeedRun);
    (config.train.epochs, config.train.batch_size) = (3.0, 4);
    let parts = SpeedNetParts { width: 1.0 / 16.0, whitening_images: 8, whitening_bias_epochs: 1 };
    config.model = ModelConfig::SpeedNet(parts);
    let row =
        Config::all_rows(Experiment::Cifar10, Protocol::SpeedRun).into_iter().find(|row| row.name == name).unwrap();
    let run = RunConfig { config, row, seed: 1 };
    let data = data(&run, splits);
    let net = SpeedNetConfig { widths: vec![16; 3], ..SpeedNetConfig::default() };
    let new = || SpeedNet::new(&net, 1, DType::F64, &CPU).unwrap();
    let network = new();
    let before = |(key, tensor): (&String, &Tensor)| Some((key.strip_prefix("before.")?.to_owned(), tensor.clone()));
    network.load(fixture.iter().filter_map(before).collect::<Named>()).unwrap();
    // In the fixture's order, not augmented.
    let loader = Loader::new(all, Pipeline::default(), LoaderConfig::evaluation(4)).unwrap();
    let mut task = Images::with(Box::new(network), &run, images(&data), &CPU).unwrap();
    task.take(loader.epoch(0, 0));
    let mut setup = Setup::with(Box::new(task), &run, 0.0, &CPU).unwrap();
    assert_eq!((setup.steps_per_epoch, setup.total_steps), (4, 12));
    let (mut time, mut losses) = (TimeSplit::default(), Vec::new());
    for step in 0..setup.total_steps {
        setup.schedules.set(&mut *setup.optimizer, step).unwrap();
        let gradients = setup.gradients(step, &mut time).unwrap();
        setup.optimizer.step(&gradients.store).unwrap();
        losses.push(gradients.loss.to_scalar::<f64>().unwrap());
    }
    let last = loader.epoch(0, 11).next().unwrap().unwrap().to_device(&CPU, &images(&data).normalize).unwrap();
    setup.optimizer.swap_evaluation_weights().unwrap();
    let at_the_end = new();
    at_the_end.load(setup.task.state().into_iter().collect::<Named>()).unwrap();
    let logits = logits(&at_the_end, &last.images.to_dtype(DType::F64).unwrap(), Views::Six).unwrap();
    (losses, logits, setup.task.state())
}

/// Rates by group, decay, the frozen bias, the triangle, the falling slow step size, the statistics pulled along and
/// the mean for the sum.
#[test]
fn twelve_steps_are_pytorchs() {
    let fixture = fixture();
    let (losses, logits, state) = trained("lookahead", &fixture);
    let gap = apart(&losses, &numbers(&fixture["losses"]));
    assert!(gap < 1e-10, "{gap}: {losses:?}");
    for (name, tensor) in state {
        let expected = numbers(&fixture[&format!("after.{name}")]);
        let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let gap = apart(&numbers(&tensor), &expected) / largest;
        assert!(gap < 1e-9, "{name}: {gap}");
    }
    // Logits are f32.
    let gap = apart(&numbers(&logits), &numbers(&fixture["views"]));
    assert!(gap < 1e-6, "{gap}");
}

/// The row `plain` has no Lookahead; the average goes the same way, and ends elsewhere.
#[test]
fn without_the_pull_training_is_plain() {
    let fixture = fixture();
    let expected = numbers(&fixture["plain.losses"]);
    let (losses, at_the_end, _) = trained("plain", &fixture);
    let gap = apart(&losses, &expected);
    assert!(gap < 1e-10, "{gap}: {losses:?}");
    let (same, at_the_average, _) = trained("average", &fixture);
    assert_eq!(same, losses);
    assert!(apart(&numbers(&at_the_end), &numbers(&at_the_average)) > 1e-3);
}
