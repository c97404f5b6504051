//! What happens to a convolution's sums before they are written.

use std::mem::MaybeUninit;

use crate::cpu::element::Element;
use crate::cpu::simd::{Shared, Stored, Vector};

/// The operations after a forward pass, in this order, before each result is rounded once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue<'a, T: Element> {
    /// Added to each output channel.
    pub(crate) bias: Option<&'a [T::Accumulator]>,
    /// Added to the outputs, as many as they are.
    pub(crate) residual: Option<&'a [T]>,
    /// Whether outputs below zero become zero.
    pub(crate) relu: bool,
}

impl<T: Element> Epilogue<'_, T> {
    /// No operation.
    pub(crate) const NONE: Self = Self { bias: None, residual: None, relu: false };
}

/// The memory that vectors of sums are written to, and what is done to them on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<S> {
    y: Shared<S>,
    /// Added to the sums: a residual, or the output itself.
    added: Option<Shared<S>>,
    /// The least output: zero for a rectifier, otherwise minus infinity.
    least: f32,
}

impl<S: Stored> Target<S> {
    /// The output of a forward pass. Its bias is added by the kernel, which starts or ends its sums with it.
    pub(super) fn output(y: &mut [MaybeUninit<S>], epilogue: Epilogue<'_, S>) -> Self {
        assert!(epilogue.residual.is_none_or(|residual| residual.len() == y.len()), "residual length");
        let added = epilogue.residual.map(Shared::input);
        Self { y: Shared::output(y), added, least: if epilogue.relu { 0.0 } else { f32::NEG_INFINITY } }
    }

    /// A gradient, added to what `dx` holds if `add`.
    pub(super) fn gradient(dx: &mut [MaybeUninit<S>], add: bool) -> Self {
        let y = Shared::output(dx);
        Self { y, added: add.then_some(y), least: f32::NEG_INFINITY }
    }

    /// The rest of the memory from element `at` on.
    ///
    /// # Safety
    ///
    /// `at` must not lie beyond the end.
    #[inline(always)]
    pub(super) unsafe fn from(self, at: usize) -> Self {
        // SAFETY: the caller's contract; a residual is as long as the output.
        unsafe { Self { y: self.y.from(at), added: self.added.map(|added| added.from(at)), ..self } }
    }

    /// Writes a vector of sums to the elements from `at` on, or only the first `left` of it.
    ///
    /// # Safety
    ///
    /// These elements must lie within the memory and be this task's own, and the processor must have the instructions.
    #[inline(always)]
    pub(super) unsafe fn store<V: Vector>(self, sum: V, at: usize, left: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            let sum = match self.added {
                Some(added) => sum.add(S::load_left::<V>(added.at(at), left)),
                None => sum,
            };
            S::store_left(sum.max(V::splat(self.least)), self.y.at(at), left);
        }
    }
}
