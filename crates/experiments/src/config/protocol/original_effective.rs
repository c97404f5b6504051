//! `original-effective`: akashpalrecha/Lookahead, 2019, as it ran under fastai 1.0.59.

use lookahead_data::Transform;
use lookahead_models::{Head, Stem};
use lookahead_optim::{Momentum, WeightDecay};

use super::{original, pipelines};
use crate::config::data::ImagesConfig;
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::names::{Experiment, Protocol};
use crate::config::original_crop::OriginalCrop;
use crate::config::row::Row;
use crate::config::sections::{MomentumCycle, OneCycleConfig, ScheduleConfig};

/// What the original code did with the values of `original`:
///
/// - **network**: torchvision's ImageNet stem (7x7 stride 2, 3x3 pooling) on 32-pixel images, under fastai's head;
/// - **crops**: offsets 3, 4 and 5 of 0 to 8, so one pixel at most; no flip; pixels in [0, 1], not normalised;
/// - **weight decay**: fastai multiplied every parameter by 1 - 0.01 lr and set the optimizer's own decay to 0;
/// - **momentum**: one cycle changed the momentum of every optimizer that has such a key, so RMSProp and the "momentum
///   0" SGD inside Lookahead ran with .95 to .85.
///
/// Two differences remain: slow weights start at the initial weights (theirs at the weights after the first step), and
/// a reset of AdamW's state also resets its step counter.
pub(super) fn config(experiment: Experiment) -> Config {
    let declared = original::config(experiment);
    let schedule = match declared.schedule {
        ScheduleConfig::OneCycleFastaiV1(cycle) => {
            let momentum = Some(MomentumCycle { high: 0.95, low: 0.85 });
            ScheduleConfig::OneCycleFastaiV1(OneCycleConfig { momentum, ..cycle })
        }
        other => other,
    };
    let cycled = matches!(schedule, ScheduleConfig::OneCycleFastaiV1(_));
    let crop = |images: ImagesConfig| match experiment {
        Experiment::Imagenette => images,
        _ => ImagesConfig { train: pipelines::of(vec![Transform::own(OriginalCrop)]), ..images },
    };
    Config {
        protocol: Protocol::OriginalEffective,
        model: declared.model.with_ends(Stem::ImageNet, Head::Fastai),
        data: declared.data.with_images(crop),
        rows: declared.rows.into_iter().map(|row| effective(row, cycled)).collect(),
        schedule,
        ..declared
    }
}

/// fastai's decay, and a momentum, which must exist from the start so that the cycle can set it at every step.
fn effective(mut row: Row, cycled: bool) -> Row {
    let decay = WeightDecay::Decoupled(0.01);
    if let Inner::Sgd(sgd) = &mut row.inner {
        sgd.weight_decay = decay;
        if cycled {
            sgd.momentum = Momentum::classical(0.95);
        }
    } else if let Inner::AdamW(adamw) = &mut row.inner {
        adamw.weight_decay = decay;
    } else if let Inner::RmsProp(rmsprop) = &mut row.inner {
        rmsprop.weight_decay = decay;
        if cycled {
            rmsprop.momentum = Some(0.95);
        }
    }
    row
}
