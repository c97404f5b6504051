//! An image between two transforms.

use super::resample::resample;
use super::window::Window;
use super::{RandomResizedCrop, Transform};
use crate::{Error, Image, ImageSize, ImageView, Result, SampleRng};

/// An image inside a pipeline, with pending crops and flips.
pub(super) struct Held<'a> {
    borrowed: ImageView<'a>,
    owned: Option<Image>,
    window: Window,
}

impl<'a> Held<'a> {
    /// An image without pending changes.
    pub(super) fn new(image: ImageView<'a>) -> Self {
        Self { borrowed: image, owned: None, window: Window::whole(image.size()) }
    }

    fn source(&self) -> ImageView<'_> {
        self.owned.as_ref().map_or(self.borrowed, Image::view)
    }

    fn replace(&mut self, image: Image) {
        self.window = Window::whole(image.size());
        self.owned = Some(image);
    }

    /// Applies the pending crops and flips. A second window must not restore what the first cut away.
    fn settle(&mut self) {
        if !self.window.is_whole(self.source().size()) {
            let mut image = Image::black(self.window.size);
            self.window.copy(self.source(), image.pixels_mut());
            self.replace(image);
        }
    }

    fn crop(&mut self, window: impl FnOnce(ImageSize) -> Result<Window>) -> Result<()> {
        self.settle();
        self.window = window(self.source().size())?;
        Ok(())
    }

    /// Applies one step. Crops and flips stay pending until a step needs their result.
    pub(super) fn apply(&mut self, step: &Transform, rng: &mut SampleRng) -> Result<()> {
        match step {
            Transform::PadCrop(crop) => self.crop(|size| crop.window(size, rng))?,
            Transform::CenterCrop(crop) => self.crop(|size| Ok(crop.window(size)))?,
            Transform::Flip(flip) => self.flip(flip.draw(rng)),
            Transform::AlternatingFlip(flip) => self.flip(flip.draw(rng)),
            Transform::ShortSide(resize) => self.change(|image| resize.apply(image))?,
            Transform::RandomResizedCrop(crop) => self.change(|image| crop.apply(image, rng))?,
            Transform::FastaiAugment(augment) => self.change(|image| Ok(augment.apply(image, rng)))?,
            Transform::ColorJitter(jitter) => self.paint(|image| jitter.apply(image, rng)),
            Transform::RandomErasing(erasing) => self.paint(|image| erasing.apply(image, rng)),
            Transform::Cutout(cutout) => self.paint(|image| cutout.apply(image, rng)),
            Transform::TrivialAugment(augment) => self.paint(|image| augment.apply(image, rng)),
            Transform::Own(augment) => {
                self.settle();
                let image = self.owned.take().unwrap_or_else(|| self.borrowed.to_image());
                self.replace(augment.apply(image, rng)?);
            }
        }
        Ok(())
    }

    fn flip(&mut self, flip: bool) {
        if flip {
            self.window = self.window.flipped();
        }
    }

    fn change(&mut self, f: impl FnOnce(ImageView<'_>) -> Result<Image>) -> Result<()> {
        self.settle();
        let image = f(self.source())?;
        self.replace(image);
        Ok(())
    }

    fn paint(&mut self, f: impl FnOnce(&mut Image)) {
        self.settle();
        let borrowed = self.borrowed;
        f(self.owned.get_or_insert_with(|| borrowed.to_image()));
    }

    /// The last steps, scaled and mirrored in one pass: `crop`, then `flips`.
    pub(super) fn finish_scaled(
        mut self,
        crop: &RandomResizedCrop,
        flips: &[Transform],
        rng: &mut SampleRng,
        out: &mut [u8],
    ) -> Result<()> {
        let size = ImageSize::square(crop.size);
        if out.len() != size.bytes() {
            return Err(Error::Pixels { size, images: 1, found: out.len() });
        }
        self.settle();
        let part = crop.draw(self.source().size(), rng);
        flips.iter().try_for_each(|flip| self.apply(flip, rng))?;
        // Flips change only the orientation of a whole window.
        resample(self.source(), part, size, self.window.mirrored, out);
        Ok(())
    }

    /// Applies the pending crops and flips and writes the result to `out`.
    pub(super) fn finish(self, out: &mut [u8]) -> Result<()> {
        if out.len() != self.window.size.bytes() {
            return Err(Error::Pixels { size: self.window.size, images: 1, found: out.len() });
        }
        self.window.copy(self.source(), out);
        Ok(())
    }
}

/// True for the two kinds of flip.
pub(super) fn is_flip(step: &Transform) -> bool {
    matches!(step, Transform::Flip(_) | Transform::AlternatingFlip(_))
}
