//! Pipelines: lists of transforms, as plain values.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::held::{Held, is_flip};
use super::resize::checked;
use super::{CenterCrop, FastaiAugment, Flip, PadCrop, RandomResizedCrop, ShortSide, Transform};
use crate::{Error, Image, ImageSize, ImageView, Result, SampleRng};

/// Transforms, applied in order. The default has none: the identity, which is right for evaluation on CIFAR.
///
/// A pipeline is a value: it can be compared, printed, written to a configuration file and read back. Reading validates it like
/// [`new`](Self::new).
///
/// ```
/// use lookahead_data::{Flip, ImageSize, PadCrop, Pipeline, Transform};
///
/// let pipeline = Pipeline::new(vec![Transform::PadCrop(PadCrop::default()), Transform::Flip(Flip { p: 0.5 })])?;
/// assert_eq!(pipeline, Pipeline::cifar());
/// assert_eq!(pipeline.to_string(), "pad-crop(pad 4) > flip(p 0.5)");
/// assert_eq!(pipeline.output_size(ImageSize::square(32)), ImageSize::square(32));
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Transform>", into = "Vec<Transform>")]
#[doc(alias = "Compose")]
#[doc(alias = "transforms")]
pub struct Pipeline {
    steps: Vec<Transform>,
}

/// The size of a pipeline's result, in messages.
pub(crate) const OUTPUT_SIZE: &str = "output size";

impl TryFrom<Vec<Transform>> for Pipeline {
    type Error = Error;

    fn try_from(steps: Vec<Transform>) -> Result<Self> {
        Self::new(steps)
    }
}

impl From<Pipeline> for Vec<Transform> {
    fn from(pipeline: Pipeline) -> Self {
        pipeline.steps
    }
}

impl Pipeline {
    /// A pipeline of `steps`, applied first to last.
    ///
    /// # Errors
    /// [`Error::Setting`] if a transform has a value out of range.
    pub fn new(steps: Vec<Transform>) -> Result<Self> {
        steps.iter().try_for_each(Transform::validate)?;
        Ok(Self { steps })
    }

    /// The transforms, in order.
    pub fn steps(&self) -> &[Transform] {
        &self.steps
    }

    /// CIFAR's standard: zero-pad 4, crop to the original size, flip half of the time.
    pub fn cifar() -> Self {
        Self { steps: vec![Transform::PadCrop(PadCrop::default()), Transform::Flip(Flip::default())] }
    }

    /// For training on photographs: [`RandomResizedCrop`] of `min_scale` to 1 of the area, then a flip.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `size` is in 1..=8192 and `min_scale` in (0, 1].
    pub fn imagenet_train(size: usize, min_scale: f64) -> Result<Self> {
        let crop = RandomResizedCrop { size, scale: [min_scale, 1.0], ..RandomResizedCrop::default() };
        Self::new(vec![Transform::RandomResizedCrop(crop), Transform::Flip(Flip::default())])
    }

    /// For validation on photographs: the shorter side scaled to `resize`, then the central `size` pixels.
    ///
    /// # Errors
    /// [`Error::Setting`] unless both are in 1..=8192.
    pub fn imagenet_eval(resize: usize, size: usize) -> Result<Self> {
        let steps =
            vec![Transform::ShortSide(ShortSide { size: resize }), Transform::CenterCrop(CenterCrop::new(size))];
        Self::new(steps)
    }

    /// fastai v1's `get_transforms()` with an integer size, as in the original Imagenette runs: the shorter side scaled to `size`, then
    /// [`FastaiAugment`].
    ///
    /// # Errors
    /// [`Error::Setting`] unless `size` is in 1..=8192.
    pub fn fastai_train(size: usize) -> Result<Self> {
        let augment = FastaiAugment { size, ..FastaiAugment::default() };
        Self::new(vec![Transform::ShortSide(ShortSide { size }), Transform::FastaiAugment(augment)])
    }

    /// fastai v1's validation transforms with an integer size: the shorter side scaled to `size`, then the centre.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `size` is in 1..=8192.
    pub fn fastai_eval(size: usize) -> Result<Self> {
        Self::imagenet_eval(size, size)
    }

    /// The size of the result for an image of size `input`.
    pub fn output_size(&self, input: ImageSize) -> ImageSize {
        self.steps.iter().fold(input, |size, step| step.output_size(size))
    }

