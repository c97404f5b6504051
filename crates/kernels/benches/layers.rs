//! The layers of the two CIFAR networks: forward, data gradient and weight gradient of the convolutions, batch norm.
//!
//!     cargo bench -p lookahead-kernels --bench layers

use std::hint::black_box;

use candle_core::{DType, Device, Result, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use lookahead_kernels::{After, BatchNorm, Mode, batch_norm, conv2d};

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
        let ones = Tensor::ones(channels, DType::F32, &Device::Cpu)?;
        let norm = BatchNorm::new(
            ones.clone(),
            ones.zeros_like()?,
            Var::zeros(channels, DType::F32, &Device::Cpu)?,
            Var::from_tensor(&ones)?,
        )?;
        let x = var((BATCH, side, side, channels))?;
        group.bench_function("forward", |bencher| {
            bencher.iter(|| batch_norm(black_box(&x), &norm, After::Relu, Mode::Train))
        });
        let y = batch_norm(&x, &norm, After::Relu, Mode::Train)?;
        group.bench_function("backward", |bencher| bencher.iter(|| black_box(&y).backward()));
    }
    Ok(())
}

fn layers(criterion: &mut Criterion) {
    if let Err(error) = convolutions(criterion).and_then(|()| norms(criterion)) {
        panic!("{error}");
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
