//! The embedded data set: ten kinds of shapes, drawn from a seed.

mod outline;
mod paint;

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::rng::{Purpose, SampleRng};
use crate::{Dataset, Error, ImageSize, InMemory, Normalize, Result, Splits};
use outline::Outline;

/// Side of the drawn images.
const SIZE: ImageSize = ImageSize::square(32);

/// Number of shapes to draw, and the seed.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `seed` | 0 | another seed draws other images of the same ten classes | any |
/// | `train` | 4000 | training images | 1..=10,000,000 |
/// | `valid` | 1000 | validation images | 1..=10,000,000 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapesConfig {
    /// Seed; another seed draws other images.
    pub seed: u64,
    /// Number of training images.
    pub train: usize,
    /// Number of validation images.
    pub valid: usize,
}

impl Default for ShapesConfig {
    fn default() -> Self {
        Self { seed: 0, train: 4000, valid: 1000 }
    }
}

/// Ten classes of 32 x 32 colour images that need no download.
///
/// Each image shows one outline (disc, ring, half-disc, crescent, triangle, square, pentagon, hexagon, star or cross) with random place,
/// size, angle, stretch, colours and texture on a random ground, with smaller distracting blobs, a bar across, uneven light and noise.
/// Image i of a part and its class, uniform over the ten, depend only on (seed, part, i).
///
/// ```
/// use lookahead_data::{Dataset, Shapes, ShapesConfig};
///
/// let shapes = Shapes::draw(&ShapesConfig { train: 20, valid: 10, seed: 1 })?;
/// assert_eq!(shapes.train.len(), 20);
/// assert_eq!(shapes.valid.classes()[9], "cross");
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Shapes;

impl Shapes {
    /// Mean and standard deviation of the drawn pixels (seed 0, 4000 images).
    pub const NORMALIZE: Normalize = Normalize { mean: [0.332, 0.334, 0.335], std: [0.216, 0.215, 0.217] };

    /// Draws both parts on all cores.
    ///
    /// # Errors
    /// [`Error::Setting`] if a number of images is out of range.
    pub fn draw(config: &ShapesConfig) -> Result<Splits> {
        let part = |name: &str, setting, part, count: usize| -> Result<Arc<dyn Dataset>> {
            if !(1..=MAX_IMAGES).contains(&count) {
                return Err(Error::setting(setting, count, "in 1..=10,000,000"));
            }
            Ok(Arc::new(draw_part(&format!("shapes/{name}"), config.seed, part, count)?))
        };
        Ok(Splits {
            name: "shapes".to_string(),
            train: part("train", "shapes.train", 0, config.train)?,
            valid: part("valid", "shapes.valid", 1, config.valid)?,
            normalize: Self::NORMALIZE,
        })
    }
}

/// Maximum number of images of a part: 30 GB.
const MAX_IMAGES: usize = 10_000_000;

fn draw_part(name: &str, seed: u64, part: u64, count: usize) -> Result<InMemory> {
    let classes = Outline::ALL.map(|outline| outline.name().to_string()).to_vec();
    let mut pixels = vec![0; count * SIZE.bytes()];
    let images = pixels.par_chunks_exact_mut(SIZE.bytes()).enumerate();
    let labels = images.map(|(i, out)| {
        let rng = &mut SampleRng::keyed(seed, Purpose::Shapes, part, i as u64);
        let label = rng.below(Outline::ALL.len() as u32);
        paint::paint(Outline::ALL[label as usize], rng, out);
        label
    });
    let labels = labels.collect();
    InMemory::new(name, classes, SIZE, pixels, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_depend_on_seed_part_and_index_alone() {
        let draw = |seed, train| Shapes::draw(&ShapesConfig { seed, train, valid: 10 }).unwrap();
        let (a, b) = (draw(3, 30), draw(3, 20));
        for i in 0..20 {
            assert_eq!(a.train.get(i).unwrap(), b.train.get(i).unwrap());
        }
        assert_ne!(a.train.get(0).unwrap().image, draw(4, 20).train.get(0).unwrap().image);
        assert_ne!(a.train.get(0).unwrap().image, a.valid.get(0).unwrap().image);
        assert_ne!(a.train.get(0).unwrap().image, a.train.get(10).unwrap().image);
    }

    #[test]
    fn pixels_are_pinned() {
        let digest = Shapes::draw(&ShapesConfig { seed: 0, train: 100, valid: 1 }).unwrap().train.digest().unwrap();
        assert_eq!(digest, PINNED);
    }
    /// A change of this means that every demo comes out different: CHANGELOG.
    const PINNED: &str = "7a8b11b1f0ff4df8e01f763ed037dfb087b51cfd3533dacbd25bbe18bce43134";

    #[test]
    fn normalisation_is_that_of_the_drawn_pixels() {
        let train = Shapes::draw(&ShapesConfig::default()).unwrap().train;
        let (mut sums, mut squares) = ([0.0; 3], [0.0; 3]);
        for i in 0..train.len() {
            for pixel in train.get(i).unwrap().image.pixels().as_chunks::<3>().0 {
                for c in 0..3 {
                    let value = f64::from(pixel[c]) / 255.0;
                    sums[c] += value;
                    squares[c] += value * value;
                }
            }
        }
        let count = (train.len() * 32 * 32) as f64;
        let means = sums.map(|sum| sum / count);
        let stds: [f64; 3] = std::array::from_fn(|c| (squares[c] / count - means[c] * means[c]).sqrt());
        let close = |stated: [f32; 3], drawn: [f64; 3]| {
            stated.iter().zip(drawn).all(|(stated, drawn)| (f64::from(*stated) - drawn).abs() < 1e-3)
        };
        let Normalize { mean, std } = Shapes::NORMALIZE;
        assert!(close(mean, means) && close(std, stds), "drawn: mean {means:.4?}, deviation {stds:.4?}");
    }

    #[test]
    fn no_images_are_refused() {
        let config = ShapesConfig { train: 0, ..ShapesConfig::default() };
        assert!(matches!(Shapes::draw(&config), Err(Error::Setting { setting: "shapes.train", .. })));
    }
}
