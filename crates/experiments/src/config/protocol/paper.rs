//! `paper`: Zhang, Lucas, Hinton, Ba: Lookahead Optimizer, 2019 (arXiv:1907.08610), the CIFAR experiments.

use lookahead_optim::{AdamWConfig, Average, LookaheadConfig, Momentum, SgdConfig, WeightDecay};

use super::{pipelines, standard};
use crate::config::data::ImagesConfig;
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::names::{Experiment, Protocol};
use crate::config::row::Row;
use crate::config::sections::{ScheduleConfig, StepsConfig, TrainConfig};

/// ResNet-18 with the 3x3 stem, batch 128, 200 epochs, learning rate times 0.2 after 60, 120 and 160, three seeds.
///
/// The settings are the best of the paper's grids, as quoted by its reproductions (appendix C.1). The paper has no
/// RMSProp; that row has the settings of `standard`. The paper has no Imagenette either; data and network are those of
/// `standard`.
pub(super) fn config(experiment: Experiment) -> Config {
    let standard = standard::config(experiment);
    let data = match experiment {
        Experiment::Imagenette => {
            let (train, valid) = pipelines::resized_crops(128, 0.35);
            standard.data.with_images(|images| ImagesConfig { train, valid, ..images })
        }
        _ => standard.data,
    };
    // The paper trains on all images and reports the test images after each epoch.
    let data = data.with_images(|images| ImagesConfig { held_out: 0.0, ..images });
    let rows = rows(standard.rows);
    Config {
        protocol: Protocol::Paper,
        seeds: vec![1, 2, 3],
        rows,
        data,
        train: TrainConfig { epochs: 200.0, batch_size: 128, ..standard.train },
        schedule: ScheduleConfig::Steps(StepsConfig { milestones: vec![60, 120, 160], factor: 0.2 }),
        ..standard
    }
}

fn rows(standard: Vec<Row>) -> Vec<Row> {
    let sgd = |learning_rate, momentum| {
        let weight_decay = WeightDecay::L2(1e-3);
        Inner::Sgd(SgdConfig { learning_rate, momentum, weight_decay, ..SgdConfig::default() })
    };
    let adamw = Inner::AdamW(AdamWConfig {
        learning_rate: 3e-4,
        weight_decay: WeightDecay::Decoupled(1.0),
        ..AdamWConfig::default()
    });
    let lookahead = LookaheadConfig { sync_period: 5.into(), slow_step_size: 0.8.into(), ..LookaheadConfig::default() };
    let rmsprop = standard.into_iter().filter(|row| row.inner.kind() == "rmsprop");
    let rmsprop: Vec<Row> = rmsprop
        .map(|mut row| {
            if let Some(around) = row.around.lookahead_mut() {
                *around = lookahead.clone();
            }
            row
        })
        .collect();
    let (alone, inside) = rmsprop.into_iter().partition(|row| row.around.lookahead().is_none());
    let classical = Momentum::classical(0.9);
    [
        vec![Row::plain(sgd(0.05, classical)), Row::plain(adamw.clone())],
        alone,
        vec![Row::lookahead(sgd(0.1, classical), lookahead.clone()), Row::lookahead(adamw, lookahead)],
        inside,
        vec![
            Row::polyak(sgd(0.3, Momentum::None), Average::Polyak { start: 0, power: 0.0 }),
            Row::ema(sgd(0.05, classical), 0.998),
        ],
    ]
    .concat()
}
