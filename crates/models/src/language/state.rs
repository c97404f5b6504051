//! The state a language model carries from one window of text to the next.

use std::collections::BTreeMap;

use candle_core::Tensor;
use lookahead_kernels::LstmState;

/// The state of every layer between two windows. The caller keeps it, saves it and passes it back.
///
/// Training carries it from window to window; evaluation starts with its own and does not touch that of training.
#[derive(Debug, Clone)]
pub struct LanguageState {
    /// One entry per layer, (B, units) both.
    pub layers: Vec<LstmState>,
}

impl LanguageState {
    /// The same values without a graph, for use between two windows of training.
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
