//! `original`: akashpalrecha/Lookahead, 2019, as its notebooks and slides declare it.

use lookahead_data::{Mixing, Pipeline};
use lookahead_models::{Head, Stem};
use lookahead_optim::{AdamWConfig, Average, LookaheadConfig, Momentum, RmsPropConfig, SgdConfig, WeightDecay};

use super::{pipelines, quick};
use crate::config::data::{ImagesConfig, Normalization};
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::model::ModelConfig;
use crate::config::names::{Experiment, ModelName, Protocol};
use crate::config::row::Row;
use crate::config::sections::{OneCycleConfig, ScheduleConfig, StepsConfig, TrainConfig};

/// The hyper-parameters of the notebooks, with the network and the augmentation that the slides name: the paper's, 4
/// pixels of zero padding, random crop, random flip. As in the notebooks, Lookahead's SGD has no momentum, and its
/// AdamW has a learning rate a hundred times that of AdamW alone.
///
/// CIFAR-10 divides the learning rate by 5 after the epochs 61, 121 and 161 (the callback names 60, 120 and 160 but
/// acts at their end); CIFAR-100 and Imagenette use one cycle. One run per cell. The notebooks with state resets gave
/// Lookahead's SGD a momentum of 0.9 (`--state reset --set "lookahead-sgd.momentum={classical={momentum=0.9}}"`) and, on
/// CIFAR-100, 120 epochs; without momentum, SGD has nothing to reset.
pub(super) fn config(experiment: Experiment) -> Config {
    let quick = quick::config(experiment);
    let one_cycle = experiment != Experiment::Cifar10 && experiment != Experiment::Demo;
    let imagenette = experiment == Experiment::Imagenette;
    let (train, valid) = match imagenette {
        true => pipelines::fastai(224),
        false => (Pipeline::cifar(), Pipeline::default()),
    };
    Config {
        experiment,
        protocol: Protocol::Original,
        device: "auto".to_owned(),
        rows: rows(imagenette),
        seeds: vec![1],
        model: match imagenette {
            true => ModelConfig::of(ModelName::ResNet50).with_ends(Stem::ImageNet, Head::Linear),
            false => ModelConfig::of(ModelName::ResNet18),
        },
        data: quick.data.with_images(|images| ImagesConfig {
            train,
            valid,
            normalize: Normalization::UnitRange,
            held_out: 0.0, // each epoch was validated on the test images
            mixing: if imagenette { Mixing::MixupPerSample { alpha: 0.4 } } else { Mixing::None },
            ..images
        }),
        train: TrainConfig {
            epochs: match experiment {
                Experiment::Imagenette => 40.0,
                Experiment::Cifar100 => 100.0,
                _ => 200.0,
            },
            batch_size: 128,
            accumulate: 1,
            label_smoothing: 0.0,
        },
        schedule: match one_cycle {
            true => ScheduleConfig::OneCycleFastaiV1(OneCycleConfig { warmup: 0.3, momentum: None }),
            false => ScheduleConfig::Steps(StepsConfig { milestones: vec![61, 121, 161], factor: 0.2 }),
        },
        evaluation: quick.evaluation,
    }
}

fn rows(imagenette: bool) -> Vec<Row> {
    let sgd = |learning_rate, momentum, weight_decay| {
        Inner::Sgd(SgdConfig { learning_rate, momentum, weight_decay, ..SgdConfig::default() })
    };
    let adamw = |learning_rate, decay| {
        let weight_decay = WeightDecay::Decoupled(decay);
        Inner::AdamW(AdamWConfig { learning_rate, weight_decay, ..AdamWConfig::default() })
    };
    let rmsprop = Inner::RmsProp(RmsPropConfig { weight_decay: WeightDecay::L2(1e-3), ..RmsPropConfig::default() });
    let lookahead = LookaheadConfig { sync_period: 5.into(), slow_step_size: 0.5.into(), ..LookaheadConfig::default() };
    let alone = sgd(0.05, Momentum::classical(0.9), WeightDecay::L2(1e-3));
    vec![
        Row::plain(alone.clone()),
        Row::plain(if imagenette { adamw(0.01, 0.03) } else { adamw(1e-3, 0.3) }),
        Row::plain(rmsprop.clone()),
        Row::lookahead(sgd(0.1, Momentum::None, WeightDecay::None), lookahead.clone()),
        Row::lookahead(adamw(0.1, 0.3), lookahead.clone()),
        Row::lookahead(rmsprop, lookahead),
        Row::polyak(alone.clone(), Average::ema(0.998)),
        Row::ema(alone, 0.998),
    ]
}
