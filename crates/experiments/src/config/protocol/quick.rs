//! `quick`: minutes on two cores.

use lookahead_data::{Mixing, Pipeline};
use lookahead_models::{Head, Stem};
use lookahead_optim::{AdamWConfig, Average, Group, LookaheadConfig, Momentum, RmsPropConfig, SgdConfig, WeightDecay};

use super::pipelines;
use crate::config::data::{DataConfig, ImagesConfig, Normalization};
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::model::{ModelConfig, SpeedNetParts};
use crate::config::names::{Experiment, ModelName, Protocol};
use crate::config::row::Row;
use crate::config::sections::{EvaluationConfig, MomentumCycle, OneCycleConfig, ScheduleConfig, TrainConfig};

/// ResNet-20, OneCycle, five epochs, three seeds. SGD's settings are from a common PyTorch recipe.
pub(super) fn config(experiment: Experiment) -> Config {
    let base = Config {
        experiment,
        protocol: Protocol::Quick,
        device: "auto".to_owned(),
        rows: rows(0.4, 5e-3),
        seeds: vec![1, 2, 3],
        model: ModelConfig::of(ModelName::ResNet20),
        data: DataConfig::Images(ImagesConfig {
            limit_train: 0,
            limit_valid: 0,
            held_out: 0.1,
            test: true,
            cache_side: 0,
            train: Pipeline::cifar(),
            valid: Pipeline::default(),
            normalize: Normalization::Dataset,
            mixing: Mixing::None,
        }),
        train: TrainConfig { epochs: 5.0, batch_size: 128, accumulate: 1, label_smoothing: 0.0 },
        schedule: ScheduleConfig::OneCycle(OneCycleConfig {
            warmup: 0.3,
            momentum: Some(MomentumCycle { high: 0.95, low: 0.85 }),
        }),
        evaluation: EvaluationConfig::default(),
    };
    match experiment {
        Experiment::Cifar10 | Experiment::Cifar100 | Experiment::Imagenet | Experiment::Language => base,
        // The speed network learns the drawn shapes in 224 steps, and its accuracy varies by at most two points between seeds and
        // instruction sets. In the same time, that of ResNet-20 varied more.
        Experiment::Demo => Config {
            model: ModelConfig::SpeedNet(SpeedNetParts {
                width: 0.25,
                whitening_images: 1_000,
                whitening_bias_epochs: 3,
            }),
            train: TrainConfig { epochs: 4.0, batch_size: 64, ..base.train },
            ..base
        },
        // The whole Imagenette recipe on small images.
        Experiment::Imagenette => {
            let (train, valid) = pipelines::fastai(96);
            Config {
                seeds: vec![1],
                model: ModelConfig::of(ModelName::ResNet18).with_ends(Stem::ImageNet, Head::Linear),
                data: base.data.with_images(|images| ImagesConfig {
                    train,
                    valid,
                    mixing: Mixing::MixupPerSample { alpha: 0.4 },
                    ..images
                }),
                train: TrainConfig { epochs: 10.0, batch_size: 64, ..base.train },
                rows: rows(0.05, 5e-3),
                ..base
            }
        }
    }
}

/// The eight rows, with SGD and AdamW at these learning rates, both alone and inside Lookahead.
pub(super) fn rows(sgd: f64, adamw: f64) -> Vec<Row> {
    // Nesterov momentum, and decay on weights only: the usual CIFAR recipe.
    let sgd = Inner::Sgd(SgdConfig {
        learning_rate: sgd,
        momentum: Momentum::nesterov(0.9),
        weight_decay: WeightDecay::L2(5e-4),
        groups: vec![Group::no_decay_on_vectors()],
        ..SgdConfig::default()
    });
    let adamw = Inner::AdamW(AdamWConfig {
        learning_rate: adamw,
        beta2: 0.99,
        weight_decay: WeightDecay::Decoupled(0.05),
        groups: vec![Group::no_decay_on_vectors()],
        ..AdamWConfig::default()
    });
    let rmsprop = Inner::RmsProp(RmsPropConfig {
        learning_rate: 3e-3,
        weight_decay: WeightDecay::Decoupled(0.05),
        groups: vec![Group::no_decay_on_vectors()],
        ..RmsPropConfig::default()
    });
    let lookahead = LookaheadConfig { sync_period: 5.into(), slow_step_size: 0.5.into(), ..LookaheadConfig::default() };
    vec![
        Row::plain(sgd.clone()),
        Row::plain(adamw.clone()),
        Row::plain(rmsprop.clone()),
        Row::lookahead(sgd.clone(), lookahead.clone()),
        Row::lookahead(adamw, lookahead.clone()),
        Row::lookahead(rmsprop, lookahead),
        Row::polyak(sgd.clone(), Average::polyak()),
        Row::ema(sgd, 0.998),
    ]
}
