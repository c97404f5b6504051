//! What a language model carries from one window of text to the next.

use std::collections::BTreeMap;

use candle_core::Tensor;
use lookahead_kernels::LstmState;

/// The state of every layer between two windows: a value that the caller keeps, saves and gives back.
///
/// Training carries it from window to window; evaluation begins with its own and leaves that of training alone.
#[derive(Debug, Clone)]
pub struct LanguageState {
    /// Of each layer, (B, units) both.
    pub layers: Vec<LstmState>,
}

impl LanguageState {
    /// The same numbers, through which no gradient goes: between two windows of training.
    pub fn detach(&self) -> Self {
        Self { layers: self.layers.iter().map(LstmState::detach).collect() }
    }

    /// The tensors by name, sorted: `state.cell_l0`, `state.hidden_l0` and so on, for a checkpoint.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let named = self.layers.iter().enumerate().flat_map(|(layer, state)| {
            let (hidden, cell) = names(layer);
            [(hidden, state.hidden.detach()), (cell, state.cell.detach())]
        });
        named.collect::<BTreeMap<_, _>>().into_iter().collect()
    }
}

/// The names of a layer's two tensors.
pub(super) fn names(layer: usize) -> (String, String) {
    (format!("state.hidden_l{layer}"), format!("state.cell_l{layer}"))
}
