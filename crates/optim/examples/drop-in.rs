//! Lookahead in a training loop written against candle's own `Optimizer`: only the type and its configuration change.
//!
//! Run: `cargo run --release --example drop-in`.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Linear, Module, Optimizer, VarBuilder, VarMap, linear};
use lookahead_optim::{AdamW, AdamWConfig, Lookahead, LookaheadConfig};

struct Mlp(Linear, Linear);

impl Mlp {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.1.forward(&self.0.forward(x)?.tanh()?)
    }
}

/// A typical training loop, written without this crate.
fn train<O: Optimizer>(config: O::Config) -> Result<(f32, f32)> {
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let model = Mlp(linear(2, 16, builder.pp("hidden"))?, linear(16, 1, builder.pp("output"))?);
    let inputs = Tensor::new(&[[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &Device::Cpu)?;
    let targets = Tensor::new(&[[0f32], [1.0], [1.0], [0.0]], &Device::Cpu)?; // exclusive or
    let loss = || candle_nn::loss::mse(&model.forward(&inputs)?, &targets);
    let mut optimizer = O::new(vars.all_vars(), config)?;
    let before = loss()?.to_scalar()?;
    for _ in 0..500 {
        optimizer.backward_step(&loss()?)?;
    }
    Ok((before, loss()?.to_scalar()?))
}

fn main() -> Result<()> {
    let adamw = AdamWConfig { learning_rate: 0.02, ..AdamWConfig::default() };
    for (name, (before, after)) in [
        ("candle-nn's AdamW", train::<candle_nn::AdamW>(candle_nn::ParamsAdamW { lr: 0.02, ..Default::default() })?),
        ("AdamW", train::<AdamW>(adamw.clone())?),
        ("Lookahead around AdamW", train::<Lookahead<AdamW>>((adamw, LookaheadConfig::default()))?),
    ] {
        println!("{name:24} loss {before:.4} -> {after:.6}");
    }
    Ok(())
}
