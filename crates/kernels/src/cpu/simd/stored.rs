//! Storage types of activations: f32, or bf16, which is widened when read and rounded when written.
//!
//! bf16 is the upper half of f32: the same range, eight bits of precision, half the memory and traffic. Kernels compute in
//! f32 registers for both, so a kernel body is written once.

use half::bf16;

use crate::cpu::memory::Pooled;
use crate::cpu::simd::Vector;

/// A type that vectors of f32 are read from and written to.
pub(crate) trait Stored: candle_core::WithDType + Pooled {
    /// # Safety
    ///
    /// As [`Vector::load`].
    unsafe fn load<V: Vector>(from: *const Self) -> V;
    /// # Safety
    ///
    /// As [`Vector::store`].
    unsafe fn store<V: Vector>(vector: V, to: *mut Self);
    /// As [`Arithmetic::load_first`](crate::cpu::simd::Arithmetic::load_first).
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn load_first<V: Vector>(from: *const Self, count: usize, rest: f32) -> V;
    /// As [`Arithmetic::store_first`](crate::cpu::simd::Arithmetic::store_first).
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn store_first<V: Vector>(vector: V, to: *mut Self, count: usize);
    /// Up to a vector of `left` elements; zeros in the remaining lanes.
    ///
    /// # Safety
    ///
    /// As [`Vector::load`], for no more than `left` elements.
    #[inline(always)]
    unsafe fn load_left<V: Vector>(from: *const Self, left: usize) -> V {
        // SAFETY: the caller's contract.
        unsafe { if left >= V::LANES { Self::load::<V>(from) } else { Self::load_first::<V>(from, left, 0.0) } }
    }
    /// Writes up to a vector of `left` elements.
    ///
    /// # Safety
    ///
    /// As [`Vector::store`], for no more than `left` elements.
    #[inline(always)]
    unsafe fn store_left<V: Vector>(vector: V, to: *mut Self, left: usize) {
        // SAFETY: the caller's contract.
        unsafe { if left >= V::LANES { Self::store(vector, to) } else { Self::store_first(vector, to, left) } }
    }
    fn to_f32(self) -> f32;
    fn of_f32(value: f32) -> Self;
    /// The elements themselves, if they are f32 already.
    fn as_f32(elements: &[Self]) -> Option<&[f32]>;
    fn as_f32_mut(elements: &mut [Self]) -> Option<&mut [f32]>;
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const f32) -> V {
        // SAFETY: the caller's contract.
        unsafe { V::load(from) }
    }
    #[inline(always)]
    unsafe fn store<V: Vector>(vector: V, to: *mut f32) {
        // SAFETY: the caller's contract.
        unsafe { vector.store(to) }
    }
    #[inline(always)]
    unsafe fn load_first<V: Vector>(from: *const f32, count: usize, rest: f32) -> V {
        // SAFETY: the caller's contract.
        unsafe { V::load_first(from, count, rest) }
    }
    #[inline(always)]
    unsafe fn store_first<V: Vector>(vector: V, to: *mut f32, count: usize) {
        // SAFETY: the caller's contract.
        unsafe { vector.store_first(to, count) }
    }
    fn to_f32(self) -> f32 {
        self
    }
    fn of_f32(value: f32) -> f32 {
        value
    }
    fn as_f32(elements: &[f32]) -> Option<&[f32]> {
        Some(elements)
    }
    fn as_f32_mut(elements: &mut [f32]) -> Option<&mut [f32]> {
        Some(elements)
    }
}

