//! The crop of the original experiments. It is not recommended.

use lookahead_data::{Augment, CHANNELS, Image, OwnError, Pipeline, SampleRng, Transform};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

const NAME: &str = "original-crop";

/// Pads four black pixels on each side and cuts out the image's size at an offset of 3, 4 or 5 in each direction, so
/// that the image moves by one pixel at most.
///
/// Rows and columns start at floor(9 u), with u uniform in 0.4 to 0.6: fastai 1.0's `crop_pad` received `row_pct` and
/// `col_pct` in that range, although 0 to 1 was intended.
#[derive(Debug, Clone, Copy)]
pub(super) struct OriginalCrop;

/// Black pixels on each side.
const PAD: usize = 4;

impl Augment for OriginalCrop {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, OwnError> {
        let size = image.size();
        let mut start = || (((2 * PAD + 1) as f64 * rng.range(0.4, 0.6)) as usize).min(2 * PAD);
        let (top, left) = (start(), start());
        let line = size.width * CHANNELS;
        let mut pixels = vec![0; size.bytes()];
        for (y, out) in pixels.chunks_exact_mut(line).enumerate() {
            let Some(y) = (y + top).checked_sub(PAD).filter(|y| *y < size.height) else { continue };
            let row = &image.pixels()[y * line..][..line];
            // The part of the row inside the window: to the right of a column, or to the left of one.
            match left.checked_sub(PAD) {
                Some(right) => out[..line - right.min(size.width) * CHANNELS]
                    .copy_from_slice(&row[right.min(size.width) * CHANNELS..]),
                None => {
                    let by = (PAD - left).min(size.width) * CHANNELS;
                    out[by..].copy_from_slice(&row[..line - by]);
                }
            }
        }
        Ok(Image::new(size, pixels)?)
    }
}

/// A pipeline from a file, which may contain this crop: `{ op = "own", name = "original-crop" }`.
pub(super) fn pipeline<'de, D: Deserializer<'de>>(from: D) -> Result<Pipeline, D::Error> {
    let steps: Vec<Step> = Vec::deserialize(from)?;
    Pipeline::new(steps.into_iter().map(|Step(step)| step).collect()).map_err(D::Error::custom)
}

struct Step(Transform);

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(from)?;
        let is = |key: &str, text: &str| value.get(key).and_then(toml::Value::as_str) == Some(text);
        if is("op", "own") && is("name", NAME) {
            return Ok(Self(Transform::own(OriginalCrop)));
        }
        Transform::deserialize(value).map(Self).map_err(|error| D::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use lookahead_data::ImageSize;

    use super::*;

    /// Rows of 2 and columns of 3, red 1, 2, 3 and 4, 5, 6.
    fn numbered() -> Image {
        Image::new(ImageSize::new(2, 3), (1..7).flat_map(|red| [red, 0, 0]).collect()).unwrap()
    }

    fn reds(index: usize) -> Vec<u8> {
        let moved = OriginalCrop.apply(numbered(), &mut SampleRng::new(3, 0, index)).unwrap();
        moved.pixels().iter().step_by(CHANNELS).copied().collect()
    }

    #[test]
    fn it_moves_one_pixel_at_most() {
        let moved: Vec<Vec<u8>> = (0..10_000).map(reds).collect();
        let count = |reds: [u8; 6]| moved.iter().filter(|found| ***found == reds).count() as f64 / 10_000.0;
        // floor(9 u) for u in (0.4, 0.6) is 3 below 4/9 and 5 from 5/9 on: 22.2 %, 55.6 % and 22.2 %, in each
        // direction.
        let (edge, middle) = (2.0 / 9.0, 5.0 / 9.0);
        let places: [([u8; 6], f64); 9] = [
            ([0, 0, 0, 0, 1, 2], edge * edge),
            ([0, 0, 0, 1, 2, 3], edge * middle),
            ([0, 0, 0, 2, 3, 0], edge * edge),
            ([0, 1, 2, 0, 4, 5], middle * edge),
            ([1, 2, 3, 4, 5, 6], middle * middle),
            ([2, 3, 0, 5, 6, 0], middle * edge),
            ([0, 4, 5, 0, 0, 0], edge * edge),
            ([4, 5, 6, 0, 0, 0], edge * middle),
            ([5, 6, 0, 0, 0, 0], edge * edge),
        ];
        for (reds, share) in places {
            assert!((count(reds) - share).abs() < 0.02, "{reds:?}: {} is not {share}", count(reds));
        }
        assert!((places.iter().map(|(reds, _)| count(*reds)).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn files_name_it_and_no_other() {
        #[derive(Debug, Deserialize)]
        struct File {
            #[serde(deserialize_with = "pipeline")]
            steps: Pipeline,
        }
        let read = |steps: &str| toml::from_str::<File>(&format!("steps = {steps}")).map(|file| file.steps);
        let ours = read(r#"[{ op = "own", name = "original-crop" }, { op = "flip" }]"#).unwrap();
        assert_eq!(ours.to_string(), "original-crop > flip(p 0.5)");
        let written = toml::to_string(&std::collections::BTreeMap::from([("steps", &ours)])).unwrap();
        assert_eq!(toml::from_str::<File>(&written).unwrap().steps, ours);
        let other = read(r#"[{ op = "own", name = "mine" }]"#).unwrap_err().to_string();
        assert!(other.contains("`mine` is a custom augmentation"), "{other}");
        let wrong = read(r#"[{ op = "flip", p = 2.0 }]"#).unwrap_err().to_string();
        assert!(wrong.contains("flip.p is 2"), "{wrong}");
    }
}
