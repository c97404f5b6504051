//! Vectors of f32, and the way a kernel written once runs with the instructions at hand.
//!
//! A kernel body is generic over [`Vector`], and over [`Stored`](crate::cpu::simd::Stored) where it reads or writes
//! activations, and always inlined. [`dispatch!`] makes one function of it per instruction set,
//! each compiled for that set, and picks among them at run time. Bodies hand nothing to rayon and hold no closures but small
//! ones that are inlined, as those that compute an address: a closure of its own is compiled without the instructions.

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