    /// The size of every result, if the last steps fix it for any image.
    pub fn fixed_size(&self) -> Option<ImageSize> {
        // Two different shapes give the same size only if a step fixes it.
        let sizes = [ImageSize::new(3, 5), ImageSize::new(700, 300)].map(|size| self.output_size(size));
        (sizes[0] == sizes[1]).then_some(sizes[0])
    }

    /// Augments one image.
    ///
    /// # Errors
    /// [`Error::Setting`] unless every size has 1 to 2^26 pixels; errors of the steps.
    pub fn apply(&self, image: ImageView<'_>, rng: &mut SampleRng) -> Result<Image> {
        let mut out = Image::black(checked(OUTPUT_SIZE, self.output_size(image.size()))?);
        self.write(image, rng, out.pixels_mut())?;
        Ok(out)
    }

    /// Augments one image into `out`, (H, W, 3) of [`output_size`](Self::output_size).
    ///
    /// Crops and flips are combined and copied once. An image that is only cropped and flipped goes from `image` to `out` in one pass.
    ///
    /// # Errors
    /// [`Error::Pixels`] if `out` has another size; [`Error::Setting`] unless every size has 1 to 2^26 pixels; errors of the steps.
    pub fn write(&self, image: ImageView<'_>, rng: &mut SampleRng, out: &mut [u8]) -> Result<()> {
        let mut held = Held::new(image);
        for (i, step) in self.steps.iter().enumerate() {
            match (step, &self.steps[i + 1..]) {
                // The usual end of a pipeline for photographs: scale directly into the batch.
                (Transform::RandomResizedCrop(crop), flips) if flips.iter().all(is_flip) => {
                    return held.finish_scaled(crop, flips, rng, out);
                }
                _ => held.apply(step, rng)?,
            }
        }
        held.finish(out)
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("identity");
        }
        for (i, step) in self.steps.iter().enumerate() {
            let gap = if i == 0 { "" } else { " > " };
            write!(f, "{gap}{step}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlternatingFlip, Border, CHANNELS, ColorJitter, Cutout};

    fn image(height: usize, width: usize) -> Image {
        let pixels = (0..height * width * CHANNELS).map(|i| (i * 37 % 251) as u8).collect();
        Image::new(ImageSize::new(height, width), pixels).unwrap()
    }

    fn run(steps: Vec<Transform>, image: &Image, index: usize) -> Image {
        Pipeline::new(steps).unwrap().apply(image.view(), &mut SampleRng::new(5, 0, index)).unwrap()
    }

    #[test]
    fn the_short_way_out_gives_what_the_long_one_gives() {
        let source = image(30, 41);
        let crop = Transform::RandomResizedCrop(RandomResizedCrop { size: 16, ..RandomResizedCrop::default() });
        let flip = Transform::Flip(Flip::default());
        // A colour jitter of nothing draws from the stream after the flip and changes no pixel, but it takes the long way.
        let nothing = Transform::ColorJitter(ColorJitter::default());
        for index in 0..20 {
            let short = run(vec![crop.clone(), flip.clone()], &source, index);
            assert_eq!(short, run(vec![crop.clone(), flip.clone(), nothing.clone()], &source, index));
        }
    }

    #[test]
    fn what_one_crop_cut_away_the_next_does_not_bring_back() {
        let source = image(8, 8);
        let centre = Transform::CenterCrop(CenterCrop::new(4));
        let wide = Transform::CenterCrop(CenterCrop { size: 6, border: Border::Zero });
        let out = run(vec![centre, wide], &source, 0);
        assert_eq!(out.view().pixel(0, 0), [0; 3]);
        assert_eq!(out.view().pixel(1, 1), source.view().pixel(2, 2));
        assert_eq!(out.view().pixel(4, 4), source.view().pixel(5, 5));
    }

    #[test]
    fn pipelines_are_values() {
        let pipelines = [
            Pipeline::default(),
            Pipeline::cifar(),
            Pipeline::imagenet_train(128, 0.35).unwrap(),
            Pipeline::imagenet_eval(147, 128).unwrap(),
            Pipeline::fastai_train(128).unwrap(),
            Pipeline::new(vec![
                Transform::AlternatingFlip(AlternatingFlip {}),
                Transform::ColorJitter(ColorJitter { hue: 0.1, ..ColorJitter::default() }),
                Transform::RandomErasing(crate::RandomErasing::default()),
                Transform::Cutout(Cutout::default()),
            ])
            .unwrap(),
        ];
        for pipeline in &pipelines {
            let text = serde_json::to_string(pipeline).unwrap();
            assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), *pipeline, "{text}");
            assert_eq!(pipelines.iter().filter(|other| other.to_string() == pipeline.to_string()).count(), 1);
        }
        assert_eq!(Pipeline::default().to_string(), "identity");
        assert_eq!(
            serde_json::from_str::<Pipeline>(r#"[{"op": "pad-crop"}, {"op": "flip"}]"#).unwrap(),
            Pipeline::cifar()
        );
    }

    #[test]
    fn reading_a_pipeline_checks_it() {
        for text in [
            r#"[{"op": "flip", "p": 1.5}]"#,
            r#"[{"op": "pad-crop", "pads": 4}]"#,
            r#"[{"op": "swirl"}]"#,
            r#"[{"op": "random-resized-crop", "size": 0}]"#,
            r#"[{"op": "random-resized-crop", "scale": [0.9, 0.1]}]"#,
            r#"[{"op": "color-jitter", "hue": 0.6}]"#,
            r#"[{"op": "fastai-augment", "lighting": 1.0}]"#,
        ] {
            assert!(serde_json::from_str::<Pipeline>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_known_beforehand() {
        let photo = ImageSize::new(300, 400);
        assert_eq!(Pipeline::imagenet_eval(147, 128).unwrap().output_size(photo), ImageSize::square(128));
        assert_eq!(Pipeline::imagenet_train(96, 0.35).unwrap().fixed_size(), Some(ImageSize::square(96)));
        assert_eq!(Pipeline::cifar().fixed_size(), None);
        // A strip would become 8192 x 81,920,000.
        let strip = Pipeline::new(vec![Transform::ShortSide(ShortSide { size: 8192 })]).unwrap();
        let refused = strip.apply(image(1, 10_000).view(), &mut SampleRng::new(0, 0, 0)).unwrap_err().to_string();
        assert!(refused.contains("8192x81920000") && refused.contains("2^26"), "{refused}");
        let mut small = [0; 3];
        let written = Pipeline::imagenet_train(96, 0.35).unwrap().write(
            image(9, 9).view(),
            &mut SampleRng::new(0, 0, 0),
            &mut small,
        );
        assert!(matches!(written, Err(Error::Pixels { found: 3, .. })));
    }

    /// torchvision's algorithm: areas uniform where most shapes fit, ratios log-uniform.
    #[test]
    fn random_resized_crops_have_torchvisions_areas_and_ratios() {
        let crop = RandomResizedCrop { size: 8, scale: [0.1, 0.5], ratio: [0.75, 4.0 / 3.0] };
        let (size, count) = (ImageSize::square(1000), 20_000);
        let (mut area, mut log_ratio, mut top) = (0.0, 0.0, 0.0);
        for index in 0..count {
            let part = crop.draw(size, &mut SampleRng::new(3, 0, index));
            let (height, width) = (part.size.height as f64, part.size.width as f64);
            assert!(part.top + part.size.height <= 1000 && part.left + part.size.width <= 1000);
            assert!((0.099..0.501).contains(&(height * width / 1e6)) && (0.745..1.34).contains(&(width / height)));
            area += height * width / 1e6;
            log_ratio += (width / height).ln();
            top += part.top as f64 / (1000.0 - height).max(1.0);
        }
        // Every shape fits: uniform means 0.3, 0 and 1/2 with deviations of 0.0008, 0.0012 and 0.002; five of them each.
        let n = count as f64;
        assert!((area / n - 0.3).abs() < 0.004, "{}", area / n);
        assert!((log_ratio / n).abs() < 0.006, "{}", log_ratio / n);
        assert!((top / n - 0.5).abs() < 0.011, "{}", top / n);
    }

    #[test]
    fn where_no_shape_fits_the_middle_is_taken() {
        let crop = RandomResizedCrop { size: 8, scale: [1.0, 1.0], ratio: [0.75, 4.0 / 3.0] };
        let part = crop.draw(ImageSize::new(10, 100), &mut SampleRng::new(0, 0, 0));
        assert_eq!((part.size, part.top, part.left), (ImageSize::new(10, 13), 0, 43));
    }
}
