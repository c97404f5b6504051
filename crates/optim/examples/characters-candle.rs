//! Predicts the next character of a text with a small LSTM, trained by candle's AdamW.
//!
//! Run: `cargo run --release --example characters-candle`; `characters.rs` is the same program with Lookahead around candle's AdamW.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use candle_nn::{Embedding, LSTM, LSTMConfig, Linear, Module, RNN, VarBuilder, VarMap, embedding, linear, loss, lstm};

const TEXT: &str = "she sells sea shells by the sea shore; the shells she sells are sea shells, i am sure. ";
const CHARACTERS: usize = 128;
const HIDDEN: usize = 32;

struct Model {
    embed: Embedding,
    lstm: LSTM,
    head: Linear,
}

impl Model {
    fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            embed: embedding(CHARACTERS, HIDDEN, vb.pp("embed"))?,
            lstm: lstm(HIDDEN, HIDDEN, LSTMConfig::default(), vb.pp("lstm"))?,
            head: linear(HIDDEN, CHARACTERS, vb.pp("head"))?,
        })
    }

    /// Logits of every next character: (batch, time) to (batch, time, characters).
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let states = self.lstm.seq(&self.embed.forward(tokens)?)?;
        self.head.forward(&self.lstm.states_to_tensor(&states)?)
    }
}

/// The mean loss of the last steps: of the first quarter of the run, and of the last.
pub(crate) fn train(steps: usize) -> Result<(f32, f32)> {
    let device = Device::Cpu;
    let text: Vec<u32> = TEXT.bytes().map(u32::from).collect();
    let (batch, time) = (4, text.len() / 4 - 1);
    let rows = |shift: usize| {
        let row = |i: usize| text[i * (time + 1) + shift..][..time].to_vec();
        Tensor::from_vec((0..batch).flat_map(row).collect::<Vec<_>>(), (batch, time), &device)
    };
    let (inputs, targets) = (rows(0)?, rows(1)?.flatten_all()?);
    let varmap = VarMap::new();
    let model = Model::new(VarBuilder::from_varmap(&varmap, DType::F32, &device))?;
    let params = ParamsAdamW { lr: 0.02, ..Default::default() };
    let mut optimizer = AdamW::new(varmap.all_vars(), params)?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        let loss = loss::cross_entropy(&model.forward(&inputs)?.flatten_to(1)?, &targets)?;
        optimizer.backward_step(&loss)?;
        losses.push(loss.to_scalar::<f32>()?);
    }
    let quarter = (steps / 4).max(1);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    Ok((mean(&losses[..quarter]), mean(&losses[steps - quarter..])))
}

fn main() -> Result<()> {
    let (before, after) = train(200)?;
    println!("loss {before:.3} -> {after:.3}");
    Ok(())
}
