//! A depthwise-separable block, MobileNet's, forward and backward: depthwise 3x3, batch norm, relu, 1x1, batch norm, relu.
//! Prints JSON lines to compare with those of `benches/torch_blocks.py`.
//!
//!     cargo run --release -p lookahead-kernels --example separable

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels::{
    After, BatchNorm, Conv2dOptions, Mode, conv2d_batch_norm, conv2d_batch_norm_with, global_avg_pool,
};

#[global_allocator]
static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();

/// (side, channels in, channels out, stride), with batch size 128.
const BLOCKS: [(usize, usize, usize, usize); 4] =
    [(32, 64, 64, 1), (16, 128, 128, 1), (32, 64, 128, 2), (16, 128, 256, 2)];

fn var(shape: (usize, usize, usize, usize), scale: f64) -> Result<Var> {
    Var::from_tensor(&(Tensor::randn(0f32, 1.0, shape, &Device::Cpu)? * scale)?)
}

fn norm(channels: usize) -> Result<BatchNorm> {
    let ones = Var::ones(channels, DType::F32, &Device::Cpu)?;
    let zeros = || Var::zeros(channels, DType::F32, &Device::Cpu);
    let variance = Var::ones(channels, DType::F32, &Device::Cpu)?;
    Ok(BatchNorm::new(ones.as_tensor().clone(), zeros()?.as_tensor().clone(), zeros()?, variance)?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    for (side, inputs, outputs, stride) in BLOCKS {
        let x = var((128, side, side, inputs), 1.0)?;
        let (depthwise, pointwise) = (var((inputs, 1, 3, 3), 0.3)?, var((outputs, inputs, 1, 1), 0.1)?);
        let (inner, outer) = (norm(inputs)?, norm(outputs)?);
        let options = Conv2dOptions { stride, padding: 1, groups: inputs, ..Conv2dOptions::default() };
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for round in 0..23 {
            let clock = Instant::now();
            let y = conv2d_batch_norm_with(&x, &depthwise, options, &inner, After::Relu, Mode::Train)?;
            let y = conv2d_batch_norm(&y, &pointwise, 1, 0, &outer, After::Relu, Mode::Train)?;
            let loss = global_avg_pool(&y)?.sum_all()?;
            let one = clock.elapsed().as_secs_f64();
            let gradients = loss.backward()?;
            drop((y, loss, gradients));
            if round >= 3 {
                forward.push(one);
                backward.push(clock.elapsed().as_secs_f64() - one);
            }
        }
        println!(
            "{{\"peer\": \"lookahead\", \"block\": \"separable {side}x{side} {inputs}-{outputs} s{stride}\", \"variant\": \"{:?}\", \
             \"forward_ms\": {:.2}, \"backward_ms\": {:.2}}}",
            lookahead_kernels::instruction_set()?,
            1e3 * median(forward),
            1e3 * median(backward),
        );
    }
    Ok(())
}
