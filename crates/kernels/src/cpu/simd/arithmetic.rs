//! Vector operations for elementary functions and for rows of any length, in addition to those of
//! [`Vector`](crate::cpu::simd::Vector).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m256i, __mmask16, _CMP_LE_OQ, _mm_add_ps, _mm_cvtss_f32, _mm_max_ps, _mm_movehl_ps, _mm_shuffle_ps,
    _mm256_add_epi32, _mm256_and_ps, _mm256_blendv_ps, _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_cvtps_epi32, _mm256_div_ps, _mm256_extractf128_ps, _mm256_loadu_si256, _mm256_maskload_ps,
    _mm256_maskstore_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32,
    _mm256_srai_epi32, _mm256_sub_epi32, _mm512_abs_ps, _mm512_cmp_ps_mask, _mm512_div_ps, _mm512_mask_blend_ps,
    _mm512_mask_loadu_ps, _mm512_mask_storeu_ps, _mm512_min_ps, _mm512_reduce_add_ps, _mm512_reduce_max_ps,
    _mm512_scalef_ps, _mm512_set1_ps,
};

use crate::cpu::simd::Array8;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Lanes8, Lanes16};

/// Division, bounds, choices, powers of two, parts of a register and sums across it.
///
/// # Safety
///
/// As for [`Vector`](crate::cpu::simd::Vector): a processor with the instructions of the type, and valid pointers.
pub(crate) trait Arithmetic: Copy {
    /// A boolean per lane.
    type Mask: Copy;
    unsafe fn div(self, divisor: Self) -> Self;
    /// The smaller one, lane by lane; `self` where `self` is NaN.
    unsafe fn min(self, other: Self) -> Self;
    unsafe fn abs(self) -> Self;
    /// `self <= other`, lane by lane; false if either is NaN.
    unsafe fn at_most(self, other: Self) -> Self::Mask;
    /// `yes` where the mask is set, `no` elsewhere.
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `self * 2^exponent` for whole exponents of at most 252 either way, gradual underflow included.
    unsafe fn scale(self, exponent: Self) -> Self;
    /// `count` elements, at most as many as there are lanes, and `rest` in the lanes behind them.
    unsafe fn load_first(from: *const f32, count: usize, rest: f32) -> Self;
    /// Writes the first `count` lanes and nothing else.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// The sum of all lanes, in an order that depends on the type.
    unsafe fn sum(self) -> f32;
    /// The largest lane; unspecified if one is NaN.
    unsafe fn largest(self) -> f32;
}

#[cfg(target_arch = "x86_64")]
impl Arithmetic for Lanes16 {
    type Mask = __mmask16;
    #[inline(always)]
    unsafe fn div(self, divisor: Self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm512_div_ps(self.0, divisor.0) })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the trait's contract. The instruction returns its second operand where either is NaN.
        Self(unsafe { _mm512_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }
    #[inline(always)]
    unsafe fn at_most(self, other: Self) -> __mmask16 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    unsafe fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm512_mask_blend_ps(mask, no.0, yes.0) })
    }
    #[inline(always)]
    unsafe fn scale(self, exponent: Self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm512_scalef_ps(self.0, exponent.0) })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize, rest: f32) -> Self {
        // SAFETY: the trait's contract; lanes that are masked out are not read.
        Self(unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(rest), first(count), from) })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the trait's contract; lanes that are masked out are not written.
        unsafe { _mm512_mask_storeu_ps(to, first(count), self.0) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_reduce_max_ps(self.0) }
    }
}

/// The mask of the first `count` of sixteen lanes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// The mask of the first `count` of eight lanes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn first_of_eight(count: usize) -> __m256i {
    const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: eight of the sixteen numbers, as `count` is at most eight; the caller has the instructions.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
}

#[cfg(target_arch = "x86_64")]
impl Arithmetic for Lanes8 {
    type Mask = __m256;
    #[inline(always)]
    unsafe fn div(self, divisor: Self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm256_div_ps(self.0, divisor.0) })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the trait's contract. The instruction returns its second operand where either is NaN.
        Self(unsafe { _mm256_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm256_and_ps(self.0, _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX))) })
    }
    #[inline(always)]
    unsafe fn at_most(self, other: Self) -> __m256 {
        // SAFETY: the trait's contract.
        unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    unsafe fn select(mask: __m256, yes: Self, no: Self) -> Self {
        // SAFETY: the trait's contract.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask) })
    }
    #[inline(always)]
    unsafe fn scale(self, exponent: Self) -> Self {
        // Two factors, each of which is a normal number: one alone would underflow before the product does.
        // SAFETY: the trait's contract.
        Self(unsafe {
            let whole = _mm256_cvtps_epi32(exponent.0);
            let half = _mm256_srai_epi32::<1>(whole);
            let bias = _mm256_set1_epi32(127);
            let power = |k| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(k, bias)));
            _mm256_mul_ps(_mm256_mul_ps(self.0, power(half)), power(_mm256_sub_epi32(whole, half)))
        })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize, rest: f32) -> Self {
        // SAFETY: the trait's contract; lanes that are masked out are not read.
        Self(unsafe {
            let mask = first_of_eight(count);
            _mm256_blendv_ps(_mm256_set1_ps(rest), _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask))
        })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the trait's contract; lanes that are masked out are not written.
        unsafe { _mm256_maskstore_ps(to, first_of_eight(count), self.0) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the trait's contract.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ps(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: the trait's contract.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ps(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

impl Arithmetic for Array8 {
    type Mask = [bool; 8];
    #[inline(always)]
    unsafe fn div(self, divisor: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] / divisor.0[lane]))
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| if other.0[lane] < self.0[lane] { other.0[lane] } else { self.0[lane] }))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }
    #[inline(always)]
    unsafe fn at_most(self, other: Self) -> [bool; 8] {
        std::array::from_fn(|lane| self.0[lane] <= other.0[lane])
    }
    #[inline(always)]
    unsafe fn select(mask: [bool; 8], yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|lane| if mask[lane] { yes.0[lane] } else { no.0[lane] }))
    }
    #[inline(always)]
    unsafe fn scale(self, exponent: Self) -> Self {
        // As above. NaN becomes the exponent 0; infinity does not occur.
        let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
        Self(std::array::from_fn(|lane| {
            let whole = exponent.0[lane] as i32;
            self.0[lane] * power(whole >> 1) * power(whole - (whole >> 1))
        }))
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize, rest: f32) -> Self {
        let mut lanes = [rest; 8];
        // SAFETY: the trait's contract: `count` readable elements, at most eight.
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) };
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the trait's contract: `count` writable elements, at most eight.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count) };
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, |largest, lane| if lane > largest { lane } else { largest })
    }
}
