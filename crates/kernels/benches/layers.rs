//! The layers of the two CIFAR networks: forward, data gradient and weight gradient of the convolutions, batch norm; and
//! evaluation, where batch norm is part of the convolution if there is no graph.
//!
//!     cargo bench -p lookahead-kernels --bench layers

use std::hint::black_box;

use candle_core::{DType, Device, Result, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use lookahead_kernels::{After, BatchNorm, ConvBatchNorm, Mode, ResidualBlock, batch_norm, conv2d, residual_blocks};

#[global_allocator]
static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();

const BATCH: usize = 128;

/// (channels in, channels out, height and width, kernel, stride)
const CONVOLUTIONS: [(usize, usize, usize, usize, usize); 9] = [
    (16, 16, 32, 3, 1),
    (32, 32, 16, 3, 1),
    (64, 64, 8, 3, 1),
    (64, 64, 32, 3, 1),
    (128, 128, 16, 3, 1),
    (256, 256, 8, 3, 1),
    (512, 512, 4, 3, 1),
    (64, 128, 32, 3, 2),
    (64, 128, 32, 1, 2),
];

fn var(shape: impl Into<candle_core::Shape>) -> Result<Var> {
    Var::from_tensor(&Tensor::randn(0f32, 1.0, shape, &Device::Cpu)?)
}

fn norm(channels: usize) -> Result<BatchNorm> {
    let ones = Tensor::ones(channels, DType::F32, &Device::Cpu)?;
    let (mean, variance) = (Var::from_tensor(&ones.zeros_like()?)?, Var::from_tensor(&ones)?);
    Ok(BatchNorm::new(ones.clone(), ones.zeros_like()?, mean, variance)?)
}

fn convolutions(criterion: &mut Criterion) -> Result<()> {
    for (from, to, side, kernel, stride) in CONVOLUTIONS {
        let mut group =
            criterion.benchmark_group(format!("conv2d/{from}-{to}/{side}x{side}/{kernel}x{kernel}s{stride}"));
        group.sample_size(10);
        let (x, weight) = (var((BATCH, side, side, from))?, var((to, from, kernel, kernel))?);
        let padding = kernel / 2;
        group.bench_function("forward", |bencher| {
            bencher.iter(|| conv2d(black_box(&x.as_detached_tensor()), &weight.as_detached_tensor(), stride, padding));
        });
        // Track one argument at a time, to time one gradient with candle's fill and add.
        let cases = [
            ("backward_data", conv2d(&x, &weight.as_detached_tensor(), stride, padding)?),
            ("backward_weight", conv2d(&x.as_detached_tensor(), &weight, stride, padding)?),
        ];
        for (name, y) in &cases {
            group.bench_function(*name, |bencher| bencher.iter(|| black_box(y).backward()));
        }
    }
    Ok(())
}

fn norms(criterion: &mut Criterion) -> Result<()> {
    for (channels, side) in [(16, 32), (64, 32), (512, 4)] {
        let mut group = criterion.benchmark_group(format!("batch_norm_relu/{channels}/{side}x{side}"));
        group.sample_size(10);
        let norm = norm(channels)?;
        let x = var((BATCH, side, side, channels))?;
        group.bench_function("forward", |bencher| {
            bencher.iter(|| batch_norm(black_box(&x), &norm, After::Relu, Mode::Train))
        });
        let y = batch_norm(&x, &norm, After::Relu, Mode::Train)?;
        group.bench_function("backward", |bencher| bencher.iter(|| black_box(&y).backward()));
    }
    Ok(())
}

/// Three blocks of ResNet-20's first and last stage, and two of ResNet-18's second.
fn evaluation(criterion: &mut Criterion) -> Result<()> {
    for (channels, side, blocks) in [(16, 32, 3), (64, 8, 3), (128, 16, 2)] {
        let mut group = criterion.benchmark_group(format!("evaluation/{blocks} blocks/{channels}/{side}x{side}"));
        group.sample_size(10);
        let x = var((BATCH, side, side, channels))?.as_detached_tensor();
        for (name, is_trained) in [("with a graph", true), ("without", false)] {
            let layer = || -> Result<ConvBatchNorm> {
                let weight = var((channels, channels, 3, 3))?;
                let weight = if is_trained { weight.as_tensor().clone() } else { weight.as_detached_tensor() };
                Ok(ConvBatchNorm { weight, stride: 1, padding: 1, norm: norm(channels)? })
            };
            let block =
                || -> Result<ResidualBlock> { Ok(ResidualBlock { path: vec![layer()?, layer()?], shortcut: None }) };
            let blocks: Vec<ResidualBlock> = (0..blocks).map(|_| block()).collect::<Result<_>>()?;
            group.bench_function(name, |bencher| bencher.iter(|| residual_blocks(black_box(&x), &blocks, Mode::Eval)));
        }
    }
    Ok(())
}

fn layers(criterion: &mut Criterion) {
    if let Err(error) = convolutions(criterion).and_then(|()| norms(criterion)).and_then(|()| evaluation(criterion)) {
        panic!("{error}");
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
