//! ImageNet: a quick recipe, and the Lookahead paper's (Zhang, Lucas, Hinton, Ba 2019, arXiv:1907.08610v2).

use lookahead_models::{Head, Stem};
use lookahead_optim::{LookaheadConfig, Momentum, SgdConfig, WeightDecay};

use super::{pipelines, quick};
use crate::config::data::ImagesConfig;
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::model::ModelConfig;
use crate::config::names::{Experiment, ModelName, Protocol};
use crate::config::row::Row;
use crate::config::sections::{ScheduleConfig, StepsConfig, TrainConfig};

/// The recipe of `protocol`, or `quick` if ImageNet does not have the protocol.
pub(super) fn config(protocol: Protocol) -> Config {
    match protocol {
        Protocol::Paper => paper(),
        Protocol::PaperShort => paper_short(),
        _ => small(),
    }
}

/// For two cores: ResNet-18 on 50,000 photographs, evenly from all classes, 64 x 64, five epochs of OneCycle. The rates
/// are those of `standard`; nothing is published for this recipe.
fn small() -> Config {
    let quick = quick::config(Experiment::Imagenet);
    let (train, valid) = pipelines::resized_crops(64, 0.35);
    Config {
        rows: quick::rows(0.2, 2e-3),
        seeds: vec![1],
        model: ModelConfig::of(ModelName::ResNet18).with_ends(Stem::ImageNet, Head::Linear),
        data: quick.data.with_images(|images| ImagesConfig { limit_train: 50_000, train, valid, ..images }),
        ..quick
    }
}

/// ResNet-50, 90 epochs, learning rate divided by 10 after 30 and 60.
///
/// The paper's baseline is PyTorch's example `imagenet/main.py`, whose defaults these are: batches of 256, SGD with
/// rate 0.1, momentum 0.9 and weight decay 1e-4 on all parameters, crops of 224 that keep 8 % of a photograph or more,
/// flips, and validation on the centre 224 of 256. Around it stands Lookahead with k = 5 and alpha = 0.5.
///
/// One thing differs: the last batch of an epoch, which is not full, is dropped.
fn paper() -> Config {
    let quick = quick::config(Experiment::Imagenet);
    let (train, valid) = pipelines::resized_crops(224, 0.08);
    let sgd = Inner::Sgd(SgdConfig {
        learning_rate: 0.1,
        momentum: Momentum::classical(0.9),
        weight_decay: WeightDecay::L2(1e-4),
        ..SgdConfig::default()
    });
    let lookahead = LookaheadConfig { sync_period: 5.into(), slow_step_size: 0.5.into(), ..LookaheadConfig::default() };
    Config {
        protocol: Protocol::Paper,
        rows: vec![Row::plain(sgd.clone()), Row::lookahead(sgd, lookahead)],
        seeds: vec![1],
        model: ModelConfig::of(ModelName::ResNet50).with_ends(Stem::ImageNet, Head::Linear),
        // Each epoch is validated on the 50,000 validation images, as published.
        data: quick.data.with_images(|images| ImagesConfig { held_out: 0.0, train, valid, ..images }),
        train: TrainConfig { epochs: 90.0, batch_size: 256, ..quick.train },
        schedule: divided_by_ten(vec![30, 60]),
        ..quick
    }
}

/// The paper's shorter schedule: 60 epochs, learning rate divided by 10 after 30, 48 and 58.
///
/// It gives figures after 50 epochs of this schedule, too: `--epochs 50`.
fn paper_short() -> Config {
    let paper = paper();
    Config {
        protocol: Protocol::PaperShort,
        train: TrainConfig { epochs: 60.0, ..paper.train },
        schedule: divided_by_ten(vec![30, 48, 58]),
        ..paper
    }
}

fn divided_by_ten(milestones: Vec<usize>) -> ScheduleConfig {
    ScheduleConfig::Steps(StepsConfig { milestones, factor: 0.1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Schedules;

    #[test]
    fn the_recipe_s_numbers() {
        let config = Config::for_protocol(Experiment::Imagenet, Protocol::Paper);
        let rows: Vec<&str> = config.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(rows, ["sgd", "lookahead-sgd"]);
        for row in &config.rows {
            let Inner::Sgd(sgd) = &row.inner else { panic!("{row:?}") };
            assert_eq!((sgd.learning_rate, sgd.momentum), (0.1, Momentum::classical(0.9)));
            assert!(sgd.weight_decay == WeightDecay::L2(1e-4) && sgd.groups.is_empty());
        }
        let around = config.rows[1].around.lookahead().unwrap();
        assert_eq!((&around.sync_period, &around.slow_step_size), (&5.into(), &0.5.into()));
        let images = config.data.images().unwrap();
        assert_eq!(
            images.train.to_string(),
            "random-resized-crop(224, scale 0.08..1, ratio 0.750..1.333) > flip(p 0.5)"
        );
        assert_eq!(images.valid.to_string(), "short-side(256) > center-crop(224)");
        // 1,281,167 images make 5,004 full batches.
        assert_eq!(config.train.total_steps(1_281_167 / config.train.batch_size), 90 * 5004);
    }

    #[test]
    fn the_rates_fall_when_the_paper_s_do() {
        for (protocol, epochs, falls) in
            [(Protocol::Paper, 90, &[30, 60][..]), (Protocol::PaperShort, 60, &[30, 48, 58][..])]
        {
            let config = Config::for_protocol(Experiment::Imagenet, protocol);
            assert_eq!(config.train.epochs, f64::from(epochs));
            let schedules = Schedules::new(&config.schedule, 0.1, config.train.total_steps(7), 7).unwrap();
            for step in 0..7 * epochs as usize {
                let fallen = falls.iter().filter(|epoch| step >= 7 * **epoch).count();
                let (rate, expected) = (schedules.learning_rate.at(step), 0.1 * 0.1_f64.powi(fallen as i32));
                assert!((rate / expected - 1.0).abs() < 1e-12, "{protocol}, step {step}: {rate}");
            }
            assert!(schedules.momentum.is_none());
        }
    }
}
