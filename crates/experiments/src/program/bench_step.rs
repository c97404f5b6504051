//! `bench-step`: throughput of a training step, as JSON lines in the format of the PyTorch script it is compared with.

use std::num::NonZeroUsize;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use clap::{Parser, ValueEnum};
use lookahead_data::SampleRng;
use lookahead_kernels::{cross_entropy_indices, gradients_of};
use lookahead_models::{Pass, ResNet, ResNetConfig, SpeedNet, SpeedNetConfig, Stem};
use lookahead_optim::{Momentum, Sgd, SgdConfig, WeightDecay};
use lookahead_report::console::print;
use lookahead_report::median;
use serde::Serialize;

use super::threads::set_threads;
use crate::config::{ModelConfig, ModelName};
use crate::error::Result;
use crate::parts::{Network, open_device};
use crate::run::kernels;
use crate::train::{peak_mib, reset_peak};

/// Measures a training step: forward, cross-entropy, backward, update, on fixed random input.
///
/// Prints one JSON line per case; times are medians over the timed steps. The host's time ends when the whole step is
/// queued, before the device has finished it: if it is close to the step's time, the host is the bottleneck. Peak
/// memory is that of the process, which keeps memory from one case for the next: to compare it, measure one case per
/// process.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench-step", version, allow_negative_numbers = true)]
pub struct BenchFlags {
    /// Network; may be repeated [default: resnet20 and resnet18]
    #[arg(long, value_enum, value_name = "NAME")]
    pub model: Vec<ModelName>,
    /// Type of the activations; may be repeated [default: f32 and bf16]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub variant: Vec<Variant>,
    /// Images per step
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Timed steps
    #[arg(long, default_value = "8", value_name = "N")]
    pub steps: NonZeroUsize,
    /// Untimed warm-up steps
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub warmup: usize,
    /// Host threads
    #[arg(long, default_value = "2", value_name = "N")]
    pub threads: NonZeroUsize,
    /// Device: cpu, cuda:N or metal:N; for a GPU, build for it: `just features=cuda bench-step ...`
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
}

/// The type of activations and their gradients; weights are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// Single precision.
    F32,
    /// Brain floating point, the upper half of f32; all sums are f32.
    Bf16,
}

impl Variant {
    fn dtype(self) -> DType {
        match self {
            Variant::F32 => DType::F32,
            Variant::Bf16 => DType::BF16,
        }
    }

    /// The name in the JSON line.
    fn label(self) -> &'static str {
        match self {
            Variant::F32 => "f32-channels-last",
            Variant::Bf16 => "bf16-channels-last",
        }
    }
}

/// One line of output.
#[derive(Debug, Serialize)]
struct Line {
    peer: &'static str,
    version: &'static str,
    model: String,
    parameters: usize,
    batch: usize,
    device: String,
    kernels: String,
    variant: &'static str,
    median_step_s: f64,
    median_host_s: f64,
    images_per_second: f64,
    peak_rss_mb: u64,
}

/// Runs the cases of `flags` and prints one line for each.
///
/// # Errors
/// [`ConfigError::OutOfRange`](crate::ConfigError::OutOfRange) for too many threads; errors of the device, the model
/// and the optimizer; [`Error::OutOfMemory`](crate::Error::OutOfMemory) for a batch that the device cannot hold.
pub fn bench_step(flags: &BenchFlags) -> Result<()> {
    set_threads(Some(flags.threads.get()))?;
    let kernels = kernels()?;
    let (device, device_name) = open_device(&flags.device)?;
    let both = [ModelName::ResNet20, ModelName::ResNet18];
    let models = if flags.model.is_empty() { &both[..] } else { &flags.model };
    let variants = if flags.variant.is_empty() { &[Variant::F32, Variant::Bf16][..] } else { &flags.variant };
    for (&name, &variant) in models.iter().flat_map(|name| variants.iter().map(move |variant| (name, variant))) {
        lookahead_kernels::release_workspace();
        reset_peak();
        let network = network(name, variant.dtype(), &device)?;
        let Medians { step: median, host } = median_step(&*network, flags, &device)
            .map_err(|error| error.for_batch(&flags.device, flags.batch.get(), "--batch"))?;
        let line = Line {
            peer: "lookahead",
            version: env!("CARGO_PKG_VERSION"),
            model: name.to_string(),
            parameters: network.parameters().iter().map(|(_, var)| var.elem_count()).sum(),
            batch: flags.batch.get(),
            device: device_name.clone(),
            kernels: kernels.clone(),
            variant: variant.label(),
            median_step_s: (median * 1e6).round() / 1e6,
            median_host_s: (host * 1e6).round() / 1e6,
            images_per_second: (flags.batch.get() as f64 / median * 10.0).round() / 10.0,
            peak_rss_mb: peak_mib(),
        };
        print(&format!("{}\n", serde_json::to_string(&line).unwrap_or_default()))?;
    }
    Ok(())
}

