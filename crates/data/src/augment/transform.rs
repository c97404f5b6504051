//! The transforms by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    AlternatingFlip, Augment, Border, CenterCrop, ColorJitter, Cutout, FastaiAugment, Flip, Own, PadCrop,
    RandomErasing, RandomResizedCrop, ShortSide, TrivialAugment,
};
use crate::{ImageSize, Result};

/// One step of a [`Pipeline`](crate::Pipeline).
///
/// In a file, each step is a table with its name under `op` and its settings; omitted settings take their defaults:
/// `{ op = "flip", p = 0.5 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Transform {
    /// Pads all sides and cuts out a random window.
    PadCrop(PadCrop),
    /// Mirrors left and right at random.
    Flip(Flip),
    /// Mirrors left and right every other epoch.
    AlternatingFlip(AlternatingFlip),
    /// Scales the shorter side.
    ShortSide(ShortSide),
    /// Cuts out the centre.
    CenterCrop(CenterCrop),
    /// Cuts out a random part and scales it.
    RandomResizedCrop(RandomResizedCrop),
    /// fastai v1's `get_transforms()` in one sampling.
    FastaiAugment(FastaiAugment),
    /// Changes brightness, contrast, saturation and hue.
    ColorJitter(ColorJitter),
    /// Paints over a random rectangle.
    RandomErasing(RandomErasing),
    /// Paints over a square.
    Cutout(Cutout),
    /// Applies one random change of random strength.
    TrivialAugment(TrivialAugment),
    /// Your own augmentation, made by [`Transform::own`]. It can be written to a file, by name, but not read back.
    Own(Own),
}

impl Transform {
    /// A step that runs your own augmentation.
    pub fn own(augment: impl Augment + 'static) -> Self {
        Self::Own(Own::new(augment))
    }

    /// Checks the settings.
    pub(super) fn validate(&self) -> Result<()> {
        match self {
            Self::PadCrop(step) => step.validate(),
            Self::Flip(step) => step.validate(),
            Self::AlternatingFlip(AlternatingFlip {}) => Ok(()),
            Self::ShortSide(step) => step.validate(),
            Self::CenterCrop(step) => step.validate(),
            Self::RandomResizedCrop(step) => step.validate(),
            Self::FastaiAugment(step) => step.validate(),
            Self::ColorJitter(step) => step.validate(),
            Self::RandomErasing(step) => step.validate(),
            Self::Cutout(step) => step.validate(),
            Self::TrivialAugment(step) => step.validate(),
            Self::Own(_) => Ok(()),
        }
    }

    /// The size of the result for an image of size `input`.
    pub(super) fn output_size(&self, input: ImageSize) -> ImageSize {
        match self {
            Self::PadCrop(step) => step.output_size(input),
            Self::ShortSide(step) => step.output_size(input),
            Self::CenterCrop(step) => ImageSize::square(step.size),
            Self::RandomResizedCrop(step) => ImageSize::square(step.size),
            Self::FastaiAugment(step) => ImageSize::square(step.size),
            Self::Flip(_) | Self::AlternatingFlip(_) => input,
            Self::ColorJitter(_) | Self::RandomErasing(_) | Self::Cutout(_) | Self::TrivialAugment(_) => input,
            Self::Own(step) => step.output_size(input),
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PadCrop(step) => {
                write!(f, "pad-crop(pad {}", step.pad)?;
                step.size.map_or(Ok(()), |side| write!(f, ", size {side}"))?;
                f.write_str(if step.border == Border::Reflect { ", reflect)" } else { ")" })
            }
            Self::Flip(step) => write!(f, "flip(p {})", step.p),
            Self::AlternatingFlip(_) => f.write_str("alternating-flip"),
            Self::ShortSide(step) => write!(f, "short-side({})", step.size),
            Self::CenterCrop(step) => write!(f, "center-crop({})", step.size),
            Self::RandomResizedCrop(step) => {
                let ([a, b], [c, d]) = (step.scale, step.ratio);
                write!(f, "random-resized-crop({}, scale {a}..{b}, ratio {c:.3}..{d:.3})", step.size)
            }
            Self::FastaiAugment(s) => {
                write!(f, "fastai-augment({}, flip {}, warp {}, ", s.size, s.flip, s.warp)?;
                write!(f, "rotate {}, zoom {}, lighting {}, ", s.rotate, s.zoom, s.lighting)?;
                write!(f, "p {} and {})", s.p_affine, s.p_lighting)
            }
            Self::ColorJitter(s) => {
                let (b, c) = (s.brightness, s.contrast);
                write!(f, "color-jitter(brightness {b}, contrast {c}, saturation {}, hue {})", s.saturation, s.hue)
            }
            Self::RandomErasing(s) => {
                let ([a, b], [c, d]) = (s.scale, s.ratio);
                write!(f, "random-erasing(p {}, scale {a}..{b}, ratio {c}..{d}, fill {:?})", s.p, s.fill)
            }
            Self::Cutout(s) => write!(f, "cutout({}, fill {:?})", s.size, s.fill),
            Self::TrivialAugment(s) => write!(f, "trivial-augment(bins {}, fill {:?})", s.bins, s.fill),
            Self::Own(step) => f.write_str(&step.name()),
        }
    }
}
