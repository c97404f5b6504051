//! Separable resampling of u8 images with integer weights, bit for bit as in PyTorch.
//!
//! Rows first, then columns. Each pass sums products of bytes and 16-bit weights and rounds to a byte. All arithmetic is integer, so every
//! instruction set gives the same bytes.
//!
//! # References
//! PyTorch 2.15, `aten/src/ATen/native/cpu/UpSampleKernel.cpp` (`antialias=True` on uint8), which follows Pillow's `Resample.c`.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

use std::cell::RefCell;

use super::resize::Rect;
use crate::{CHANNELS, ImageSize, ImageView};

/// The weights of each output of one axis.
#[derive(Debug)]
struct Weights {
    /// Fraction bits of the weights: as many as keep the largest below 2^15.
    precision: u32,
    /// Weights per output, in pairs; unused ones are 0.
    taps: usize,
    /// The first source pixel of each output.
    starts: Vec<usize>,
    /// (outputs, taps / 2) pairs.
    pairs: Vec<[i16; 2]>,
}

impl Weights {
    /// Triangle weights for `from` pixels scaled to `to`, widened when shrinking (antialiasing).
    fn bilinear(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let inverse = 1.0 / support;
        let mut starts = Vec::with_capacity(to);
        let mut ends = Vec::with_capacity(to);
        let most = support.ceil() as usize * 2 + 1;
        let mut shares = vec![0.0; to * most];
        let mut largest = 0.0f64;
        for (output, shares) in shares.chunks_exact_mut(most).enumerate() {
            let centre = scale * (output as f64 + 0.5);
            // The cast clamps to 0, like PyTorch's maximum with 0.
            let start = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from).min(start + most);
            let shares = &mut shares[..end - start];
            for (tap, share) in shares.iter_mut().enumerate() {
                *share = (1.0 - (((tap + start) as f64 - centre + 0.5) * inverse).abs()).max(0.0);
            }
            let total: f64 = shares.iter().sum();
            for share in shares {
                *share /= total;
                largest = largest.max(*share);
            }
            starts.push(start);
            ends.push(end);
        }
        let fits = |precision: u32| ((0.5 + largest * f64::from(1 << (precision + 1))) as i32) < 1 << 15;
        let precision = (0..22).find(|&precision| !fits(precision)).unwrap_or(22);
        let longest = starts.iter().zip(&ends).map(|(start, end)| end - start).max().unwrap_or(0);
        let taps = longest.next_multiple_of(2);
        let unit = f64::from(1 << precision);
        let mut pairs = Vec::with_capacity(to * taps / 2);
        for shares in shares.chunks_exact(most) {
            // `taps` may be one more than there are shares.
            let mut weights = shares.iter().map(|share| (0.5 + share * unit) as i16);
            pairs.extend((0..taps / 2).map(|_| [weights.next().unwrap_or(0), weights.next().unwrap_or(0)]));
        }
        Self { precision, taps, starts, pairs }
    }

    /// The weights of the mirrored result.
    fn mirrored(mut self) -> Self {
        self.starts.reverse();
        self.pairs.reverse();
        let per_output = (self.taps / 2).max(1);
        self.pairs.chunks_exact_mut(per_output).for_each(<[_]>::reverse);
        self
    }

    /// Start and pairs of each output.
    fn outputs(&self) -> impl Iterator<Item = (usize, &[[i16; 2]])> {
        self.starts.iter().copied().zip(self.pairs.chunks_exact((self.taps / 2).max(1)))
    }

    /// Half a unit, so that the shift rounds.
    fn half(&self) -> i32 {
        1 << self.precision >> 1
    }
}

/// Bytes after each row of the first pass, so that sixteen bytes can be stored at its last four pixels.
const SLACK: usize = 4;

