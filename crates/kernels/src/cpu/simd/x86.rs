//! Vectors of AVX-512 and of AVX2.

use std::arch::x86_64::{
    __m256, __m512, _CMP_NLE_UQ, _CMP_UNORD_Q, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_add_ps,
    _mm256_and_ps, _mm256_and_si256, _mm256_blendv_epi8, _mm256_castps_si256, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cvtepu16_epi32, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_max_ps, _mm256_movemask_ps, _mm256_mul_ps, _mm256_or_si256, _mm256_packus_epi32,
    _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16,
    _mm512_cvtepu16_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_or_epi32, _mm512_maskz_mov_ps, _mm512_max_ps,
    _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_ps,
    _mm512_sub_ps,
};

use half::bf16;

use crate::cpu::simd::Vector;

/// Sixteen lanes of AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Lanes16(pub(super) __m512);

/// Eight lanes of AVX2 with fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct Lanes8(pub(super) __m256);

macro_rules! x86_vector {
    ($type:ident, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident,
     $mul:ident, $fma:ident, $max:ident, |$value:ident, $other:ident| $masked:expr, |$lanes_of:ident, $bits_to:ident| $bits:expr,
     |$picked:ident, $bits_from:ident| $pick:expr,
     |$from:ident| $widen:expr, |$number:ident, $to:ident| $narrow:expr) => {
        // SAFETY (of every block): the trait's contract, passed on to the intrinsic.
        impl Vector for $type {
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;
            const REGISTERS: usize = 2 * $lanes;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the trait's contract.
                Self(unsafe { $splat(value) })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the trait's contract.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the trait's contract.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn widen(from: *const bf16) -> Self {
                let $from = from;
                // SAFETY: the trait's contract.
                Self(unsafe { $widen })
            }
            #[inline(always)]
            unsafe fn narrow(self, to: *mut bf16) {
                let ($number, $to) = (self.0, to);
                // SAFETY: the trait's contract.
                unsafe { $narrow }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the trait's contract.
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the trait's contract.
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: the trait's contract.
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn fma(self, factor: Self, addend: Self) -> Self {
                // SAFETY: the trait's contract.
                Self(unsafe { $fma(self.0, factor.0, addend.0) })
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: the trait's contract. The instruction returns its second operand where either is NaN.
                Self(unsafe { $max(other.0, self.0) })
            }
            #[inline(always)]
            unsafe fn where_not_below(self, other: Self) -> Self {
                let ($value, $other) = (self.0, other.0);
                // SAFETY: the trait's contract.
                Self(unsafe { $masked })
            }
            #[inline(always)]
            unsafe fn bits_not_below(self, to: *mut u8) {
                let ($lanes_of, $bits_to) = (self.0, to);
                // SAFETY: the trait's contract.
                unsafe { $bits }
            }
            #[inline(always)]
            unsafe fn where_bits(self, from: *const u8) -> Self {
                let ($picked, $bits_from) = (self.0, from);
                // SAFETY: the trait's contract.
                Self(unsafe { $pick })
            }
        }
    };
}

x86_vector!(
    Lanes16,
    16,
    12,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    |value, other| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(other, _mm512_set1_ps(0.0)), value),
    |lanes, to| to.cast::<u16>().write_unaligned(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(lanes, _mm512_set1_ps(0.0))),
    |lanes, from| _mm512_maskz_mov_ps(from.cast::<u16>().read_unaligned(), lanes),
    |from| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))),
    |number, to| {
        // Adding just under half of the last kept place, or half if that place is odd, carries where rounding is upward.
        let bits = _mm512_castps_si512(number);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(number, number);
        let rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x40_0000));
        _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded)))
    }
);
x86_vector!(
    Lanes8,
    8,
    6,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps,
    |value, other| _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(other, _mm256_set1_ps(0.0)), value),
    |lanes, to| to.write(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(lanes, _mm256_set1_ps(0.0))) as u8),
    |lanes, from| {
        // Every lane looks at its own bit of the byte.
        let bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(from.read())), bit);
        _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit)), lanes)
    },
    |from| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))),
    |number, to| {
        // As above; the two halves of the register are packed apart and then moved together.
        let bits = _mm256_castps_si256(number);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(number, number));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
        let rounded = _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan));
        let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(rounded, rounded));
        _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed))
    }
);
