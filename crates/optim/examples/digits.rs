//! Classifies noisy digits with a multilayer perceptron, trained by Lookahead around SGD; the loop is that of candle's MNIST example.
//!
//! Run: `cargo run --release --example digits`; `digits-candle.rs` is the same program with candle alone.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, VarMap, linear, loss, ops};
use lookahead_optim::{Lookahead, LookaheadConfig, Sgd};

const IMAGES: usize = 256;
const PIXELS: usize = 64;
const LABELS: usize = 10;

struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    fn new(vs: VarBuilder) -> Result<Self> {
        Ok(Self { first: linear(PIXELS, 32, vs.pp("first"))?, second: linear(32, LABELS, vs.pp("second"))? })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(xs)?.relu()?)
    }
}

/// Noisy images, one pattern per label.
fn digits(device: &Device) -> Result<(Tensor, Tensor)> {
    let patterns: Vec<f32> = (0..LABELS * PIXELS).map(|i| ((i * i * 7 + i * 13) % 11) as f32 / 11.0).collect();
    let labels: Vec<u32> = (0..IMAGES).map(|i| (i % LABELS) as u32).collect();
    let labels = Tensor::from_vec(labels, IMAGES, device)?;
    let clean = Tensor::from_vec(patterns, (LABELS, PIXELS), device)?.index_select(&labels, 0)?;
    Ok(((clean + Tensor::randn(0f32, 0.2, (IMAGES, PIXELS), device)?)?, labels))
}

/// Trains the network; returns the loss before and after.
pub(crate) fn train(epochs: usize) -> Result<(f32, f32)> {
    let device = Device::Cpu;
    let (images, labels) = digits(&device)?;
    let varmap = VarMap::new();
    let model = Mlp::new(VarBuilder::from_varmap(&varmap, DType::F32, &device))?;
    let loss = || loss::nll(&ops::log_softmax(&model.forward(&images)?, D::Minus1)?, &labels);
    let mut sgd = Lookahead::new(Sgd::new(&varmap, 0.5)?, LookaheadConfig::default())?;
    let before = loss()?.to_scalar::<f32>()?;
    for _ in 0..epochs {
        sgd.backward_step(&loss()?)?;
    }
    let after = sgd.with_slow_weights(|| Ok(loss()?.to_scalar::<f32>()?))?;
    Ok((before, after))
}

fn main() -> Result<()> {
    let (before, after) = train(200)?;
    println!("loss {before:.3} -> {after:.3}");
    Ok(())
}
