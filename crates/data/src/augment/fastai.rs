//! fastai v1's `get_transforms()`, the augmentation of the original Imagenette runs.

use serde::{Deserialize, Serialize};

use super::{check, check_probability, check_side};
use crate::{CHANNELS, Image, ImageSize, ImageView, Result, SampleRng};

/// Random crop, flip, symmetric warp, rotation, zoom, brightness and contrast in a single sampling.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `size` | 224 | side of the result, cut from a random place | 1..=8192 |
/// | `flip` | 0.5 | probability of a flip | \[0, 1\] |
/// | `warp` | 0.2 | largest tilt of the symmetric warp; each of four magnitudes is uniform in -warp to warp | \[0, 0.9\] |
/// | `rotate` | 10 | largest angle in degrees, uniform | \[0, 180\] |
/// | `zoom` | 1.1 | largest zoom, uniform from 1, around a random point | \[1, 100\] |
/// | `lighting` | 0.2 | l: brightness uniform in (1 - l) / 2 to (1 + l) / 2, contrast log-uniform in 1 - l to 1 / (1 - l) | \[0, 1) |
/// | `p_affine` | 0.75 | probability of each of warp, rotation and zoom | \[0, 1\] |
/// | `p_lighting` | 0.75 | probability of each of brightness and contrast | \[0, 1\] |
///
/// Warp, rotation, zoom, crop and flip are composed into one map from pixels of the result to places in the image. The image is sampled
/// once, bilinearly, and reflected at the border. Brightness adds logit(b) to the logit of each value; contrast multiplies the logit.
///
/// # Differences
/// fastai resizes in the same sampling, without antialiasing except for strong shrinking; here [`super::ShortSide`] runs first
/// ([`super::Pipeline::fastai_train`]). The grid is that of pixel centres; fastai 1.0 built one with aligned corners, which newer versions
/// of PyTorch interpret as a zoom of 1 / size.
///
/// # References
/// fastai 1.0.61, `vision/transform.py` and `vision/image.py`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "get_transforms")]
#[doc(alias = "aug_transforms")]
pub struct FastaiAugment {
    /// Side of the result.
    pub size: usize,
    /// Probability of a flip.
    pub flip: f64,
    /// Largest tilt.
    pub warp: f64,
    /// Largest angle in degrees.
    pub rotate: f64,
    /// Largest zoom.
    pub zoom: f64,
    /// Range of brightness and contrast.
    pub lighting: f64,
    /// Probability of each of warp, rotation and zoom.
    pub p_affine: f64,
    /// Probability of each of brightness and contrast.
    pub p_lighting: f64,
}

impl Default for FastaiAugment {
    fn default() -> Self {
        Self {
            size: 224,
            flip: 0.5,
            warp: 0.2,
            rotate: 10.0,
            zoom: 1.1,
            lighting: 0.2,
            p_affine: 0.75,
            p_lighting: 0.75,
        }
    }
}

/// The random choices for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FastaiDraw {
    /// Position of the crop among the possible ones, rows and columns, in \[0, 1).
    pub(crate) crop: [f64; 2],
    pub(crate) flip: bool,
    pub(crate) warp: Option<[f64; 4]>,
    /// Degrees.
    pub(crate) rotate: Option<f64>,
    /// Scale, and focus of rows and columns in \[0, 1).
    pub(crate) zoom: Option<[f64; 3]>,
    /// Brightness in (0, 1); 1/2 changes nothing.
    pub(crate) brightness: Option<f64>,
    pub(crate) contrast: Option<f64>,
}

impl FastaiAugment {
    pub(super) fn validate(&self) -> Result<()> {
        check_side("fastai-augment.size", self.size)?;
        check("fastai-augment.warp", self.warp, (0.0..=0.9).contains(&self.warp), "in [0, 0.9]")?;
        check("fastai-augment.rotate", self.rotate, (0.0..=180.0).contains(&self.rotate), "in [0, 180]")?;
        check("fastai-augment.zoom", self.zoom, (1.0..=100.0).contains(&self.zoom), "in [1, 100]")?;
        check("fastai-augment.lighting", self.lighting, (0.0..1.0).contains(&self.lighting), "in [0, 1)")?;
        check_probability("fastai-augment.flip", self.flip)?;
        check_probability("fastai-augment.p_affine", self.p_affine)?;
        check_probability("fastai-augment.p_lighting", self.p_lighting)
    }

