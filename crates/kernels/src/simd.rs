//! Vectors of f32, and the way a kernel written once runs with the instructions at hand.
//!
//! A kernel body is generic over [`Vector`] and always inlined. [`dispatch!`] makes one function of it per instruction set,
//! each compiled for that set, and picks among them at run time. Bodies hold no closures and hand nothing to rayon: a
//! closure would be compiled without the instructions.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _CMP_GT_OQ, _mm256_add_ps, _mm256_and_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_max_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps, _mm512_cmp_ps_mask,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_set1_ps,
    _mm512_storeu_ps, _mm512_sub_ps,
};

/// A register of f32 lanes.
///
/// # Safety
///
/// All methods need a processor with the instructions of the type, and pointers valid for `LANES` elements; alignment
/// does not matter. Callers are kernel bodies, which [`dispatch!`] runs on a fitting processor only.
pub(crate) trait Vector: Copy {
    const LANES: usize;
    /// Rows of the largest register tile two vectors wide.
    const TILE_ROWS: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the processor can.
    unsafe fn fma(self, factor: Self, addend: Self) -> Self;
    /// The larger one, lane by lane; `self` where `self` is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// `self` in the lanes where `other` is above zero, 0 elsewhere.
    unsafe fn where_positive(self, other: Self) -> Self;
}

/// Sixteen lanes of AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Lanes16(__m512);

/// Eight lanes of AVX2 with fused multiply-add.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Lanes8(__m256);

/// Eight lanes in an array, for whatever the compiler makes of it.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Array8([f32; 8]);

macro_rules! x86_vector {
    ($type:ident, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident,
     $mul:ident, $fma:ident, $max:ident, |$value:ident, $other:ident| $positive:expr) => {
        // SAFETY (of every block): the trait's contract, passed on to the intrinsic.
        #[cfg(target_arch = "x86_64")]
        impl Vector for $type {
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;
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
            unsafe fn where_positive(self, other: Self) -> Self {
                let ($value, $other) = (self.0, other.0);
                // SAFETY: the trait's contract.
                Self(unsafe { $positive })
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
    |value, other| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(other, _mm512_set1_ps(0.0)), value)
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
    |value, other| _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(other, _mm256_set1_ps(0.0)), value)
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
    const TILE_ROWS: usize = 2;
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
        // Two roundings: without the instruction, one rounding is a call into the maths library.
        let product = lanewise!(self, factor, |x, y| x * y);
        lanewise!(product, addend, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| if y > x { y } else { x })
    }
    #[inline(always)]
    unsafe fn where_positive(self, other: Self) -> Self {
        lanewise!(self, other, |x, y| if y > 0.0 { x } else { 0.0 })
    }
}

/// Defines `unsafe fn $name(set, ..)`, which runs the generic body `$body` compiled for the instruction set `set`.
///
/// Safe to call if the body's own contract holds: sets beyond the portable one are only ever chosen after detection.
macro_rules! dispatch {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "private, and what a kernel needs")]
        unsafe fn $name(set: $crate::InstructionSet, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                unsafe fn avx512($($arg: $type),*) {
                    // SAFETY: the caller's contract; this function is compiled with the instructions of the type.
                    unsafe { $body::<$crate::simd::Lanes16>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $type),*) {
                    // SAFETY: as above.
                    unsafe { $body::<$crate::simd::Lanes8>($($arg),*) }
                }
                match set {
                    // SAFETY: a set is only chosen on a processor that has it; the rest is the caller's contract.
                    $crate::InstructionSet::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    _ => {}
                }
            }
            let _ = set;
            // SAFETY: arrays need no special instructions; the rest is the caller's contract.
            unsafe { $body::<$crate::simd::Array8>($($arg),*) }
        }
    };
}
pub(crate) use dispatch;

/// Lanes of the widest vector a set works with.
pub(crate) fn lanes(set: crate::InstructionSet) -> usize {
    if set == crate::InstructionSet::Avx512 { 16 } else { 8 }
}

/// Outputs a register tile computes side by side: two vectors, or one where the channels only make a multiple of 16.
pub(crate) fn panel(set: crate::InstructionSet, channels: usize) -> usize {
    let two = 2 * lanes(set);
    if channels.is_multiple_of(two) { two } else { 16 }
}

/// A pointer that tasks share; each task keeps to its own part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared(*mut f32);

// SAFETY: a `Shared` is only an address; whoever dereferences it sees to it that no two tasks write one element and that
// nothing is read while another task writes it.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    pub(crate) fn output(slice: &mut [std::mem::MaybeUninit<f32>]) -> Self {
        Self(slice.as_mut_ptr().cast())
    }

    /// The address of element `at`.
    ///
    /// # Safety
    ///
    /// `at` must not lie beyond the end of the slice this was made from.
    #[inline(always)]
    pub(crate) unsafe fn at(self, at: usize) -> *mut f32 {
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
