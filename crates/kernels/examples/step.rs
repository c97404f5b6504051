//! Times whole training steps of the two CIFAR networks of the PyTorch comparison, as one JSON line per network.
//!
//! Forward, cross-entropy, backward through candle's graph, SGD with momentum 0.9 and weight decay 5e-4, on fixed random
//! images:
//!
//!     cargo run --release -p lookahead-kernels --example step -- resnet20 128 8

use std::time::Instant;

use candle_core::{CpuStorage, DType, Device, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var};
use lookahead_kernels::{
    BatchNorm, ConvBatchNorm, Mode, ResidualBlock, cross_entropy_indices, global_avg_pool, residual_network,
};

#[global_allocator]
static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();

struct Network {
    stem: ConvBatchNorm,
    blocks: Vec<ResidualBlock>,
    head: (Var, Var),
    parameters: Vec<Var>,
}

fn layer(parameters: &mut Vec<Var>, from: usize, to: usize, kernel: usize, stride: usize) -> Result<ConvBatchNorm> {
    let device = Device::Cpu;
    let spread = (2.0 / (from * kernel * kernel) as f64).sqrt() as f32;
    let weight = Var::from_tensor(&Tensor::randn(0f32, spread, (to, from, kernel, kernel), &device)?)?;
    let (scale, shift) = (Var::ones(to, DType::F32, &device)?, Var::zeros(to, DType::F32, &device)?);
    parameters.extend([weight.clone(), scale.clone(), shift.clone()]);
    let (mean, var) = (Var::zeros(to, DType::F32, &device)?, Var::ones(to, DType::F32, &device)?);
    let norm = BatchNorm::new(scale.as_tensor().clone(), shift.as_tensor().clone(), mean, var)?;
    Ok(ConvBatchNorm { weight: weight.as_tensor().clone(), stride, padding: kernel / 2, norm })
}

impl Network {
    fn new(widths: &[usize], depth: usize) -> Result<Self> {
        let mut parameters = Vec::new();
        let stem = layer(&mut parameters, 3, widths[0], 3, 1)?;
        let (mut blocks, mut from) = (Vec::new(), widths[0]);
        for (stage, &to) in widths.iter().enumerate() {
            for index in 0..depth {
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                let path = vec![layer(&mut parameters, from, to, 3, stride)?, layer(&mut parameters, to, to, 3, 1)?];
                let shortcut = (from != to).then(|| layer(&mut parameters, from, to, 1, stride)).transpose()?;
                blocks.push(ResidualBlock { path, shortcut });
                from = to;
            }
        }
        let head = (
            Var::from_tensor(&Tensor::randn(0f32, 0.05, (10, from), &Device::Cpu)?)?,
            Var::zeros(10, DType::F32, &Device::Cpu)?,
        );
        parameters.extend([head.0.clone(), head.1.clone()]);
        Ok(Self { stem, blocks, head, parameters })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = residual_network(x, &self.stem, &self.blocks, Mode::Train)?;
        global_avg_pool(&x)?.matmul(&self.head.0.t()?)?.broadcast_add(&self.head.1)
    }
}

/// `velocity = 0.9 * velocity + gradient + 5e-4 * parameter`, then `parameter -= 0.05 * velocity`.
struct Sgd;

impl InplaceOp3 for Sgd {
    fn name(&self) -> &'static str {
        "velocity"
    }

    fn cpu_fwd(
        &self,
        velocity: &mut CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        _: &Layout,
        parameter: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        if let (CpuStorage::F32(velocity), CpuStorage::F32(gradient), CpuStorage::F32(parameter)) =
            (velocity, gradient, parameter)
        {
            for ((v, g), p) in velocity.iter_mut().zip(gradient).zip(parameter) {
                *v = 0.9 * *v + g + 5e-4 * p;
            }
        }
        Ok(())
    }
}

impl InplaceOp2 for Sgd {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, parameter: &mut CpuStorage, _: &Layout, velocity: &CpuStorage, _: &Layout) -> Result<()> {
        if let (CpuStorage::F32(parameter), CpuStorage::F32(velocity)) = (parameter, velocity) {
            for (p, v) in parameter.iter_mut().zip(velocity) {
                *p -= 0.05 * v;
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "resnet20".into());
    let mut number = |default: usize| arguments.next().and_then(|word| word.parse().ok()).unwrap_or(default);
    let (batch, steps) = (number(128), number(8));
    let network = match model.as_str() {
        "resnet18" => Network::new(&[64, 128, 256, 512], 2)?,
        "resnet20" => Network::new(&[16, 32, 64], 3)?,
        other => candle_core::bail!("unknown model {other:?}: resnet18 or resnet20"),
    };
    let x = Tensor::randn(0f32, 1.0, (batch, 32, 32, 3), &Device::Cpu)?;
    let classes = Tensor::from_iter((0..batch as u32).map(|i| i % 10), &Device::Cpu)?;
    let velocities = network.parameters.iter().map(|p| p.zeros_like()).collect::<Result<Vec<_>>>()?;
    let mut seconds = Vec::new();
    let mut last = 0.0;
    for step in 0..steps + 2 {
        let start = Instant::now();
        let loss = cross_entropy_indices(&network.forward(&x)?, &classes, 0.0)?;
        let forward = start.elapsed().as_secs_f64();
        let gradients = loss.backward()?;
        let backward = start.elapsed().as_secs_f64();
        for (parameter, velocity) in network.parameters.iter().zip(&velocities) {
            if let Some(gradient) = gradients.get(parameter) {
                velocity.inplace_op3(gradient, parameter, &Sgd)?;
                parameter.inplace_op2(velocity, &Sgd)?;
            }
        }
        last = loss.to_scalar::<f32>()?;
        drop((loss, gradients));
        if step >= 2 {
            let total = start.elapsed().as_secs_f64();
            eprintln!("forward {forward:.4} backward {:.4} rest {:.4}", backward - forward, total - backward);
            seconds.push(total);
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    println!(
        "{{\"peer\": \"lookahead\", \"model\": \"{model}\", \"batch\": {batch}, \"device\": \"cpu\", \"variant\": \"f32-{:?}-{:?}\", \
         \"median_step_s\": {median:.5}, \"images_per_second\": {:.1}, \"loss\": {last}}}",
        lookahead_kernels::instruction_set()?,
        lookahead_kernels::conv_algorithm()?,
        batch as f64 / median,
    );
    Ok(())
}
