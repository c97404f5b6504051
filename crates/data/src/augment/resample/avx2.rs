//! The sums of `portable` with AVX2, in safe code: `pulp` checks that the processor supports it.

use std::arch::x86_64::{__m128i, __m256i};

use pulp::cast;
use pulp::x86::V3;

use super::{Rows, SLACK, Weights, portable};
use crate::{CHANNELS, ImageSize};

/// Number of rows scaled together, and of pixels read and written together.
const GROUP: usize = 4;

/// [`portable::across`].
pub(super) fn across(simd: V3, source: Rows<'_>, weights: &Weights, out: &mut [u8]) {
    if source.part.size.height < GROUP || source.part.size.width < GROUP || weights.starts.len() < GROUP {
        return portable::across(source, weights, out);
    }
    simd.vectorize(Across { simd, source, weights, out });
}

/// [`portable::down`].
pub(super) fn down(simd: V3, rows: &[u8], stride: usize, weights: &Weights, out: &mut [u8]) {
    simd.vectorize(Down { simd, rows, stride, weights, out });
}

/// Four rows together: a vector holds the pixels of one column, so that all its lanes have the same weights.
struct Across<'a> {
    simd: V3,
    source: Rows<'a>,
    weights: &'a Weights,
    out: &'a mut [u8],
}

/// Shuffles four pixels of three bytes to four of four bytes, the last being 0, and back.
const SPREAD: [i8; 16] = [0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1];
const GATHER: [i8; 16] = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1];

impl pulp::NullaryFnOnce for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, source, weights, out } = self;
        let ImageSize { height, width } = source.part.size;
        let outputs = weights.starts.len();
        let stride = outputs * CHANNELS + SLACK;
        let per_output = weights.taps / 2;
        let half = simd.avx._mm256_set1_epi32(weights.half());
        let shift = shift(weights);
        // An output at the right edge may have weights of 0 for columns outside the image.
        let mut columns: Vec<__m256i> = vec![cast([0u8; 32]); width + weights.taps];
        for y in (0..height).step_by(GROUP) {
            // The last group overlaps the one before, as do the last pixels of a row.
            let y = y.min(height - GROUP);
            let rows = [source.from(y), source.from(y + 1), source.from(y + 2), source.from(y + 3)];
            for x in (0..width).step_by(GROUP) {
                let x = x.min(width - GROUP);
                let pixels = [
                    four_pixels(simd, rows[0], x),
                    four_pixels(simd, rows[1], x),
                    four_pixels(simd, rows[2], x),
                    four_pixels(simd, rows[3], x),
                ];
                for (to, column) in columns[x..x + GROUP].iter_mut().zip(transposed(simd, pixels)) {
                    *to = simd.avx2._mm256_cvtepu8_epi16(column);
                }
            }
            let out = &mut out[y * stride..(y + GROUP) * stride];
            for x in (0..outputs).step_by(GROUP) {
                let x = x.min(outputs - GROUP);
                let starts = &weights.starts[x..x + GROUP];
                let pairs = &weights.pairs[x * per_output..(x + GROUP) * per_output];
                let pixels = [
                    output(simd, &columns[starts[0]..], &pairs[..per_output], half, shift),
                    output(simd, &columns[starts[1]..], &pairs[per_output..2 * per_output], half, shift),
                    output(simd, &columns[starts[2]..], &pairs[2 * per_output..3 * per_output], half, shift),
                    output(simd, &columns[starts[3]..], &pairs[3 * per_output..], half, shift),
                ];
                let rows = transposed(simd, pixels);
                for (row, &pixels) in rows.iter().enumerate() {
                    let bytes: [u8; 16] = cast(simd.ssse3._mm_shuffle_epi8(pixels, cast(GATHER)));
                    let at = row * stride + x * CHANNELS;
                    // Four extra bytes: the next pixels overwrite them, or they are the row's slack.
                    out[at..at + 16].copy_from_slice(&bytes);
                }
            }
        }
    }
}

/// Pixels `x` to `x + 4` of a row.
#[inline(always)]
fn four_pixels(simd: V3, row: &[u8], x: usize) -> __m128i {
    let bytes = row.get(x * CHANNELS..).unwrap_or_default();
    let bytes = match bytes.first_chunk::<16>() {
        Some(bytes) => *bytes,
        None => padded(bytes),
    };
    simd.ssse3._mm_shuffle_epi8(cast(bytes), cast(SPREAD))
}

/// The last bytes of an image, padded with zeros.
#[cold]
fn padded(bytes: &[u8]) -> [u8; 16] {
    let mut all = [0; 16];
    all.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
    all
}

