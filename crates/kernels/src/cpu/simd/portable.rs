//! Vectors as arrays, which the compiler vectorises.

use half::bf16;

use crate::cpu::simd::Vector;

/// Eight lanes in an array, which the compiler vectorises.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Array8(pub(super) [f32; 8]);

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