    pub(crate) fn draw(&self, rng: &mut SampleRng) -> FastaiDraw {
        let crop = [rng.unit(), rng.unit()];
        let flip = rng.coin(self.flip);
        let warp = rng.coin(self.p_affine).then(|| std::array::from_fn(|_| rng.range(-self.warp, self.warp)));
        let rotate = rng.coin(self.p_affine).then(|| rng.range(-self.rotate, self.rotate));
        let zoom = rng.coin(self.p_affine).then(|| [rng.range(1.0, self.zoom), rng.unit(), rng.unit()]);
        let (low, high) = (0.5 * (1.0 - self.lighting), 0.5 * (1.0 + self.lighting));
        let brightness = rng.coin(self.p_lighting).then(|| rng.range(low, high));
        let edge = (1.0 - self.lighting).ln();
        let contrast = rng.coin(self.p_lighting).then(|| rng.range(edge, -edge).exp());
        FastaiDraw { crop, flip, warp, rotate, zoom, brightness, contrast }
    }

    pub(super) fn apply(&self, image: ImageView<'_>, rng: &mut SampleRng) -> Image {
        self.draw(rng).apply(image, self.size)
    }
}

impl FastaiDraw {
    /// A square of `size` pixels from `image`.
    pub(crate) fn apply(&self, image: ImageView<'_>, size: usize) -> Image {
        let map = self.map(image.size(), size);
        let light = self.light();
        let mut out = Image::black(ImageSize::square(size));
        for (y, row) in out.pixels_mut().chunks_exact_mut(size * CHANNELS).enumerate() {
            for (x, pixel) in row.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
                let (sx, sy) = map.at(x as f64, y as f64);
                *pixel = sample(image, sx as f32, sy as f32).map(|v| light[(v + 0.5) as usize & 255]);
            }
        }
        out
    }

    /// Maps pixels of the result to pixels of the image, both relative to the centre of the first pixel.
    fn map(&self, from: ImageSize, size: usize) -> Projective {
        let (height, width) = (from.height as f64, from.width as f64);
        // fastai's coordinates: -1 to 1 over the image.
        let to_unit =
            Projective([[2.0 / width, 0.0, 1.0 / width - 1.0], [0.0, 2.0 / height, 1.0 / height - 1.0], LAST]);
        let from_unit =
            Projective([[width / 2.0, 0.0, width / 2.0 - 0.5], [0.0, height / 2.0, height / 2.0 - 0.5], LAST]);
        let place = |have: usize, part: f64| {
            let spare = have as f64 - size as f64;
            if spare >= 0.0 { ((spare + 1.0) * part).floor().min(spare) } else { (spare / 2.0).floor() }
        };
        let (left, top) = (place(from.width, self.crop[1]), place(from.height, self.crop[0]));
        let (turn, start) = if self.flip { (-1.0, left + size as f64 - 1.0) } else { (1.0, left) };
        let crop = Projective([[turn, 0.0, start], [0.0, 1.0, top], LAST]);
        let warp = self.warp.map_or(Projective::IDENTITY, Projective::symmetric_warp);
        from_unit * self.affine(height / width) * warp * to_unit * crop
    }

    /// Rotation after zoom, in fastai's order. The off-diagonal entries are scaled to the image's shape only afterwards, as in fastai, so
    /// the zoom's focus is rotated as if the image were square.
    fn affine(&self, height_over_width: f64) -> Projective {
        let angle = self.rotate.unwrap_or(0.0).to_radians();
        let (sin, cos) = (angle.sin(), angle.cos());
        let [scale, row, column] = self.zoom.unwrap_or([1.0, 0.5, 0.5]);
        let spare = 1.0 - 1.0 / scale;
        let turned = Projective([[cos, -sin, 0.0], [sin, cos, 0.0], LAST]);
        let zoomed = Projective([
            [1.0 / scale, 0.0, spare * (2.0 * column - 1.0)],
            [0.0, 1.0 / scale, spare * (2.0 * row - 1.0)],
            LAST,
        ]);
        let mut affine = turned * zoomed;
        affine.0[0][1] *= height_over_width;
        affine.0[1][0] /= height_over_width;
        affine
    }

    /// The new value of each pixel value.
    fn light(&self) -> [u8; 256] {
        if self.brightness.is_none() && self.contrast.is_none() {
            return std::array::from_fn(|v| v as u8);
        }
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let shift = self.brightness.map_or(0.0, logit);
        let scale = self.contrast.unwrap_or(1.0);
        std::array::from_fn(|v| {
            let unit = (v as f64 / 255.0).clamp(1e-7, 1.0 - 1e-7);
            let lit = (logit(unit) + shift) * scale;
            (255.0 / (1.0 + (-lit).exp())).round() as u8
        })
    }
}

