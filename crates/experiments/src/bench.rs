//! `bench-step`: throughput of a training step, in the JSON lines of the PyTorch script it is set beside.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use clap::Parser;
use lookahead_data::SampleRng;
use lookahead_kernels::cross_entropy_indices;
use lookahead_models::Pass;
use lookahead_optim::{Momentum, Optimizer, Sgd, SgdConfig, WeightDecay};
use serde::Serialize;

use crate::config::ModelSettings;
use crate::device::open_device;
use crate::error::Result;
use crate::names::{Head, ModelName, Stem};
use crate::{experiment, memory, model};

/// Measures a training step: forward, cross-entropy, backward, update, on fixed random input.
///
/// Prints one JSON line a case; the time is the median over the counted steps.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench-step", version)]
pub struct BenchFlags {
    /// A network; may be repeated [default: resnet20 and resnet18]
    #[arg(long, value_enum, value_name = "NAME")]
    pub model: Vec<ModelName>,
    /// Images a step
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub batch: usize,
    /// Steps counted
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub steps: usize,
    /// Steps before them
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub warmup: usize,
    /// Host threads
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub threads: usize,
    /// cpu, cuda:N or metal:N
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line {
    peer: &'static str,
    version: &'static str,
    model: String,
    batch: usize,
    device: String,
    variant: &'static str,
    median_step_s: f64,
    images_per_second: f64,
    peak_rss_mb: u64,
}

/// Runs the cases of `flags` and prints their lines.
///
/// # Errors
/// Those of the device, the model and the optimizer.
pub fn bench_step(flags: &BenchFlags) -> Result<()> {
    experiment::set_threads(Some(flags.threads));
    let (device, device_name) = open_device(&flags.device)?;
    let both = [ModelName::ResNet20, ModelName::ResNet18];
    for &name in if flags.model.is_empty() { &both[..] } else { &flags.model } {
        memory::reset_peak();
        let median = median_step(name, flags, &device)?;
        let line = Line {
            peer: "lookahead",
            version: env!("CARGO_PKG_VERSION"),
            model: name.to_string(),
            batch: flags.batch,
            device: device_name.clone(),
            variant: "f32-channels-last",
            median_step_s: (median * 1e5).round() / 1e5,
            images_per_second: (flags.batch as f64 / median * 10.0).round() / 10.0,
            peak_rss_mb: memory::peak_mib(),
        };
        println!("{}", serde_json::to_string(&line).unwrap_or_default());
    }
    Ok(())
}

fn median_step(name: ModelName, flags: &BenchFlags, device: &Device) -> Result<f64> {
    let settings = ModelSettings { name, stem: Stem::Cifar, head: Head::Linear };
    let model = model::build(&settings, 10, 0, device)?;
    let mut rng = SampleRng::new(0, 0, 0);
    let pixels: Vec<f32> = (0..flags.batch * 32 * 32 * 3).map(|_| rng.range(-1.7, 1.7) as f32).collect();
    // Stored as the loader stores it, channels last, and seen as (N, C, H, W).
    let images = Tensor::from_vec(pixels, (flags.batch, 32, 32, 3), device)?.permute((0, 3, 1, 2))?;
    let labels: Vec<u32> = (0..flags.batch).map(|i| (i % 10) as u32).collect();
    let labels = Tensor::from_vec(labels, flags.batch, device)?;
    let mut optimizer = Sgd::new(
        model.parameters(),
        SgdConfig {
            learning_rate: 0.05,
            momentum: Momentum::classical(0.9),
            weight_decay: WeightDecay::L2(5e-4),
            ..SgdConfig::default()
        },
    )?;
    let mut seconds = Vec::with_capacity(flags.steps);
    for step in 0..flags.warmup + flags.steps.max(1) {
        device.synchronize()?;
        let begun = Instant::now();
        let logits = model.forward(&images, Pass::Train { step: step as u64 })?;
        let loss = cross_entropy_indices(&logits, &labels, 0.0).map_err(candle_core::Error::from)?;
        optimizer.step(&loss.backward()?)?;
        device.synchronize()?;
        if step >= flags.warmup {
            seconds.push(begun.elapsed().as_secs_f64());
        }
        debug_assert_eq!(loss.dtype(), DType::F32);
    }
    Ok(median(&mut seconds))
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n % 2 == 1 { values[n / 2] } else { 0.5 * (values[n / 2 - 1] + values[n / 2]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
