//! What the loop promises, each with a test that fails when the promise is broken.

mod accumulation;
mod divergence;
mod held_out;
mod language;
mod resume;
mod schedule;
mod speedrun;
mod trajectory;
mod weights;

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::Device;
use lookahead_data::{Shapes, ShapesConfig, Splits};
use lookahead_optim::parameter::Parameter;
use lookahead_optim::{LookaheadConfig, Optimizer};
use lookahead_runs::{Environment, Opened, Record, RunFolder};

use super::{Interrupt, LoopOptions, Watch};
use crate::config::{Config, Experiment, Inner, ModelConfig, ModelName, Protocol, Row, RunConfig};
use crate::parts::{Data, ImageData};

/// The demo on few images with ResNet-20, none held out: batches of eight, one epoch, a line of metrics a step.
fn run(row: Row, change: impl FnOnce(&mut Config)) -> RunConfig {
    let mut config = Config::for_protocol(Experiment::Demo, Protocol::Quick);
    config.model = ModelConfig::of(ModelName::ResNet20);
    (config.train.epochs, config.train.batch_size) = (1.0, 8);
    config.data.images_mut().unwrap().held_out = 0.0;
    change(&mut config);
    config.validate().unwrap();
    RunConfig { config, row, seed: 1 }
}

/// A row of the protocol `quick`.
fn row(name: &str) -> Row {
    let all = Config::all_rows(Experiment::Demo, Protocol::Quick);
    all.into_iter().find(|row| row.name == name).unwrap()
}

/// Lookahead around the protocol's SGD.
fn lookahead(config: LookaheadConfig) -> Row {
    Row::lookahead(sgd(), config)
}

fn sgd() -> Inner {
    row("sgd").inner
}

fn shapes(train: usize, valid: usize) -> Splits {
    Shapes::draw(&ShapesConfig { train, valid, ..ShapesConfig::default() }).unwrap()
}

fn data(run: &RunConfig, splits: Splits) -> Data {
    ImageData::new(splits, run.config.images().unwrap()).unwrap().into()
}

fn images(data: &Data) -> &ImageData {
    match data {
        Data::Images(images) => images,
        Data::Text(_) => panic!("a text"),
    }
}

fn open(root: &Path, run: &RunConfig, data: &Data) -> RunFolder {
    match RunFolder::open(root, &run.name(), &run.to_table(), data.about(), &Environment::default()).unwrap() {
        Opened::ToDo(folder) => folder,
        Opened::Done(_) => panic!("done before"),
    }
}

fn options() -> LoopOptions {
    LoopOptions { log_every: 1, checkpoint_every: None, interrupt: Interrupt::default() }
}

/// Watches, and asks the loop to stop once `at` steps are done.
struct StopAt {
    at: usize,
    interrupt: Interrupt,
}

impl Watch for StopAt {
    fn begin(&mut self, _epochs: usize, _steps: usize, _done: usize, _before: &lookahead_runs::Log) {}
    fn steps(&mut self, done: usize) {
        if done == self.at {
            self.interrupt.ask();
        }
    }
    fn record(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
}

/// Learning rate and momentum of each step.
type Seen = Arc<Mutex<Vec<(f64, Option<f64>)>>>;

/// An optimizer that writes down what it is given, and spoils the weights after one of its steps.
#[derive(Debug)]
struct Probe {
    inner: Box<dyn Optimizer>,
    seen: Seen,
    /// The step after which a weight is no number.
    spoil: Option<usize>,
}

impl Optimizer for Probe {
    fn inner(&self) -> Option<&dyn Optimizer> {
        Some(&self.inner)
    }
    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        Some(&mut self.inner)
    }
    fn parameters(&self) -> &[Parameter] {
        self.inner.parameters()
    }
    fn step(&mut self, grads: &candle_core::backprop::GradStore) -> lookahead_optim::Result<()> {
        self.inner.step(grads)?;
        let mut seen = self.seen.lock().unwrap();
        if self.spoil == Some(seen.len()) {
            let parameter = &self.inner.parameters()[0];
            parameter.var().set(&(parameter.var().as_detached_tensor() * f64::NAN)?)?;
            parameter.publish()?;
        }
        seen.push((self.inner.learning_rate(), self.inner.momentum()));
        Ok(())
    }
    fn learning_rate(&self) -> f64 {
        self.inner.learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.inner.set_learning_rate(learning_rate);
    }
}

const CPU: Device = Device::Cpu;
