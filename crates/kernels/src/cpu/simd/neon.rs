//! Eight lanes of NEON, in two registers.

use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vabsq_f32, vaddq_f32, vaddq_s32, vaddq_u32, vaddvq_f32, vaddvq_u32, vandq_u32, vbicq_u32,
    vbslq_f32, vbslq_u32, vceqq_f32, vcgtq_f32, vcleq_f32, vcltq_f32, vcvtnq_s32_f32, vdivq_f32, vdupq_n_f32,
    vdupq_n_s32, vdupq_n_u32, vfmaq_f32, vld1_u16, vld1q_f32, vld1q_u32, vmaxnmvq_f32, vmovl_u16, vmulq_f32, vorrq_u32,
    vreinterpretq_f32_s32, vreinterpretq_f32_u32, vreinterpretq_u32_f32, vshlq_n_s32, vshlq_n_u32, vshrn_n_u32,
    vshrq_n_s32, vshrq_n_u32, vst1_u16, vst1q_f32, vsubq_f32, vsubq_s32, vtstq_u32,
};

use half::bf16;

use crate::cpu::simd::{Arithmetic, Vector};

/// Every aarch64 processor has these instructions. A register tile of six rows and two vectors takes 24 of 32 registers,
/// as a single register has four lanes.
#[derive(Clone, Copy)]
pub(crate) struct Lanes8Neon(float32x4_t, float32x4_t);

impl Lanes8Neon {
    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        Self(f(self.0, other.0), f(self.1, other.1))
    }
}

/// The nearest bf16 numbers' bits, in the upper halves; see the vectors of x86.
#[inline(always)]
fn rounded(number: float32x4_t) -> uint32x4_t {
    // SAFETY: arithmetic, with instructions that every aarch64 processor has.
    #[allow(unused_unsafe, reason = "which of these are safe to call depends on the compiler's version")]
    unsafe {
        let bits = vreinterpretq_u32_f32(number);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
        let quiet = vorrq_u32(bits, vdupq_n_u32(0x40_0000));
        vbslq_u32(vceqq_f32(number, number), rounded, quiet)
    }
}

// SAFETY (of every block): the trait's contract; the instructions are part of the architecture.
#[allow(unused_unsafe, reason = "which intrinsics are safe to call depends on the compiler's version")]
impl Vector for Lanes8Neon {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const REGISTERS: usize = 16;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's contract.
        let lanes = unsafe { vdupq_n_f32(value) };
        Self(lanes, lanes)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's contract: eight readable elements, of any alignment.
        unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's contract: eight writable elements, of any alignment.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        let from = from.cast::<u16>();
        // SAFETY: the trait's contract: eight readable elements, of any alignment.
        unsafe {
            let (low, high) = (vmovl_u16(vld1_u16(from)), vmovl_u16(vld1_u16(from.add(4))));
            let [low, high] = [low, high].map(|bits| vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits)));
            Self(low, high)
        }
    }
    #[inline(always)]
    unsafe fn narrow(self, to: *mut bf16) {
        let to = to.cast::<u16>();
        // SAFETY: the trait's contract: eight writable elements, of any alignment.
        unsafe {
            vst1_u16(to, vshrn_n_u32::<16>(rounded(self.0)));
            vst1_u16(to.add(4), vshrn_n_u32::<16>(rounded(self.1)));
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's contract.
        self.with(other, |a, b| unsafe { vaddq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the trait's contract.
        self.with(other, |a, b| unsafe { vsubq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the trait's contract.
        self.with(other, |a, b| unsafe { vmulq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn fma(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the trait's contract.
        unsafe { Self(vfmaq_f32(addend.0, self.0, factor.0), vfmaq_f32(addend.1, self.1, factor.1)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // A comparison, false for NaN, and a choice: the instruction for the maximum would pass the NaN of either.
        // SAFETY: the trait's contract.
        self.with(other, |a, b| unsafe { vbslq_f32(vcgtq_f32(b, a), b, a) })
    }
    #[inline(always)]
    unsafe fn where_not_below(self, other: Self) -> Self {
        // SAFETY: the trait's contract.
        self.with(other, |value, other| unsafe {
            let below = vcleq_f32(other, vdupq_n_f32(0.0));
            vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), below))
        })
    }
    #[inline(always)]
    unsafe fn bits_not_below(self, to: *mut u8) {
        // SAFETY: the trait's contract: a writable byte. Every lane adds its own bit.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            let [low, high] = bits();
            let low = vbicq_u32(low, vcleq_f32(self.0, zero));
            let high = vbicq_u32(high, vcleq_f32(self.1, zero));
            to.write(vaddvq_u32(vorrq_u32(low, high)) as u8);
        }
    }
    #[inline(always)]
    unsafe fn where_bits(self, from: *const u8) -> Self {
        // SAFETY: the trait's contract: a readable byte. Every lane looks at its own bit of it.
        unsafe {
            let byte = vdupq_n_u32(u32::from(from.read()));
            let [low, high] = bits().map(|bit| vtstq_u32(byte, bit));
            let keep = |value, set| vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(value), set));
            Self(keep(self.0, low), keep(self.1, high))
        }
    }
}

/// The bit of each lane.
#[inline(always)]
fn bits() -> [uint32x4_t; 2] {
    const LOW: [u32; 4] = [1, 2, 4, 8];
    const HIGH: [u32; 4] = [16, 32, 64, 128];
    // SAFETY: four readable elements each.
    unsafe { [vld1q_u32(LOW.as_ptr()), vld1q_u32(HIGH.as_ptr())] }
}

#[allow(unused_unsafe, reason = "which intrinsics are safe to call depends on the compiler's version")]
impl Arithmetic for Lanes8Neon {
    type Mask = (uint32x4_t, uint32x4_t);
    #[inline(always)]
    unsafe fn div(self, divisor: Self) -> Self {
        // SAFETY: the trait's contract.
        self.with(divisor, |a, b| unsafe { vdivq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // A comparison and a choice, as for the maximum.
        // SAFETY: the trait's contract.
        self.with(other, |a, b| unsafe { vbslq_f32(vcltq_f32(b, a), b, a) })
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the trait's contract.
        unsafe { Self(vabsq_f32(self.0), vabsq_f32(self.1)) }
    }
    #[inline(always)]
    unsafe fn at_most(self, other: Self) -> Self::Mask {
        // SAFETY: the trait's contract.
        unsafe { (vcleq_f32(self.0, other.0), vcleq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        // SAFETY: the trait's contract.
        unsafe { Self(vbslq_f32(mask.0, yes.0, no.0), vbslq_f32(mask.1, yes.1, no.1)) }
    }
    #[inline(always)]
    unsafe fn scale(self, exponent: Self) -> Self {
        // Two factors, each of which is a normal number: one alone would underflow before the product does.
        // SAFETY: the trait's contract.
        self.with(exponent, |value, exponent| unsafe {
            let whole = vcvtnq_s32_f32(exponent);
            let half = vshrq_n_s32::<1>(whole);
            let bias = vdupq_n_s32(127);
            let first = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(half, bias)));
            let second = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vsubq_s32(whole, half), bias)));
            vmulq_f32(vmulq_f32(value, first), second)
        })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize, rest: f32) -> Self {
        let mut lanes = [rest; 8];
        // SAFETY: the trait's contract: `count` readable elements, at most eight.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut lanes = [0f32; 8];
        // SAFETY: the trait's contract: `count` writable elements, at most eight.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { vaddvq_f32(vaddq_f32(self.0, self.1)) }
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { vmaxnmvq_f32(self.max(Self(self.1, self.0)).0) }
    }
}
