//! Changes the output size of a pipeline.

use super::{CenterCrop, FastaiAugment, PadCrop, Pipeline, RandomResizedCrop, ShortSide, Transform, check_side};
use crate::Result;

impl Pipeline {
    /// The same pipeline for square results of side `side`; `None` if [`fixed_size`](Self::fixed_size) is.
    ///
    /// Every size that a transform fixes becomes size * `side` / current side, rounded down. Lengths that fix no size stay: padding and the
    /// square of [`Cutout`](crate::Cutout). Your own steps stay, too.
    ///
    /// ```
    /// use lookahead_data::Pipeline;
    ///
    /// let small = Pipeline::imagenet_eval(256, 224)?.with_side(96)?;
    /// assert_eq!(small, Some(Pipeline::imagenet_eval(109, 96)?));
    /// assert_eq!(Pipeline::cifar().with_side(96)?, None);
    /// # Ok::<(), lookahead_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) unless `side` and every size are in 1..=8192.
    pub fn with_side(&self, side: usize) -> Result<Option<Self>> {
        let Some(present) = self.fixed_size() else { return Ok(None) };
        check_side("side", side)?;
        let scaled = |size: usize| size * side / present.height;
        Self::new(self.steps().iter().map(|step| step.with_size(scaled)).collect()).map(Some)
    }
}

impl Transform {
    /// The same transform with another size, if it fixes one.
    fn with_size(&self, other: impl Fn(usize) -> usize) -> Self {
        match *self {
            Self::PadCrop(step) => Self::PadCrop(PadCrop { size: step.size.map(other), ..step }),
            Self::ShortSide(step) => Self::ShortSide(ShortSide { size: other(step.size) }),
            Self::CenterCrop(step) => Self::CenterCrop(CenterCrop { size: other(step.size), ..step }),
            Self::RandomResizedCrop(step) => {
                Self::RandomResizedCrop(RandomResizedCrop { size: other(step.size), ..step })
            }
            Self::FastaiAugment(step) => Self::FastaiAugment(FastaiAugment { size: other(step.size), ..step }),
            Self::Flip(_) | Self::AlternatingFlip(_) => self.clone(),
            Self::ColorJitter(_) | Self::RandomErasing(_) | Self::Cutout(_) | Self::TrivialAugment(_) => self.clone(),
            Self::Own(_) => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Border, ColorJitter, Cutout, Flip, ImageSize, RandomErasing};

    #[test]
    fn every_fixed_size_follows() {
        let cases = [
            (Pipeline::imagenet_eval(256, 224), Pipeline::imagenet_eval(109, 96)),
            (Pipeline::imagenet_train(224, 0.35), Pipeline::imagenet_train(96, 0.35)),
            (Pipeline::fastai_train(224), Pipeline::fastai_train(96)),
            (Pipeline::fastai_eval(128), Pipeline::fastai_eval(96)),
        ];
        for (from, to) in cases {
            assert_eq!(from.unwrap().with_side(96).unwrap(), Some(to.unwrap()));
        }
        let steps = |side: usize, larger: usize| {
            Pipeline::new(vec![
                Transform::CenterCrop(CenterCrop { size: larger, border: Border::Reflect }),
                Transform::PadCrop(PadCrop { pad: 3, size: Some(side), border: Border::Reflect }),
                Transform::Flip(Flip { p: 0.25 }),
                Transform::ColorJitter(ColorJitter { hue: 0.1, ..ColorJitter::default() }),
                Transform::RandomErasing(RandomErasing::default()),
                Transform::Cutout(Cutout::default()),
            ])
            .unwrap()
        };
        // 41 * 24 / 32 = 30.75.
        assert_eq!(steps(32, 41).with_side(24).unwrap(), Some(steps(24, 30)));
        assert_eq!(steps(32, 41).with_side(32).unwrap(), Some(steps(32, 41)));
    }

    #[test]
    fn results_have_the_side_whatever_the_rounding() {
        for present in [1, 7, 96, 224] {
            for side in [1, 13, 100, 8192] {
                let crop = Pipeline::imagenet_train(present, 0.35).unwrap().with_side(side).unwrap().unwrap();
                assert_eq!(crop.fixed_size(), Some(ImageSize::square(side)));
            }
        }
    }

    #[test]
    fn sides_out_of_range_are_refused_and_open_sizes_are_none() {
        assert_eq!(Pipeline::cifar().with_side(16).unwrap(), None);
        assert_eq!(Pipeline::default().with_side(16).unwrap(), None);
        let short = Pipeline::new(vec![Transform::ShortSide(ShortSide { size: 64 })]).unwrap();
        assert_eq!(short.with_side(16).unwrap(), None);
        let eval = Pipeline::imagenet_eval(256, 224).unwrap();
        for side in [0, 8193, usize::MAX] {
            let message = eval.with_side(side).unwrap_err().to_string();
            assert_eq!(message, format!("side is {side}, but must be in 1..=8192"));
        }
        // The shorter side would have 9362 pixels.
        let message = eval.with_side(8192).unwrap_err().to_string();
        assert_eq!(message, "short-side.size is 9362, but must be in 1..=8192");
    }
}
