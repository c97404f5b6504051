//! Vectors of f32, and the way a kernel written once runs with the instructions at hand.
//!
//! A kernel body is generic over [`Vector`], and over [`Stored`](crate::cpu::simd::Stored) where it reads or writes
//! activations, and always inlined. [`dispatch!`] makes one function of it per instruction set,
//! each compiled for that set, and picks among them at run time. Bodies hand nothing to rayon and hold no closures but small
//! ones that are inlined, as those that compute an address: a closure of its own is compiled without the instructions.

#[cfg(target_arch = "x86_64")]
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

use crate::cpu::simd::Arithmetic;

/// A register of f32 lanes.
///
/// # Safety
///
/// All methods need a processor with the instructions of the type, and pointers valid for `LANES` elements; alignment
/// does not matter. Callers are kernel bodies, which [`dispatch!`] runs on a fitting processor only.
pub(crate) trait Vector: Arithmetic {
    const LANES: usize;
    /// Rows of the largest register tile two vectors wide.
    const TILE_ROWS: usize;
    /// Vectors that registers hold at once.
    const REGISTERS: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The values of `LANES` bf16 numbers.
    unsafe fn widen(from: *const bf16) -> Self;
    /// The lanes rounded to the nearest bf16 number, to even ones where two are as near; NaN stays NaN.
    unsafe fn narrow(self, to: *mut bf16);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the processor can.
    unsafe fn fma(self, factor: Self, addend: Self) -> Self;
    /// The larger one, lane by lane; `self` where `self` is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// `self` in the lanes where `other` is above zero or NaN, 0 elsewhere: how PyTorch masks a gradient.
    unsafe fn where_not_below(self, other: Self) -> Self;
    /// Writes a bit a lane, the first lane's lowest: set where the lane is above zero or NaN.
    unsafe fn bits_not_below(self, to: *mut u8);
    /// `self` in the lanes whose bit is set, 0 elsewhere.
    unsafe fn where_bits(self, from: *const u8) -> Self;
}

/// Sixteen lanes of AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Lanes16(pub(super) __m512);

/// Eight lanes of AVX2 with fused multiply-add.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Lanes8(pub(super) __m256);

/// Eight lanes in an array, for whatever the compiler makes of it.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Array8(pub(super) [f32; 8]);

