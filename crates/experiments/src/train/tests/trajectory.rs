//! Ten losses, pinned: the whole path from pixels to weights against silent drift.

use candle_core::DType;
use lookahead_data::Mixing;
use lookahead_models::{ResNet, ResNetConfig};
use lookahead_optim::{LookaheadConfig, StatePolicy};

use super::{CPU, data, images, open, options, row, run, shapes};
use crate::config::Row;
use crate::train::{Images, Setup, Unwatched, train_from};

/// Measured by this test when it was written. They say that the path is the same, not that it is right.
const LOSSES: [f64; 10] = [
    2.4343310382694656,
    2.540764326390917,
    2.519336770714334,
    2.4009295255712764,
    2.630443809246965,
    2.3025522477893774,
    2.402022053041511,
    2.479908564813246,
    2.112482509558391,
    2.3945757548283377,
];

/// In f64 the order of sums, and with it the processor, is far below the tolerance: shapes, crops, flips and mixup,
/// batch norm, AdamW inside Lookahead with interpolation, one cycle of rate and momentum, parts that are accumulated.
#[test]
fn the_first_ten_losses_are_what_they_were() {
    let around =
        LookaheadConfig { sync_period: 3.into(), state_policy: StatePolicy::Interpolate, ..LookaheadConfig::default() };
    let run = run(Row::lookahead(row("adamw").inner, around), |config| {
        (config.train.epochs, config.train.accumulate, config.train.label_smoothing) = (2.0, 2, 0.1);
        config.data.images_mut().unwrap().mixing = Mixing::Mixup { alpha: 0.4 };
    });
    let data = data(&run, shapes(40, 10));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let network = Box::new(ResNet::new(&ResNetConfig::resnet20(10), run.seed, DType::F64, &CPU).unwrap());
    let task = Images::with(network, &run, images(&data), &CPU).unwrap();
    let setup = Setup::with(Box::new(task), &run, 0.0, &CPU).unwrap();
    train_from(setup, &folder, &options(), &mut Unwatched).unwrap();
    let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
    let losses: Vec<f64> = log.steps.iter().map(|step| step.train_loss).collect();
    assert!(losses.len() == LOSSES.len() && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let apart = losses.iter().zip(LOSSES).map(|(now, was)| (now - was).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-9, "{losses:?}");
}
