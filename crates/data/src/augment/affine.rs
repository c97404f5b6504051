//! Shears, translations and rotations with nearest-pixel sampling.

use crate::{CHANNELS, Image, ImageSize};

/// Maps a pixel of the result to a position in the image, both relative to the centre: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine([f64; 6]);

impl Affine {
    /// The inverse of a rotation and two shears (radians) around `center` and a translation: torchvision's `_get_inverse_affine_matrix`.
    fn inverse(center: [f64; 2], turn: f64, shift: [f64; 2], shear: [f64; 2]) -> Self {
        let ([cx, cy], [tx, ty], [sx, sy]) = (center, shift, shear);
        let a = (turn - sy).cos() / sy.cos();
        let b = -(a * sx.tan() + turn.sin());
        let c = (turn - sy).sin() / sy.cos();
        let d = turn.cos() - c * sx.tan();
        let x = cx - d * (cx + tx) + b * (cy + ty);
        let y = cy + c * (cx + tx) - a * (cy + ty);
        Self([d, -b, x, -c, a, y])
    }

    /// Shears around the upper left corner, in radians.
    pub(super) fn shear(x: f64, y: f64, size: ImageSize) -> Self {
        // To degrees and back, as in torchvision, for the same bits.
        let [x, y] = [x, y].map(|angle| angle.to_degrees().to_radians());
        Self::inverse([-0.5 * size.width as f64, -0.5 * size.height as f64], 0.0, [0.0; 2], [x, y])
    }

    /// Moves to the right and down.
    pub(super) fn translate(x: f64, y: f64) -> Self {
        Self::inverse([0.0; 2], 0.0, [x, y], [0.0; 2])
    }

    /// Rotates counter-clockwise around the centre.
    pub(super) fn rotate(degrees: f64) -> Self {
        // torchvision takes the angle modulo a full turn first.
        Self::inverse([0.0; 2], -degrees.rem_euclid(360.0).to_radians(), [0.0; 2], [0.0; 2])
    }

    /// Transforms the image; pixels from outside get `fill`.
    pub(super) fn apply(&self, image: &mut Image, fill: [u8; CHANNELS]) {
        let source = image.clone();
        let (view, ImageSize { height, width }) = (source.view(), source.size());
        let (w, h) = (width as f32, height as f32);
        let m = self.0.map(|v| v as f32);
        // To units of half the image and back, in f32: this rounding decides between two equally near pixels.
        let [ax, bx, cx] = [m[0] / (0.5 * w), m[1] / (0.5 * w), m[2] / (0.5 * w)];
        let [ay, by, cy] = [m[3] / (0.5 * h), m[4] / (0.5 * h), m[5] / (0.5 * h)];
        let place = |unit: f32, side: f32| ((unit + 1.0) * (side / 2.0) - 0.5).round_ties_even();
        for (row, out) in image.pixels_mut().chunks_exact_mut(width * CHANNELS).enumerate() {
            let y = row as f32 - (h - 1.0) * 0.5;
            for (column, pixel) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
                let x = column as f32 - (w - 1.0) * 0.5;
                let sx = place(multiply_add(y, bx, x * ax) + cx, w);
                let sy = place(multiply_add(y, by, x * ay) + cy, h);
                let inside = (0.0..w).contains(&sx) && (0.0..h).contains(&sy);
                *pixel = if inside { view.pixel(sy as usize, sx as usize) } else { fill };
            }
        }
    }
}

/// a b + c with one rounding (except for double ties), as in torch's matrix product: computed in f64, where the product is exact.
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reds 1 to 6 in two rows of three.
    fn reds(by: Affine) -> Vec<u8> {
        let mut image = Image::new(ImageSize::new(2, 3), (1..=6).flat_map(|v| [v, 0, 0]).collect()).unwrap();
        by.apply(&mut image, [9, 0, 0]);
        image.pixels().iter().step_by(3).copied().collect()
    }

    #[test]
    fn worked_by_hand() {
        assert_eq!(reds(Affine::translate(1.0, 0.0)), [9, 1, 2, 9, 4, 5]);
        assert_eq!(reds(Affine::translate(0.0, -1.0)), [4, 5, 6, 9, 9, 9]);
        assert_eq!(reds(Affine::rotate(180.0)), [6, 5, 4, 3, 2, 1]);
        // A quarter to the left: the right column becomes the upper row, as far as it is in sight.
        let mut square = Image::new(ImageSize::square(2), (1..=4).flat_map(|v| [v, 0, 0]).collect()).unwrap();
        Affine::rotate(90.0).apply(&mut square, [9; 3]);
        assert_eq!(square.pixels().iter().step_by(3).copied().collect::<Vec<_>>(), [2, 4, 1, 3]);
    }
}
