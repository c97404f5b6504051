//! Trains a small network of candle-nn layers and operations of this crate, and prints the loss.
//!
//!     cargo run --release -p lookahead-kernels --example small_net

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Module, Optimizer, SGD, VarBuilder, VarMap, linear};
use lookahead_kernels as kernels;
use lookahead_kernels::{After, BatchNorm, Mode};

fn main() -> Result<()> {
    let device = Device::Cpu;
    // Images with a bright left half are class 0, with a bright right half class 1.
    let half = Tensor::cat(
        &[Tensor::ones((32, 3, 8, 4), DType::F32, &device)?, Tensor::zeros((32, 3, 8, 4), DType::F32, &device)?],
        3,
    )?;
    let images = (Tensor::cat(&[&half, &half.flip(&[3])?], 0)? + Tensor::randn(0f32, 0.5, (64, 3, 8, 8), &device)?)?;
    let classes = Tensor::cat(&[Tensor::zeros(32, DType::U32, &device)?, Tensor::ones(32, DType::U32, &device)?], 0)?;

    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &device);
    let filters = builder.get_with_hints((16, 3, 3, 3), "conv.weight", candle_nn::init::DEFAULT_KAIMING_NORMAL)?;
    let (running_mean, running_var) = (Var::zeros(16, DType::F32, &device)?, Var::ones(16, DType::F32, &device)?);
    let scale = builder.get_with_hints(16, "norm.weight", candle_nn::init::ONE)?;
    let norm = BatchNorm::new(
        scale,
        builder.get_with_hints(16, "norm.bias", candle_nn::init::ZERO)?,
        running_mean,
        running_var,
    )?;
    let head = linear(16, 2, builder.pp("head"))?;

    let mut sgd = SGD::new(variables.all_vars(), 0.1)?;
    for step in 0..20 {
        let x = kernels::to_channels_last(&images)?;
        let x = kernels::conv2d_batch_norm(&x, &filters, 1, 1, &norm, After::Relu, Mode::Train)?;
        let x = kernels::max_pool2d(&x.narrow(2, 0, 4)?, 3, 2, 1)?; // a view of the left half: any layout will do
        let logits = head.forward(&kernels::global_avg_pool(&x)?)?;
        let loss = kernels::cross_entropy_indices(&logits, &classes, 0.0)?;
        sgd.backward_step(&loss)?;
        println!("step {step:2}: loss {:.4}", loss.to_scalar::<f32>()?);
    }
    Ok(())
}