/// Seconds per step, and seconds until the host has queued it.
struct Medians {
    step: f64,
    host: f64,
}

/// A network for 32x32 images of ten classes. The whitening filters of a speed network stay random: they take the same time.
fn network(name: ModelName, dtype: DType, device: &Device) -> Result<Box<dyn Network>> {
    Ok(match name {
        ModelName::SpeedNet => Box::new(SpeedNet::new(&SpeedNetConfig::default(), 0, dtype, device)?),
        ModelName::Lstm => return Err(ModelConfig::of(name).not_for("images").into()),
        ModelName::ResNet20 | ModelName::ResNet18 | ModelName::ResNet34 | ModelName::ResNet50 => {
            let config = ResNetConfig::by_name(&name.to_string(), Stem::Cifar, 10)?;
            Box::new(ResNet::new(&config, 0, dtype, device)?)
        }
    })
}

fn median_step(model: &dyn Network, flags: &BenchFlags, device: &Device) -> Result<Medians> {
    let (batch, steps) = (flags.batch.get(), flags.steps.get());
    let mut rng = SampleRng::new(0, 0, 0);
    let pixels: Vec<f32> = (0..batch * 32 * 32 * 3).map(|_| rng.range(-1.7, 1.7) as f32).collect();
    // Stored as the loader stores it, channels last, and seen as (N, C, H, W).
    let images = Tensor::from_vec(pixels, (batch, 32, 32, 3), device)?;
    let images = images.to_dtype(model.dtype())?.permute((0, 3, 1, 2))?;
    let labels: Vec<u32> = (0..batch).map(|i| (i % 10) as u32).collect();
    let labels = Tensor::from_vec(labels, batch, device)?;
    let mut optimizer = Sgd::new(
        model.parameters(),
        SgdConfig {
            learning_rate: 0.05,
            momentum: Momentum::classical(0.9),
            weight_decay: WeightDecay::L2(5e-4),
            ..SgdConfig::default()
        },
    )?;
    let (mut seconds, mut host) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
    for step in 0..flags.warmup + steps {
        device.synchronize()?;
        let begun = Instant::now();
        let (_, gradients) = gradients_of(|| -> Result<Tensor> {
            let logits = model.forward(&images, Pass::Train { step: step as u64 })?;
            Ok(cross_entropy_indices(&logits, &labels, 0.0)?)
        })?;
        optimizer.step(&gradients)?;
        let asked = begun.elapsed().as_secs_f64();
        device.synchronize()?;
        if step >= flags.warmup {
            seconds.push(begun.elapsed().as_secs_f64());
            host.push(asked);
        }
    }
    let [step, host] = [seconds, host].map(|mut times| median(&mut times).unwrap_or(f64::NAN));
    Ok(Medians { step, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_for_images_can_be_measured() {
        let parameters = |name| -> Result<usize> {
            Ok(network(name, DType::F32, &Device::Cpu)?.parameters().iter().map(|(_, var)| var.elem_count()).sum())
        };
        assert_eq!(parameters(ModelName::ResNet20).unwrap(), 272_474);
        assert_eq!(parameters(ModelName::SpeedNet).unwrap(), 1_971_352);
        let message = parameters(ModelName::Lstm).unwrap_err().to_string();
        assert!(message.contains("lstm") && message.contains("images"), "{message}");
    }

    #[test]
    fn a_batch_that_is_too_large_is_named() {
        let driver = candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
        let message = crate::Error::from(driver).for_batch("cuda", 30_000, "--batch").to_string();
        assert!(message.contains("batches of 30000") && message.ends_with("try --batch 15000"), "{message}");
    }
}