/// Last row of an affine map.
const LAST: [f64; 3] = [0.0, 0.0, 1.0];

/// A projective map of the plane.
#[derive(Debug, Clone, Copy)]
struct Projective([[f64; 3]; 3]);

impl std::ops::Mul for Projective {
    type Output = Self;

    /// The map that applies `other` first.
    fn mul(self, other: Self) -> Self {
        Self(self.0.map(|row| std::array::from_fn(|j| (0..3).map(|k| row[k] * other.0[k][j]).sum())))
    }
}

impl Projective {
    const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], LAST]);

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let [u, v, w] = self.0.map(|row| row[0] * x + row[1] * y + row[2]);
        (u / w, v / w)
    }

    /// The map of the corners, moved outwards by `m` as in fastai, to the corners of the square -1..1.
    fn symmetric_warp(m: [f64; 4]) -> Self {
        let moved = [
            [-1.0 - m[3], -1.0 - m[1]],
            [-1.0 - m[2], 1.0 + m[1]],
            [1.0 + m[3], -1.0 - m[0]],
            [1.0 + m[2], 1.0 + m[0]],
        ];
        let corners = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]];
        let mut equations = [[0.0; 9]; 8];
        for (i, ([x, y], [u, v])) in moved.into_iter().zip(corners).enumerate() {
            equations[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
            equations[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
        }
        let [a, b, c, d, e, f, g, h] = solve(equations);
        Self([[a, b, c], [d, e, f], [g, h, 1.0]])
    }
}

/// Gauss-Jordan elimination with the largest pivot. With tilts below 0.9 the corners are distinct, so there is a solution.
fn solve(mut rows: [[f64; 9]; 8]) -> [f64; 8] {
    for column in 0..8 {
        let pivot =
            (column..8).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs())).unwrap_or(column);
        rows.swap(column, pivot);
        let lead = rows[column];
        for (i, row) in rows.iter_mut().enumerate() {
            if i != column {
                let factor = row[column] / lead[column];
                row.iter_mut().zip(lead).for_each(|(value, lead)| *value -= factor * lead);
            }
        }
    }
    std::array::from_fn(|i| rows[i][8] / rows[i][i])
}

