//! Time of a training step of the speed network, forward and backward, as a JSON line.
//!
//!     cargo run --release -p lookahead-models --example speed-net-step [-- WIDTH_FACTOR [BATCH [STEPS]]]
//!
//! The batch size is 1,024 by default. Images are random. Whitening and the optimizer's update, a thousandth of the step, are not timed.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use lookahead_kernels::{PageCache, cross_entropy_indices, gradients_of, instruction_set};
use lookahead_models::{Pass, SpeedNet, SpeedNetConfig};

#[global_allocator]
static ALLOCATOR: PageCache = PageCache::new();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let factor: f64 = arguments.next().map_or(Ok(1.0), |factor| factor.parse())?;
    let batch: usize = arguments.next().map_or(Ok(1024), |batch| batch.parse())?;
    let steps: usize = arguments.next().map_or(Ok(5), |steps| steps.parse())?;
    let device = Device::Cpu;
    let config = SpeedNetConfig::default().scaled(factor)?;
    let net = SpeedNet::new(&config, 1, DType::F32, &device)?;
    // Stored as a loader stores them, channels last.
    let images = Tensor::randn(0f32, 1.0, (batch, 32, 32, 3), &device)?.permute((0, 3, 1, 2))?;
    let labels = Tensor::from_iter((0..batch as u32).map(|i| i % 10), &device)?;
    let (mut forward, mut whole) = (Vec::new(), Vec::new());
    for step in 0..steps + 2 {
        let (start, mut middle) = (Instant::now(), 0.0);
        gradients_of::<lookahead_models::Error>(|| {
            let logits = net.forward(&images, Pass::Train { step: step as u64 })?;
            middle = start.elapsed().as_secs_f64();
            Ok(cross_entropy_indices(&logits, &labels, 0.2)?)
        })?;
        // Two warm-up steps.
        if step >= 2 {
            forward.push(middle);
            whole.push(start.elapsed().as_secs_f64());
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (forward, whole) = (median(forward), median(whole));
    println!(
        r#"{{"network": "speed-net", "widths": {:?}, "batch": {batch}, "set": "{:?}", "forward_s": {forward:.4}, "step_s": {whole:.4}, "images_per_second": {:.1}}}"#,
        config.widths,
        instruction_set()?,
        batch as f64 / whole
    );
    Ok(())
}