impl Stored for bf16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const bf16) -> V {
        // SAFETY: the caller's contract.
        unsafe { V::widen(from) }
    }
    #[inline(always)]
    unsafe fn store<V: Vector>(vector: V, to: *mut bf16) {
        // SAFETY: the caller's contract.
        unsafe { vector.narrow(to) }
    }
    #[inline(always)]
    unsafe fn load_first<V: Vector>(from: *const bf16, count: usize, rest: f32) -> V {
        // Widened one by one: `rest` need not be a number that bf16 has.
        let mut lanes = [rest; 16];
        for lane in 0..count {
            // SAFETY: `count` readable elements.
            lanes[lane] = unsafe { *from.add(lane) }.to_f32();
        }
        // SAFETY: no vector has more than sixteen lanes.
        unsafe { V::load(lanes.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store_first<V: Vector>(vector: V, to: *mut bf16, count: usize) {
        let mut lanes = [bf16::ZERO; 16];
        // SAFETY: `count` writable elements, and no vector has more than sixteen lanes.
        unsafe {
            vector.narrow(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    fn of_f32(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
    fn as_f32(_: &[bf16]) -> Option<&[f32]> {
        None
    }
    fn as_f32_mut(_: &mut [bf16]) -> Option<&mut [f32]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::dispatch;
    use crate::cpu::twins::sets;

    dispatch! {
        /// The first `count` elements, and 1 in the lanes beyond, to `to`.
        fn some<S>(from: *const S, to: *mut S, count: usize) = some_body
    }

    #[inline(always)]
    unsafe fn some_body<V: Vector, S: Stored>(from: *const S, to: *mut S, count: usize) {
        // SAFETY: the caller hands over `count` readable and writable elements, and 16 more to write.
        unsafe {
            let vector = S::load_left::<V>(from, count);
            S::store_left(vector, to, count);
            S::store(vector, to.add(16));
        }
    }

    fn check_some<S: Stored>() {
        for set in sets() {
            for count in 0..=crate::cpu::simd::lanes(set) {
                // As many elements as may be read: a sanitizer sees one too many.
                let from: Vec<S> = (0..count).map(|at| S::of_f32(at as f32 + 1.0)).collect();
                let mut to = vec![S::of_f32(-7.0); 32];
                // SAFETY: `count` elements to read, 32 to write.
                unsafe { some(set, from.as_ptr(), to.as_mut_ptr(), count) };
                for lane in 0..crate::cpu::simd::lanes(set) {
                    let value = if lane < count { lane as f32 + 1.0 } else { 0.0 };
                    assert_eq!(to[16 + lane].to_f32(), value, "{set:?} {count}: loaded lane {lane}");
                    let kept = if lane < count { value } else { -7.0 };
                    assert_eq!(to[lane].to_f32(), kept, "{set:?} {count}: stored lane {lane}");
                }
            }
        }
    }

    #[test]
    fn parts_of_vectors_touch_nothing_else() {
        check_some::<f32>();
        check_some::<bf16>();
    }

    dispatch! {
        /// Sixteen f32 numbers to bf16 and back.
        fn there_and_back(from: *const f32, narrow: *mut bf16, back: *mut f32) = there_and_back_body
    }

    #[inline(always)]
    unsafe fn there_and_back_body<V: Vector>(from: *const f32, narrow: *mut bf16, back: *mut f32) {
        for at in (0..16).step_by(V::LANES) {
            // SAFETY: the caller hands over sixteen elements each, a multiple of the lanes.
            unsafe {
                <bf16 as Stored>::store(V::load(from.add(at)), narrow.add(at));
                <bf16 as Stored>::load::<V>(narrow.add(at)).store(back.add(at));
            }
        }
    }

    /// Every upper half of an f32, infinities and NaN among them, with lower halves around zero, the tie and the end.
    #[test]
    fn vectors_round_as_the_scalar_does() {
        for set in sets() {
            for upper in (0..=u16::MAX).step_by(if cfg!(miri) { 997 } else { 1 }) {
                let lower = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1234, 0xc000];
                let bits = |lane: usize| u32::from(upper) << 16 | lower[lane % 8];
                let from: [f32; 16] = std::array::from_fn(|lane| f32::from_bits(bits(lane)));
                let (mut narrow, mut back) = ([bf16::ZERO; 16], [0f32; 16]);
                // SAFETY: sixteen elements each.
                unsafe { there_and_back(set, from.as_ptr(), narrow.as_mut_ptr(), back.as_mut_ptr()) };
                for lane in 0..16 {
                    let expected = bf16::from_f32(from[lane]);
                    assert_eq!(narrow[lane].to_bits(), expected.to_bits(), "{set:?} {:#x}", bits(lane));
                    assert_eq!(back[lane].to_bits(), u32::from(expected.to_bits()) << 16, "{set:?} {:#x}", bits(lane));
                    assert_eq!(narrow[lane].is_nan(), from[lane].is_nan());
                }
            }
        }
    }
}