thread_local! {
    /// Scratch memory for the result of the first pass.
    static ROWS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Scales the part `from` of `image` to `size`, with left and right exchanged if `mirrored`; pixels outside the part have no influence.
pub(super) fn resample(image: ImageView<'_>, from: Rect, size: ImageSize, mirrored: bool, out: &mut [u8]) {
    let across = Weights::bilinear(from.size.width, size.width);
    let across = if mirrored { across.mirrored() } else { across };
    let down = Weights::bilinear(from.size.height, size.height);
    let source = Rows { image, part: from };
    ROWS.with_borrow_mut(|rows| {
        let stride = size.width * CHANNELS + SLACK;
        // Rows past the last have weights of 0.
        rows.resize((from.size.height + down.taps) * stride, 0);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            avx2::across(simd, source, &across, rows);
            avx2::down(simd, rows, stride, &down, out);
            return;
        }
        portable::across(source, &across, rows);
        portable::down(rows, stride, &down, out);
    });
}

/// The rows of a part of an image.
#[derive(Debug, Clone, Copy)]
struct Rows<'a> {
    image: ImageView<'a>,
    part: Rect,
}

impl<'a> Rows<'a> {
    /// The bytes from the part's first pixel of row `y` to the end of the image: vectors may read past the row's end.
    fn from(&self, y: usize) -> &'a [u8] {
        let stride = self.image.size().width * CHANNELS;
        &self.image.pixels()[(self.part.top + y) * stride + self.part.left * CHANNELS..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Image;

    #[test]
    fn weights_by_hand() {
        // Two pixels from four: centres at 1 and 3, a triangle of half width 2. Of its 1/4, 3/4, 3/4, 1/4 the first lies outside of the
        // image, and the rest adds up to 7/4.
        let shrinking = Weights::bilinear(4, 2);
        assert_eq!((shrinking.precision, shrinking.taps, &shrinking.starts[..]), (16, 4, &[0, 1][..]));
        let (one, three) = (9_362, 28_087); // sevenths of 2^16
        assert_eq!(shrinking.pairs, [[three, three], [one, 0], [one, three], [three, 0]]);
        // Four from two: outputs lie a quarter of a pixel beside the inputs.
        let growing = Weights::bilinear(2, 4);
        assert_eq!((growing.precision, &growing.starts[..]), (14, &[0, 0, 0, 1][..]));
        assert_eq!(growing.pairs, [[16_384, 0], [12_288, 4_096], [4_096, 12_288], [16_384, 0]]);
        assert_eq!(growing.mirrored().pairs, [[16_384, 0], [4_096, 12_288], [12_288, 4_096], [16_384, 0]]);
    }

    fn numbered(size: ImageSize) -> Image {
        let pixels = (0..size.bytes()).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        Image::new(size, pixels).unwrap()
    }

    fn portable(image: ImageView<'_>, part: Rect, size: ImageSize) -> Vec<u8> {
        let across = Weights::bilinear(part.size.width, size.width);
        let down = Weights::bilinear(part.size.height, size.height);
        let stride = size.width * CHANNELS + SLACK;
        let mut rows = vec![7; (part.size.height + down.taps) * stride];
        let mut out = vec![9; size.bytes()];
        portable::across(Rows { image, part }, &across, &mut rows);
        portable::down(&rows, stride, &down, &mut out);
        out
    }

    proptest! {
        /// The vectors of this machine, if it has them, against the definition, the part at any place of the image.
        #[test]
        fn vectors_and_the_definition_agree(
            height in 1usize..40, width in 1usize..60, top in 0usize..5, left in 0usize..5, below in 0usize..3, beside in 0usize..3,
            to_height in 1usize..50, to_width in 1usize..50,
        ) {
            let image = numbered(ImageSize::new(top + height + below, left + width + beside));
            let part = Rect { top, left, size: ImageSize::new(height, width) };
            let size = ImageSize::new(to_height, to_width);
            let expected = portable(image.view(), part, size);
            let mut out = vec![0; size.bytes()];
            resample(image.view(), part, size, false, &mut out);
            prop_assert_eq!(&out, &expected);

            let mut mirrored = vec![0; size.bytes()];
            resample(image.view(), part, size, true, &mut mirrored);
            for (row, expected) in mirrored.chunks(to_width * CHANNELS).zip(expected.chunks(to_width * CHANNELS)) {
                let reversed: Vec<u8> = expected.chunks(CHANNELS).rev().flatten().copied().collect();
                prop_assert_eq!(row, &reversed[..]);
            }
        }
    }
}
