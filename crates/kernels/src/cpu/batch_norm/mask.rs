//! Gradients through the activation after a batch norm, on vectors.

use std::marker::PhantomData;

use crate::Activation;
use crate::cpu::activation::reference::passed;
use crate::cpu::activation::vectors::Curve;
use crate::cpu::batch_norm::rows::Rows;
use crate::cpu::batch_norm::{Affine, Mask, mask_bytes};
use crate::cpu::simd::Vector;

/// A kind of mask, as a type parameter of the kernel bodies.
pub(super) trait Pass {
    /// Whether the affine map is needed.
    const AFFINE: bool;
    /// # Safety
    ///
    /// `bits` must point to those of the vector's lanes, if the mask has any.
    unsafe fn pass<V: Vector>(g: V, centred: V, scale: V, shift: V, bits: *const u8) -> V;
}

pub(super) struct Open;
pub(super) struct Bits;
pub(super) struct Through<C>(PhantomData<C>);

impl Pass for Open {
    const AFFINE: bool = false;
    #[inline(always)]
    unsafe fn pass<V: Vector>(g: V, _: V, _: V, _: V, _: *const u8) -> V {
        g
    }
}

impl Pass for Bits {
    const AFFINE: bool = false;
    #[inline(always)]
    unsafe fn pass<V: Vector>(g: V, _: V, _: V, _: V, bits: *const u8) -> V {
        // SAFETY: the caller's contract.
        unsafe { g.where_bits(bits) }
    }
}

impl<C: Curve> Pass for Through<C> {
    const AFFINE: bool = true;
    #[inline(always)]
    unsafe fn pass<V: Vector>(g: V, centred: V, scale: V, shift: V, _: *const u8) -> V {
        // SAFETY: the caller has the vector's instructions.
        unsafe { C::passed(centred.fma(scale, shift), g) }
    }
}

/// Evaluates `$body` with `$pass` as the type for a mask of kind `$kind`.
macro_rules! with_pass {
    ($kind:expr, $pass:ident => $body:expr) => {
        match $kind {
            $crate::cpu::batch_norm::mask::Kind::Open => {
                type $pass = $crate::cpu::batch_norm::mask::Open;
                $body
            }
            $crate::cpu::batch_norm::mask::Kind::Bits => {
                type $pass = $crate::cpu::batch_norm::mask::Bits;
                $body
            }
            $crate::cpu::batch_norm::mask::Kind::Through(activation) => with_curve!(activation, C => {
                type $pass = $crate::cpu::batch_norm::mask::Through<C>;
                $body
            }),
        }
    };
}

pub(super) use with_pass;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Open,
    Bits,
    Through(Activation),
}

/// A mask with its per-channel numbers repeated to the width of a row. The sums are also taken around `center`.
pub(super) struct WideMask<'a> {
    pub(super) kind: Kind,
    pub(super) affine: Affine<f32>,
    pub(super) bits: &'a [u8],
}

impl<'a> WideMask<'a> {
    pub(super) fn new(rows: &Rows, center: &[f32], mask: Mask<'a, f32>, len: usize) -> Self {
        let (kind, scale, shift, bits): (Kind, &[f32], &[f32], &[u8]) = match mask {
            Mask::Open => (Kind::Open, &[], &[], &[]),
            Mask::Through(activation, affine) => (Kind::Through(activation), &affine.scale, &affine.shift, &[]),
            Mask::Bits(bits) => (Kind::Bits, &[], &[], bits),
        };
        assert!(kind != Kind::Bits || bits.len() == mask_bytes(len), "mask length");
        let wide = |values: &[f32]| if values.is_empty() { Vec::new() } else { rows.widened(values) };
        Self { kind, affine: Affine { center: rows.widened(center), scale: wide(scale), shift: wide(shift) }, bits }
    }

    /// The address of column `column`'s scale; any valid address for masks without scales.
    pub(super) fn scale(&self, column: usize) -> *const f32 {
        self.affine.scale.as_ptr().wrapping_add(column)
    }

    pub(super) fn shift(&self, column: usize) -> *const f32 {
        self.affine.shift.as_ptr().wrapping_add(column)
    }
}

/// `g` after the mask, for one element; `centred` is `x - center`.
pub(super) fn masked(mask: Mask<'_, f32>, at: usize, c: usize, centred: f32, g: f32) -> f32 {
    match mask {
        Mask::Open => g,
        Mask::Through(activation, affine) => {
            let argument = centred.mul_add(affine.scale[c], affine.shift[c]);
            passed(activation, f64::from(argument), f64::from(g)) as f32
        }
        Mask::Bits(bits) => {
            if bits[at / 8] >> (at % 8) & 1 == 1 {
                g
            } else {
                0.0
            }
        }
    }
}
