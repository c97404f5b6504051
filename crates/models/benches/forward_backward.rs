//! One forward pass, and one forward and backward pass, on a batch of random CIFAR-sized images.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lookahead_models::{Pass, ResNet, ResNetConfig, Stem};

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("models");
    group.sample_size(10);
    for (name, batch) in [("resnet20", 32), ("resnet20", 128), ("resnet18", 8), ("resnet18", 32)] {
        let run = || -> Result<(ResNet, Tensor), lookahead_models::Error> {
            let config = ResNetConfig::by_name(name, Stem::Cifar, 10)?;
            let net = ResNet::new(&config, 1, DType::F32, &Device::Cpu)?;
            let values = (0..batch * 3 * 32 * 32).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 300.0).collect();
            Ok((net, Tensor::from_vec(values, (batch, 3, 32, 32), &Device::Cpu)?))
        };
        let (net, images) = run().unwrap_or_else(|error| panic!("{name}: {error}"));
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new("forward", format!("{name}/{batch}/f32")), |bencher| {
            bencher.iter(|| net.forward(black_box(&images), Pass::Eval))
        });
        group.bench_function(BenchmarkId::new("forward-backward", format!("{name}/{batch}/f32")), |bencher| {
            bencher.iter(|| {
                let logits = net.forward(black_box(&images), Pass::Train { step: 0 })?;
                Ok::<_, lookahead_models::Error>(logits.sqr()?.mean_all()?.backward()?)
            })
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default(); targets = passes }
criterion_main!(benches);
