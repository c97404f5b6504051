//! An LSTM layer over a window of steps: the reference, and the fast version that is tested against it.
//!
//! With `a = W_ih x + b_ih + W_hh h' + b_hh` in four parts of `hidden` numbers, in PyTorch's order: `i = s(a1)`, `f = s(a2)`,
//! `g = tanh(a3)`, `o = s(a4)`, `c = f c' + i g`, `h = o tanh(c)`. The gradients of the weights are computed afterwards. Sequences
//! are independent, so each task runs some of them through all steps without synchronisation.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

mod backward;
mod forward;
pub(crate) mod reference;

use std::mem::MaybeUninit;

pub(crate) use backward::backward;
pub(crate) use forward::forward;

/// Extents of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extents {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
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

/// Inputs of both passes: the layer's inputs and parameters, and the state before the first step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a, T> {
    pub(crate) extents: Extents,
    /// (steps, batch, inputs).
    pub(crate) x: &'a [T],
    /// (4 hidden, inputs).
    pub(crate) weight_ih: &'a [T],
    /// (4 hidden, hidden).
    pub(crate) weight_hh: &'a [T],
    /// The sum of both biases, (4 hidden).
    pub(crate) bias: Option<&'a [T]>,
    /// (batch, hidden).
    pub(crate) hidden: &'a [T],
    /// (batch, hidden).
    pub(crate) cell: &'a [T],
}

impl<T> Window<'_, T> {
    fn check(&self) {
        let Extents { steps, batch, inputs, hidden } = self.extents;
        let state = self.extents.state_len();
        assert!(self.x.len() == steps * batch * inputs, "inputs");
        assert!(self.weight_ih.len() == 4 * hidden * inputs, "input weight");
        assert!(self.weight_hh.len() == 4 * hidden * hidden, "recurrent weight");
        assert!(self.bias.is_none_or(|bias| bias.len() == 4 * hidden), "bias");
        assert!(self.hidden.len() == state && self.cell.len() == state, "state");
    }
}

/// Outputs of the forward pass.
pub(crate) struct Written<'a, T> {
    /// (steps, batch, 4 hidden): the gates' values.
    pub(crate) gates: &'a mut [MaybeUninit<T>],
    /// (steps, batch, hidden).
    pub(crate) cells: &'a mut [MaybeUninit<T>],
    /// (steps, batch, hidden): the outputs.
    pub(crate) y: &'a mut [MaybeUninit<T>],
}

impl<T> Written<'_, T> {
    fn check(&self, extents: Extents) {
        let states = extents.states_len();
        assert!(self.gates.len() == 4 * states && self.cells.len() == states && self.y.len() == states, "lengths");
    }
}

/// Inputs of the backward pass: results of the forward pass, and the gradients of the outputs and of the last cell state.
pub(crate) struct Passed<'a, T> {
    pub(crate) gates: &'a [T],
    pub(crate) cells: &'a [T],
    pub(crate) dy: &'a [T],
    pub(crate) d_cell: &'a [T],
}

impl<T> Passed<'_, T> {
    fn check(&self, extents: Extents) {
        let states = extents.states_len();
        assert!(self.gates.len() == 4 * states && self.cells.len() == states && self.dy.len() == states, "lengths");
        assert!(self.d_cell.len() == extents.state_len(), "lengths");
    }
}

/// Outputs of the backward pass.
pub(crate) struct Gradients<'a, T> {
    /// Of the gates' sums, (steps, batch, 4 hidden).
    pub(crate) gates: &'a mut [MaybeUninit<T>],
    /// Of the state before the first step.
    pub(crate) hidden: &'a mut [MaybeUninit<T>],
    pub(crate) cell: &'a mut [MaybeUninit<T>],
    /// Of the inputs, if it is wanted.
    pub(crate) x: Option<&'a mut [MaybeUninit<T>]>,
}

impl<T> Gradients<'_, T> {
    fn check(&self, extents: Extents) {
        let (states, state) = (extents.states_len(), extents.state_len());
        assert!(self.gates.len() == 4 * states, "lengths");
        assert!(self.hidden.len() == state && self.cell.len() == state, "lengths");
        let inputs = extents.steps * extents.batch * extents.inputs;
        assert!(self.x.as_ref().is_none_or(|x| x.len() == inputs), "lengths");
    }
}

/// So many values of gates, or of their gradients, stay in the second-level cache between the inputs' product and the recurrence.
const IN_CACHE: usize = 1 << 16;

/// Number of steps of `rows` sequences for which a task computes the inputs' products at once.
fn steps_at_once(extents: Extents, rows: usize) -> usize {
    (IN_CACHE / (4 * extents.hidden * rows).max(1)).clamp(1, extents.steps.max(1))
}