macro_rules! x86_vector {
    ($type:ident, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident,
     $mul:ident, $fma:ident, $max:ident, |$value:ident, $other:ident| $masked:expr, |$lanes_of:ident, $bits_to:ident| $bits:expr,
     |$picked:ident, $bits_from:ident| $pick:expr,
     |$from:ident| $widen:expr, |$number:ident, $to:ident| $narrow:expr) => {
        // SAFETY (of every block): the trait's contract, passed on to the intrinsic.
        #[cfg(target_arch = "x86_64")]
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

macro_rules! lanewise {
    ($a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {{
        let (a, b) = ($a.0, $b.0);
        let mut out = [0.0; 8];
        let mut lane = 0;
        while lane < 8 {
            let ($x, $y) = (a[lane], b[lane]);
            out[lane] = $value;
            lane += 1;
        }
        Self(out)
    }};
}

impl Vector for Array8 {
    const LANES: usize = 8;
    // Sixteen registers of four lanes hold two rows of two vectors; aarch64 has twice as many.
    const TILE_ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };
    const REGISTERS: usize = if cfg!(target_arch = "aarch64") { 16 } else { 8 };
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's contract: eight readable elements, of any alignment.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's contract: eight writable elements, of any alignment.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: the trait's contract: eight readable elements, of any alignment.
        let from = unsafe { from.cast::<[bf16; 8]>().read_unaligned() };
        let mut out = [0.0; 8];
        for lane in 0..8 {
            out[lane] = f32::from_bits(u32::from(from[lane].to_bits()) << 16);
        }
        Self(out)
    }
    #[inline(always)]
    unsafe fn narrow(self, to: *mut bf16) {
        let mut out = [bf16::ZERO; 8];
        for lane in 0..8 {
            out[lane] = bf16::from_f32(self.0[lane]);
        }
        // SAFETY: the trait's contract: eight writable elements, of any alignment.
        unsafe { to.cast::<[bf16; 8]>().write_unaligned(out) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn fma(self, factor: Self, addend: Self) -> Self {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            let mut out = [0.0; 8];
            for lane in 0..8 {
                out[lane] = self.0[lane].mul_add(factor.0[lane], addend.0[lane]);
            }
            return Self(out);
        }
        // Two roundings: without the instruction, one rounding is a call into the maths library.
        let product = lanewise!(self, factor, |x, y| x * y);
        lanewise!(product, addend, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| if y > x { y } else { x })
    }
    #[inline(always)]
    unsafe fn where_not_below(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| if y <= 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn bits_not_below(self, to: *mut u8) {
        let mut bits = 0;
        for lane in 0..8 {
            bits |= u8::from(self.0[lane] > 0.0 || self.0[lane].is_nan()) << lane;
        }
        // SAFETY: the trait's contract: a writable byte.
        unsafe { to.write(bits) };
    }
    #[inline(always)]
    unsafe fn where_bits(self, from: *const u8) -> Self {
        // SAFETY: the trait's contract: a readable byte.
        let bits = unsafe { from.read() };
        let mut out = self.0;
        for lane in 0..8 {
            if bits >> lane & 1 == 0 {
                out[lane] = 0.0;
            }
        }
        Self(out)
    }
}

/// Defines `unsafe fn $name(set, ..)`, which runs the generic body `$body` compiled for the instruction set `set`;
/// `$name<S>` is generic over how activations are stored.
///
/// Safe to call if the body's own contract holds: sets beyond the portable one are only ever chosen after detection.
macro_rules! dispatch {
    ($(#[$meta:meta])* fn $name:ident$(<$stored:ident>)?($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "private, and what a kernel needs")]
        unsafe fn $name$(<$stored: $crate::cpu::simd::Stored>)?(set: $crate::InstructionSet, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                unsafe fn avx512$(<$stored: $crate::cpu::simd::Stored>)?($($arg: $type),*) {
                    // SAFETY: the caller's contract; this function is compiled with the instructions of the type.
                    unsafe { $body::<$crate::cpu::simd::Lanes16 $(, $stored)?>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2$(<$stored: $crate::cpu::simd::Stored>)?($($arg: $type),*) {
                    // SAFETY: as above.
                    unsafe { $body::<$crate::cpu::simd::Lanes8 $(, $stored)?>($($arg),*) }
                }
                match set {
                    // SAFETY: a set is only chosen on a processor that has it; the rest is the caller's contract.
                    $crate::InstructionSet::Avx512 => return unsafe { avx512$(::<$stored>)?($($arg),*) },
                    // SAFETY: as above.
                    $crate::InstructionSet::Avx2 => return unsafe { avx2$(::<$stored>)?($($arg),*) },
                    _ => {}
                }
            }
            #[cfg(target_arch = "aarch64")]
            if set == $crate::InstructionSet::Neon {
                // SAFETY: every processor of the architecture has the instructions; the rest is the caller's contract.
                return unsafe { $body::<$crate::cpu::simd::Lanes8Neon $(, $stored)?>($($arg),*) };
            }
            let _ = set;
            // SAFETY: arrays need no special instructions; the rest is the caller's contract.
            unsafe { $body::<$crate::cpu::simd::Array8 $(, $stored)?>($($arg),*) }
        }
    };
}
pub(crate) use dispatch;

/// Lanes of the widest vector a set works with.
pub(crate) fn lanes(set: crate::InstructionSet) -> usize {
    if set == crate::InstructionSet::Avx512 { 16 } else { 8 }
}

/// Vectors of the panel that starts at channel `k` of `channels`: two, or the one that is left.
#[inline(always)]
pub(crate) fn panel_vectors(lanes: usize, channels: usize, k: usize) -> usize {
    if channels - k > lanes { 2 } else { 1 }
}

/// A pointer that tasks share; each task keeps to its own part.
#[derive(Debug)]
pub(crate) struct Shared<T = f32>(*mut T);

// An address can be copied whatever it is the address of.
impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

// SAFETY: a `Shared` is only an address; whoever dereferences it sees to it that no two tasks write one element and that
// nothing is read while another task writes it.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    pub(crate) fn output(slice: &mut [std::mem::MaybeUninit<T>]) -> Self {
        Self(slice.as_mut_ptr().cast())
    }

    /// The address of element `at`.
    ///
    /// # Safety
    ///
    /// `at` must not lie beyond the end of the slice this was made from.
    #[inline(always)]
    pub(crate) unsafe fn at(self, at: usize) -> *mut T {
        // SAFETY: the caller's contract.
        unsafe { self.0.add(at) }
    }

    /// The rest of the slice from element `at` on.
    ///
    /// # Safety
    ///
    /// As [`Self::at`].
    pub(crate) unsafe fn from(self, at: usize) -> Self {
        // SAFETY: the caller's contract.
        Self(unsafe { self.at(at) })
    }
}
