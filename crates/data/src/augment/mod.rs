//! Augmentation: transforms, and pipelines of them.
//!
//! A transform is a plain value. Its random parameters are drawn from the sample's own stream, in the order of the pipeline, so the same
//! (seed, epoch, index) gives the same bytes everywhere.

mod affine;
mod center_crop;
mod color_jitter;
#[cfg(test)]
mod draws;
mod erase;
mod fastai;
mod flip;
mod held;
#[cfg(test)]
mod in_toml;
mod levels;
mod own;
mod pad_crop;
mod pipeline;
mod resample;
mod resize;
mod resized_crop;
mod sharpen;
mod side;
#[cfg(test)]
mod torch_parity;
mod transform;
mod trivial;
mod window;

pub use center_crop::CenterCrop;
pub use color_jitter::ColorJitter;
pub use erase::{Cutout, RandomErasing};
pub use fastai::FastaiAugment;
pub use flip::{AlternatingFlip, Flip};
pub use own::{Augment, Own, OwnError};
pub use pad_crop::{Border, PadCrop};
pub(crate) use pipeline::OUTPUT_SIZE;
pub use pipeline::Pipeline;
pub use resize::ShortSide;
pub(crate) use resize::checked;
pub use resized_crop::RandomResizedCrop;
pub use transform::Transform;
pub use trivial::TrivialAugment;

use crate::{Error, Result};

/// Fails unless `value` lies in [0, 1].
fn check_probability(setting: &'static str, value: f64) -> Result<()> {
    check(setting, value, (0.0..=1.0).contains(&value), "in [0, 1]")
}

/// Fails unless `ok`. Comparisons with NaN are false, so NaN fails.
fn check(setting: &'static str, value: impl ToString, ok: bool, rule: &'static str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::setting(setting, value, rule)) }
}

/// Largest side of a transform's result: keeps one sample below 200 MB.
const MAX_SIDE: usize = 8192;

fn check_side(setting: &'static str, side: usize) -> Result<()> {
    check(setting, side, (1..=MAX_SIDE).contains(&side), "in 1..=8192")
}