/// The value at (x, y), bilinear, reflected at the border pixels' outer edges (as PyTorch's `grid_sample` reflects without aligned
/// corners).
fn sample(image: ImageView<'_>, x: f32, y: f32) -> [f32; CHANNELS] {
    let size = image.size();
    let (x, y) = (reflect(x, size.width), reflect(y, size.height));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(size.width - 1), (y0 + 1).min(size.height - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let (top, bottom) = (image.row(y0), image.row(y1));
    std::array::from_fn(|c| {
        let at = |row: &[u8], x: usize| f32::from(row[x * CHANNELS + c]);
        let above = at(top, x0) + (at(top, x1) - at(top, x0)) * fx;
        let below = at(bottom, x0) + (at(bottom, x1) - at(bottom, x0)) * fx;
        above + (below - above) * fy
    })
}

/// Folds a coordinate into the image, mirrored at -1/2 and `len` - 1/2, then cut to the centres of the border pixels.
fn reflect(at: f32, len: usize) -> f32 {
    let len = len as f32;
    let folded = (at + 0.5).rem_euclid(2.0 * len);
    let folded = if folded > len { 2.0 * len - folded } else { folded };
    (folded - 0.5).clamp(0.0, len - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: FastaiDraw = FastaiDraw {
        crop: [0.0, 0.0],
        flip: false,
        warp: None,
        rotate: None,
        zoom: None,
        brightness: None,
        contrast: None,
    };

    fn numbered(height: usize, width: usize) -> Image {
        let pixels = (0..height * width * 3).map(|i| (i * 7 % 251) as u8).collect();
        Image::new(ImageSize::new(height, width), pixels).unwrap()
    }

    #[test]
    fn crop_and_flip_alone_move_pixels_exactly() {
        let image = numbered(6, 9);
        let draw = FastaiDraw { crop: [0.5, 0.99], ..STILL };
        // 6 - 4 leaves 3 places, the middle one is 1; 9 - 4 leaves 6, the last is 5.
        let out = draw.apply(image.view(), 4);
        assert_eq!(out.view().pixel(2, 1), image.view().pixel(3, 6));
        let out = FastaiDraw { flip: true, ..draw }.apply(image.view(), 4);
        assert_eq!(out.view().pixel(2, 2), image.view().pixel(3, 6));
    }

    #[test]
    fn a_quarter_turn_is_exact() {
        let image = numbered(5, 5);
        let out = FastaiDraw { rotate: Some(90.0), ..STILL }.apply(image.view(), 5);
        // Place (x, y) reads from (-y, x) in coordinates around the middle.
        assert_eq!(out.view().pixel(0, 1), image.view().pixel(1, 4));
        assert_eq!(out.view().pixel(4, 2), image.view().pixel(2, 0));
    }

    #[test]
    fn zoom_two_at_the_middle_reads_the_middle_half() {
        let (x, y) = FastaiDraw { zoom: Some([2.0, 0.5, 0.5]), ..STILL }.map(ImageSize::square(8), 8).at(0.0, 7.0);
        assert!((x - 1.75).abs() < 1e-12 && (y - 5.25).abs() < 1e-12, "{x} {y}");
    }

    #[test]
    fn warped_corners_go_to_corners() {
        let m = [0.1, -0.2, 0.15, 0.05];
        let warp = Projective::symmetric_warp(m);
        let (x, y) = warp.at(-1.0 - m[3], -1.0 - m[1]);
        assert!((x + 1.0).abs() < 1e-12 && (y + 1.0).abs() < 1e-12);
        let (x, y) = warp.at(1.0 + m[2], 1.0 + m[0]);
        assert!((x - 1.0).abs() < 1e-12 && (y - 1.0).abs() < 1e-12);
        let still = Projective::symmetric_warp([0.0; 4]).at(0.3, -0.4);
        assert!((still.0 - 0.3).abs() < 1e-12 && (still.1 + 0.4).abs() < 1e-12);
    }

    #[test]
    fn light_in_logits() {
        let light = FastaiDraw { brightness: Some(0.6), ..STILL }.light();
        // A middle value p becomes sigmoid(logit p + logit 0.6) = 0.6 p / (0.6 p + 0.4 (1 - p)).
        let p = 100.0 / 255.0;
        assert_eq!(light[100], f64::round(255.0 * 0.6 * p / (0.6 * p + 0.4 * (1.0 - p))) as u8);
        assert_eq!((light[0], light[255]), (0, 255));
        let light = FastaiDraw { contrast: Some(1.25), ..STILL }.light();
        assert!(light[50] < 50 && light[200] > 200);
        assert_eq!(STILL.light()[77], 77);
    }

    #[test]
    fn borders_are_mirrored() {
        // A row of 3: positions 3 and 4 mirror to 2 and 1 past the edge at 2.5.
        assert_eq!(
            [-2.0, -1.0, 0.0, 2.0, 3.0, 4.0, 6.0, 8.0].map(|x| reflect(x, 3)),
            [1.0, 0.0, 0.0, 2.0, 2.0, 1.0, 0.0, 2.0]
        );
    }
}
