//! Trains a generator of points on a ring against a critic: two networks, each with Lookahead around AdamW.
//!
//! Run: `cargo run --release --example ring`; `ring-candle.rs` is the same program with candle alone.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::loss::binary_cross_entropy_with_logit as cross_entropy;
use candle_nn::{Activation, Module};
use candle_nn::{Sequential, VarBuilder, VarMap, linear, seq};
use lookahead_optim::{AdamW, Lookahead, LookaheadConfig};

const BATCH: usize = 64;
const NOISE: usize = 4;

fn network(inputs: usize, outputs: usize, vb: VarBuilder) -> Result<Sequential> {
    let (first, second) = (linear(inputs, 32, vb.pp("first"))?, linear(32, outputs, vb.pp("second"))?);
    Ok(seq().add(first).add(Activation::LeakyRelu(0.2)).add(second))
}

/// Points at distance 1 from the origin.
fn ring(device: &Device) -> Result<Tensor> {
    let angle = Tensor::rand(0f32, std::f32::consts::TAU, (BATCH, 1), device)?;
    Tensor::cat(&[angle.cos()?, angle.sin()?], 1)
}

/// Trains the networks; returns the mean distance of generated points from the ring, before and after.
pub(crate) fn train(steps: usize) -> Result<(f32, f32)> {
    let device = Device::Cpu;
    let (vars_g, vars_d) = (VarMap::new(), VarMap::new());
    let generator = network(NOISE, 2, VarBuilder::from_varmap(&vars_g, DType::F32, &device))?;
    let critic = network(2, 1, VarBuilder::from_varmap(&vars_d, DType::F32, &device))?;
    let generate = || generator.forward(&Tensor::randn(0f32, 1.0, (BATCH, NOISE), &device)?);
    let (ones, zeros) =
        (Tensor::ones((BATCH, 1), DType::F32, &device)?, Tensor::zeros((BATCH, 1), DType::F32, &device)?);
    let distance = || (generate()?.sqr()?.sum(1)?.sqrt()? - 1.0)?.abs()?.mean_all()?.to_scalar::<f32>();
    let mut optimizer_g = Lookahead::new(AdamW::new(&vars_g, 2e-3)?, LookaheadConfig::default())?;
    let mut optimizer_d = Lookahead::new(AdamW::new(&vars_d, 4e-3)?, LookaheadConfig::default())?;
    let before = distance()?;
    for _ in 0..steps {
        let real = cross_entropy(&critic.forward(&ring(&device)?)?, &ones)?;
        let fake = cross_entropy(&critic.forward(&generate()?.detach())?, &zeros)?;
        optimizer_d.backward_step(&(real + fake)?)?;
        optimizer_g.backward_step(&cross_entropy(&critic.forward(&generate()?)?, &ones)?)?;
    }
    let after = optimizer_g.with_slow_weights(|| Ok(distance()?))?;
    Ok((before, after))
}

fn main() -> Result<()> {
    let (before, after) = train(2000)?;
    println!("distance from the ring {before:.3} -> {after:.3}");
    Ok(())
}
