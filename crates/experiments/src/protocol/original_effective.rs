//! `original-effective`: akashpalrecha/Lookahead, 2019, as it ran under fastai 1.0.59.

use crate::config::{
    AdamWSettings, Augmentation, Config, DataSettings, ModelSettings, RmsPropSettings, ScheduleKind, ScheduleSettings,
    SgdSettings,
};
use crate::names::{Experiment, Head, Protocol, Stem};

/// What the code did with the values of `original`:
///
/// - **network**: torchvision's ImageNet stem (7x7 stride 2, 3x3 pooling) on 32-pixel images, under fastai's head;
/// - **crops**: offsets 3, 4 and 5 of 0 to 8, so one pixel at most; no flip; pixels in [0, 1], not normalised;
/// - **weight decay**: fastai multiplied every parameter by 1 - 0.01 lr and set the optimizer's own decay to 0;
/// - **momentum**: one cycle moved the momentum of every optimizer that has such a key, so RMSProp and the "momentum 0" SGD
///   inside Lookahead ran with .95 to .85.
///
/// Two things stay different: slow weights start at the initial weights (theirs at those after the first step), and a
/// reset of AdamW's state resets its step counter too.
pub(super) fn config(experiment: Experiment) -> Config {
    let declared = super::original::config(experiment);
    let cycled = declared.schedule.kind == ScheduleKind::OneCycleFastaiV1;
    let imagenette = experiment == Experiment::Imagenette;
    let sgd = |s: SgdSettings| SgdSettings {
        // A momentum that the cycle sets at every step must exist from the start.
        momentum: if cycled { 0.95 } else { s.momentum },
        weight_decay: 0.01,
        decoupled: true,
        ..s
    };
    let adamw = |s: AdamWSettings| AdamWSettings { weight_decay: 0.01, ..s };
    let rmsprop = |s: RmsPropSettings| RmsPropSettings {
        momentum: if cycled { 0.95 } else { s.momentum },
        weight_decay: 0.01,
        decoupled: true,
        ..s
    };
    Config {
        protocol: Protocol::OriginalEffective,
        model: ModelSettings { stem: Stem::Imagenet, head: Head::Fastai, ..declared.model },
        data: DataSettings {
            augmentation: if imagenette { Augmentation::FastaiV1 } else { Augmentation::OriginalCrop },
            ..declared.data
        },
        schedule: ScheduleSettings { cycle_momentum: cycled, ..declared.schedule },
        sgd: sgd(declared.sgd),
        lookahead_sgd: sgd(declared.lookahead_sgd),
        polyak: sgd(declared.polyak),
        adamw: adamw(declared.adamw),
        lookahead_adamw: adamw(declared.lookahead_adamw),
        rmsprop: rmsprop(declared.rmsprop),
        lookahead_rmsprop: rmsprop(declared.lookahead_rmsprop),
        ..declared
    }
}
