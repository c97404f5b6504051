//! Vectors of f32. Kernels are written once and run on every instruction set.
//!
//! A kernel body is generic over [`Vector`], also over [`Stored`](crate::cpu::simd::Stored) if it reads or writes
//! activations, and always inlined. [`dispatch!`] compiles it for each instruction set and selects one at run time. Bodies
//! pass nothing to rayon and contain only small closures that are inlined, such as address computations: a closure that is
//! not inlined would be compiled without the instructions.

use half::bf16;

use crate::cpu::simd::Arithmetic;

/// A register of f32 lanes.
///
/// # Safety
///
/// All methods need a processor with the instructions of the type, and pointers valid for `LANES` elements; alignment
/// does not matter. Callers are kernel bodies, which [`dispatch!`] runs only on a processor with these instructions.
pub(crate) trait Vector: Arithmetic {
    const LANES: usize;
    /// Rows of the largest register tile two vectors wide.
    const TILE_ROWS: usize;
    /// Number of vectors that fit in the registers.
    const REGISTERS: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The values of `LANES` bf16 numbers.
    unsafe fn widen(from: *const bf16) -> Self;
    /// Rounds the lanes to the nearest bf16 numbers, ties to even; NaN stays NaN.
    unsafe fn narrow(self, to: *mut bf16);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the processor can.
    unsafe fn fma(self, factor: Self, addend: Self) -> Self;
    /// The larger one, lane by lane; `self` where `self` is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// `self` in lanes where `other` is above zero or NaN, 0 elsewhere, as PyTorch masks a gradient.
    unsafe fn where_not_below(self, other: Self) -> Self;
    /// Writes one bit per lane, the first lane lowest: set if the lane is above zero or NaN.
    unsafe fn bits_not_below(self, to: *mut u8);
    /// `self` in the lanes whose bit is set, 0 elsewhere.
    unsafe fn where_bits(self, from: *const u8) -> Self;
}
