//! The recurrence of an LSTM layer: the reference, and the fast version that is tested against it.
//!
//! With `a = W_ih x + b_ih + W_hh h' + b_hh` in four parts of `hidden` numbers, in PyTorch's order: `i = s(a1)`,
//! `f = s(a2)`, `g = tanh(a3)`, `o = s(a4)`, `c = f c' + i g`, `h = o tanh(c)`. The input's part of `a` is computed before,
//! for all steps at once; the gradients of weights and input are computed afterwards. Sequences are independent, so each
//! task runs some of them through all steps without synchronisation.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

mod backward;
mod forward;
pub(crate) mod reference;

use std::mem::MaybeUninit;

pub(crate) use backward::backward;
pub(crate) use forward::forward;

/// Extents of the recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extents {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) hidden: usize,
}

impl Extents {
    /// Number of elements of a state.
    pub(crate) fn state_len(&self) -> usize {
        self.batch * self.hidden
    }
    /// Number of elements of the states of all steps.
    pub(crate) fn states_len(&self) -> usize {
        self.steps * self.state_len()
    }
}

/// Inputs of both passes: the recurrent weight (4 hidden, hidden) and the first state, two times (batch, hidden).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recurrence<'a, T> {
    pub(crate) extents: Extents,
    pub(crate) weight: &'a [T],
    pub(crate) hidden: &'a [T],
    pub(crate) cell: &'a [T],
}

impl<T> Recurrence<'_, T> {
    fn check(&self) {
        let Extents { hidden, .. } = self.extents;
        let state = self.extents.state_len();
        assert!(self.weight.len() == 4 * hidden * hidden, "recurrent weight");
        assert!(self.hidden.len() == state && self.cell.len() == state, "state");
    }
}

/// Outputs of the forward pass.
pub(crate) struct Written<'a, T> {
    /// (steps, batch, 4 hidden): initially the input's part of the sums, finally the gates' values.
    pub(crate) gates: &'a mut [T],
    /// (steps, batch, hidden).
    pub(crate) cells: &'a mut [MaybeUninit<T>],
    /// (steps, batch, hidden): the outputs.
    pub(crate) y: &'a mut [MaybeUninit<T>],
}

/// Inputs of the backward pass: results of the forward pass, and the gradients of the outputs and of the last cell state.
pub(crate) struct Passed<'a, T> {
    pub(crate) gates: &'a [T],
    pub(crate) cells: &'a [T],
    pub(crate) dy: &'a [T],
    pub(crate) d_cell: Option<&'a [T]>,
}

/// Outputs of the backward pass.
pub(crate) struct Gradients<'a, T> {
    /// Of the sums, (steps, batch, 4 hidden).
    pub(crate) gates: &'a mut [MaybeUninit<T>],
    /// Of the state before the first step.
    pub(crate) hidden: &'a mut [MaybeUninit<T>],
    pub(crate) cell: &'a mut [MaybeUninit<T>],
}
