//! The layers of a language model, from tokens to the input of the softmax.

use candle_core::Tensor;
use lookahead_kernels::{Lstm, embedding, lstm, masked, masked_embedding};

use super::{LanguageModel, LanguageState, masks::Masks};
use crate::{Error, Pass, Result, layers::weight};

/// The layers' outputs for a window of text.
#[derive(Debug, Clone)]
pub struct LanguageFeatures {
    /// The last layer's outputs after dropout, (T, B, units): the input of the softmax.
    pub dropped: Tensor,
    /// The last layer's outputs before dropout, (T, B, units); AWD-LSTM's regularisers use both.
    pub raw: Tensor,
    /// The state after the last step, with its graph.
    pub state: LanguageState,
}

/// The last layer's outputs before dropout, and the mask of that dropout, if any.
pub(super) struct Outputs {
    pub(super) raw: Tensor,
    pub(super) mask: Option<Tensor>,
    pub(super) state: LanguageState,
}

impl LanguageModel {
    /// Runs the layers on `tokens`, u32 (T, B), starting from `state`.
    ///
    /// Training keeps the graph and applies dropout; the pass's step numbers its masks.
    ///
    /// # Errors
    ///
    /// Tokens of another shape or dtype, or beyond the vocabulary; a state of another model or batch.
    pub fn features(&self, tokens: &Tensor, state: &LanguageState, pass: Pass) -> Result<LanguageFeatures> {
        let Outputs { raw, mask, state } = self.outputs(tokens, state, pass)?;
        let dropped = match &mask {
            Some(mask) => masked(&raw, mask)?,
            None => raw.clone(),
        };
        Ok(LanguageFeatures { dropped, raw, state })
    }

    pub(super) fn outputs(&self, tokens: &Tensor, state: &LanguageState, pass: Pass) -> Result<Outputs> {
        let (op, argument) = ("LanguageModel::features", "tokens");
        if tokens.rank() != 2 {
            let (expected, got) = ("(T, B)".to_string(), tokens.dims().to_vec());
            return Err(lookahead_kernels::Error::Shape { op, argument, expected, got }.into());
        }
        if state.layers.len() != self.layers.len() {
            return Err(Error::StateLayers { expected: self.layers.len(), got: state.layers.len() });
        }
        let dropout = self.config.dropout;
        // Mask places: rows, input, and two per layer: its recurrent weights, and its output.
        let masks = Masks { seed: self.seed, pass, places: 2 + 2 * self.layers.len() as u64 };
        let ((steps, batch), width) = (tokens.dims2()?, self.config.embedding);
        let (table, kind) = (weight(&self.embedding, pass), (self.dtype, &self.device));
        let mut x = match masks.of_activations(1, dropout.input, (steps, batch, width), dropout.locked, kind)? {
            Some(mask) => masked_embedding(&table, tokens, &mask)?,
            None => embedding(&table, tokens)?,
        };
        if let Some(rows) = masks.mask(0, dropout.rows, &[self.config.vocabulary, 1], kind)? {
            let of_tokens = rows.index_select(&tokens.flatten_all()?, 0)?.reshape((steps, batch, 1))?;
            x = x.broadcast_mul(&of_tokens)?;
        }
        let (mut mask, mut after) = (None, Vec::with_capacity(self.layers.len()));
        for (index, (layer, state)) in self.layers.iter().zip(&state.layers).enumerate() {
            if let Some(mask) = &mask {
                x = masked(&x, mask)?;
            }
            let place = 2 + 2 * index as u64;
            let mut weight_hh = weight(&layer.weight_hh, pass);
            let shape = weight_hh.dims().to_vec();
            if let Some(mask) = masks.mask(place, dropout.recurrent, &shape, kind)? {
                weight_hh = masked(&weight_hh, &mask)?;
            }
            let parameters = Lstm {
                weight_ih: weight(&layer.weight_ih, pass),
                weight_hh,
                biases: Some((weight(&layer.bias_ih, pass), weight(&layer.bias_hh, pass))),
            };
            let (y, state) = lstm(&x, &parameters, state)?;
            after.push(state);
            let rate = if index + 1 == self.layers.len() { dropout.output } else { dropout.between };
            mask = masks.of_activations(place + 1, rate, y.dims3()?, dropout.locked, kind)?;
            x = y;
        }
        Ok(Outputs { raw: x, mask, state: LanguageState { layers: after } })
    }
}