/// Rows to columns, or columns to rows.
#[inline(always)]
fn transposed(simd: V3, [a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let sse2 = simd.sse2;
    let (ab, cd) = (sse2._mm_unpacklo_epi32(a, b), sse2._mm_unpacklo_epi32(c, d));
    let (upper, lower) = (sse2._mm_unpackhi_epi32(a, b), sse2._mm_unpackhi_epi32(c, d));
    [
        sse2._mm_unpacklo_epi64(ab, cd),
        sse2._mm_unpackhi_epi64(ab, cd),
        sse2._mm_unpacklo_epi64(upper, lower),
        sse2._mm_unpackhi_epi64(upper, lower),
    ]
}

/// One output of four rows, from the columns weighted by `pairs`.
#[inline(always)]
fn output(simd: V3, columns: &[__m256i], pairs: &[[i16; 2]], half: __m256i, shift: __m128i) -> __m128i {
    let (sse2, avx, avx2) = (simd.sse2, simd.avx, simd.avx2);
    let (mut even, mut odd) = (half, half);
    for (&weight, &[left, right]) in pairs.iter().zip(columns.as_chunks::<2>().0) {
        let weight = avx._mm256_set1_epi32(cast(weight));
        even = avx2._mm256_add_epi32(even, avx2._mm256_madd_epi16(avx2._mm256_unpacklo_epi16(left, right), weight));
        odd = avx2._mm256_add_epi32(odd, avx2._mm256_madd_epi16(avx2._mm256_unpackhi_epi16(left, right), weight));
    }
    let words = avx2._mm256_packs_epi32(avx2._mm256_sra_epi32(even, shift), avx2._mm256_sra_epi32(odd, shift));
    // Rows 0 and 1 in the lower half, 2 and 3 in the upper.
    let bytes = avx2._mm256_packus_epi16(words, words);
    sse2._mm_unpacklo_epi64(avx._mm256_castsi256_si128(bytes), avx2._mm256_extracti128_si256::<1>(bytes))
}

struct Down<'a> {
    simd: V3,
    rows: &'a [u8],
    stride: usize,
    weights: &'a Weights,
    out: &'a mut [u8],
}

/// Bytes of a vector.
const WIDTH: usize = 32;

impl pulp::NullaryFnOnce for Down<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, rows, stride, weights, out } = self;
        let (avx, avx2) = (simd.avx, simd.avx2);
        let half = avx._mm256_set1_epi32(weights.half());
        let shift = shift(weights);
        let zero = avx._mm256_setzero_si256();
        for ((start, pairs), out) in weights.outputs().zip(out.chunks_exact_mut(stride - SLACK)) {
            let (vectors, rest) = out.as_chunks_mut::<WIDTH>();
            let first = vectors.len() * WIDTH;
            for (i, vector) in vectors.iter_mut().enumerate() {
                let mut sums = [half; 4];
                for (two, &weight) in rows[start * stride..].chunks_exact(2 * stride).zip(pairs) {
                    let (upper, lower) = (load(two, i * WIDTH), load(two, stride + i * WIDTH));
                    let weight = avx._mm256_set1_epi32(cast(weight));
                    let low = avx2._mm256_unpacklo_epi8(upper, lower);
                    let high = avx2._mm256_unpackhi_epi8(upper, lower);
                    let pairs = [
                        avx2._mm256_unpacklo_epi8(low, zero),
                        avx2._mm256_unpackhi_epi8(low, zero),
                        avx2._mm256_unpacklo_epi8(high, zero),
                        avx2._mm256_unpackhi_epi8(high, zero),
                    ];
                    for (sum, pairs) in sums.iter_mut().zip(pairs) {
                        *sum = avx2._mm256_add_epi32(*sum, avx2._mm256_madd_epi16(pairs, weight));
                    }
                }
                for sum in &mut sums {
                    *sum = avx2._mm256_sra_epi32(*sum, shift);
                }
                let low = avx2._mm256_packs_epi32(sums[0], sums[1]);
                let high = avx2._mm256_packs_epi32(sums[2], sums[3]);
                *vector = cast(avx2._mm256_packus_epi16(low, high));
            }
            if !rest.is_empty() {
                portable::columns(rows, stride, weights, (start, pairs), first, out);
            }
        }
    }
}

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> __m256i {
    match bytes.get(at..at + WIDTH).and_then(|bytes| bytes.first_chunk::<WIDTH>()) {
        Some(bytes) => cast(*bytes),
        None => cast([0u8; WIDTH]),
    }
}

/// The precision in the form of the shift instructions.
#[inline(always)]
fn shift(weights: &Weights) -> __m128i {
    cast([u64::from(weights.precision), 0])
}
