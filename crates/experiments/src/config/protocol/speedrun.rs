//! `speedrun` and `sprint`: airbench94, the recipe that reaches 94 % on CIFAR-10 in 9.9 epochs and includes Lookahead.

use lookahead_data::{AlternatingFlip, Border, CenterCrop, Mixing, PadCrop, Pipeline, ShortSide, Transform};
use lookahead_optim::lookahead::BufferPolicy;
use lookahead_optim::{AdamWConfig, Group, LookaheadConfig, Momentum, SgdConfig, WeightDecay};

use crate::config::data::{DataConfig, ImagesConfig, Normalization};
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::model::{ModelConfig, SpeedNetParts};
use crate::config::names::{Experiment, Protocol};
use crate::config::row::{Around, Row};
use crate::config::sections::{EvaluationConfig, ScheduleConfig, TrainConfig, TriangleConfig, Views};

/// Jordan: *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*, 2024, arXiv:2404.00498, `airbench94.py`.
///
/// As in the speed records, all training images are trained on, and each epoch is validated on the test images; nothing
/// is selected by them. The recipe sums its loss over the 1,024 images of a batch. Here it is the mean, with a learning
/// rate 1,024 times as high and a weight decay 1,024 times as low, which gives the same run. Photographs, which the
/// recipe does not cover, are scaled to 32 pixels.
pub(super) fn config(experiment: Experiment) -> Config {
    let (train, valid) = pipelines(experiment);
    Config {
        experiment,
        protocol: Protocol::SpeedRun,
        device: "auto".to_owned(),
        rows: rows(),
        seeds: vec![1, 2, 3],
        model: ModelConfig::SpeedNet(SpeedNetParts::default()),
        data: DataConfig::Images(ImagesConfig {
            limit_train: 0,
            limit_valid: 0,
            held_out: 0.0,
            test: true,
            cache_side: 0,
            train,
            valid,
            normalize: Normalization::Dataset,
            mixing: Mixing::None,
        }),
        train: TrainConfig { epochs: 9.9, batch_size: 1024, accumulate: 1, label_smoothing: 0.2 },
        schedule: ScheduleConfig::Triangle(TriangleConfig { first: 0.2, warmup: 0.23, last: 0.07 }),
        evaluation: EvaluationConfig { views: Views::Six, target: 94.0 },
    }
}

/// For comparisons with many seeds: half the width, seven epochs.
pub(super) fn sprint(experiment: Experiment) -> Config {
    let config = config(experiment);
    Config {
        protocol: Protocol::Sprint,
        seeds: vec![1, 2, 3],
        model: ModelConfig::SpeedNet(SpeedNetParts { width: 0.5, ..SpeedNetParts::default() }),
        train: TrainConfig { epochs: 7.0, ..config.train },
        evaluation: EvaluationConfig { target: 87.0, ..config.evaluation },
        ..config
    }
}

/// Moves the image by up to two pixels, with reflected edges, and mirrors it every other epoch.
fn pipelines(experiment: Experiment) -> (Pipeline, Pipeline) {
    let size = match experiment {
        Experiment::Imagenette => {
            vec![Transform::ShortSide(ShortSide { size: 32 }), Transform::CenterCrop(CenterCrop::new(32))]
        }
        _ => Vec::new(),
    };
    let shift = PadCrop { pad: 2, border: Border::Reflect, ..PadCrop::default() };
    let augment = [Transform::PadCrop(shift), Transform::AlternatingFlip(AlternatingFlip {})];
    // All settings are constants within their ranges; a test checks this.
    let pipeline = |steps| Pipeline::new(steps).unwrap_or_default();
    (pipeline([size.clone(), augment.to_vec()].concat()), pipeline(size))
}

/// The recipe; the same without Lookahead, with the average only, and with an exponential average; AdamW with and
/// without Lookahead.
fn rows() -> Vec<Row> {
    // Batch norm's shifts have 64 times the learning rate and a 64th of the decay, so their decay per step equals the
    // others'.
    let shifts = || Group { learning_rate_scale: 64.0, weight_decay_scale: 1.0 / 64.0, ..Group::named("*norm*.bias") };
    // airbench counts in thousands of steps of one image, decoupled from momentum 0.85: 11.5 and 0.0153.
    let sgd = Inner::Sgd(SgdConfig {
        learning_rate: LEARNING_RATE,
        momentum: Momentum::nesterov(0.85),
        weight_decay: WeightDecay::L2(0.0153 / LEARNING_RATE * BATCH / KILO_STEP),
        groups: vec![shifts()],
        ..SgdConfig::default()
    });
    let adamw = Inner::AdamW(AdamWConfig {
        learning_rate: 5e-3,
        beta2: 0.99,
        weight_decay: WeightDecay::Decoupled(0.05),
        groups: vec![Group::no_decay_on_vectors()],
        ..AdamWConfig::default()
    });
    let falling = LookaheadConfig {
        sync_period: 5.into(),
        slow_step_size: 1.0.into(),
        buffer_policy: BufferPolicy::Average,
        ..LookaheadConfig::default()
    };
    let around = |inner: &Inner, config: LookaheadConfig| Row {
        around: Around::LookaheadFalling(config),
        ..Row::plain(inner.clone())
    };
    let ema =
        LookaheadConfig { sync_period: 1.into(), slow_step_size: 0.02.into(), pulls_back: false, ..falling.clone() };
    vec![
        around(&sgd, falling.clone()).named("lookahead", "Lookahead"),
        Row::plain(sgd.clone()).named("plain", "Plain"),
        around(&sgd, LookaheadConfig { pulls_back: false, ..falling.clone() }).named("average", "Average"),
        Row { around: Around::Lookahead(ema), ..Row::plain(sgd) }.named("ema", "EMA"),
        Row::plain(adamw.clone()),
        around(&adamw, falling).named("lookahead-adamw", "Lookahead/AdamW"),
    ]
}

/// Images per batch.
const BATCH: f64 = 1024.0;
/// airbench's divisor, 1,024 (1 + 1 / (1 - 0.85)).
const KILO_STEP: f64 = BATCH * (1.0 + 1.0 / 0.15);
/// For the mean loss: 1.5.
const LEARNING_RATE: f64 = 11.5 / KILO_STEP * BATCH;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_numbers_for_a_mean_loss() {
        let config = config(Experiment::Cifar10);
        let Inner::Sgd(sgd) = &config.rows[0].inner else { panic!() };
        let WeightDecay::L2(decay) = sgd.weight_decay else { panic!() };
        // By hand: 11.5 / 7850.67 * 1024 and 1.3624 / 1024; for the shifts 64 times the rate, and 2.129e-2 / 1024.
        assert!((sgd.learning_rate - 1.5).abs() < 1e-12 && (decay - 1.3304e-3).abs() < 1e-7, "{decay}");
        assert!((decay * sgd.groups[0].weight_decay_scale - 2.0788e-5).abs() < 1e-9);
        assert_eq!(config.train.total_steps(48), 476);
    }

    #[test]
    fn pipelines_are_what_they_say() {
        let (train, valid) = pipelines(Experiment::Cifar10);
        assert_eq!(train.to_string(), "pad-crop(pad 2, reflect) > alternating-flip");
        assert_eq!(valid, Pipeline::default());
        assert_eq!(pipelines(Experiment::Imagenette).1.to_string(), "short-side(32) > center-crop(32)");
    }
}
