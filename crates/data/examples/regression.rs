//! A custom regression data set with one channel: 28 x 28 grey images of a line, and its angle.
//!
//! `cargo run --release -p lookahead-data --example regression`

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor, Var};
use lookahead_data::{ExampleLoader, Examples, LoaderConfig, OwnError, SampleRng};

const SIDE: usize = 28;

/// Images (N, 1, 28, 28) and angles (N), in radians.
#[derive(Debug)]
struct Lines {
    images: Vec<f32>,
    angles: Vec<f32>,
}

impl Lines {
    /// Draws `count` lines through the middle, from -0.7 to 0.7 radians off the horizontal.
    fn draw(count: usize) -> Self {
        let angles: Vec<f32> = (0..count).map(|i| 1.4 * (i as f32 + 0.5) / count as f32 - 0.7).collect();
        let pixel = |angle: f32, i: usize| {
            let (x, y) = ((i % SIDE) as f32 - 13.5, (i / SIDE) as f32 - 13.5);
            let distance = (x * angle.sin() - y * angle.cos()).abs();
            (2.0 - distance).clamp(0.0, 1.0)
        };
        let images = angles.iter().flat_map(|&angle| (0..SIDE * SIDE).map(move |i| pixel(angle, i))).collect();
        Self { images, angles }
    }
}

impl Examples for Lines {
    type Item = (Vec<f32>, f32);

    fn len(&self) -> usize {
        self.angles.len()
    }

    /// With noise on the image, from the example's own stream.
    fn get(&self, index: usize, rng: &mut SampleRng) -> Result<Self::Item, OwnError> {
        let image = self.images.chunks_exact(SIDE * SIDE).nth(index).ok_or("no such line")?;
        let noisy = image.iter().map(|v| v + rng.range(-0.05, 0.05) as f32).collect();
        Ok((noisy, self.angles[index]))
    }
}

/// Fits a linear model by gradient descent.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lines = Arc::new(Lines::draw(512));
    let loader = ExampleLoader::new(lines, LoaderConfig { batch_size: 64, seed: 1, ..LoaderConfig::default() })?;
    let weights = Var::zeros(SIDE * SIDE, DType::F32, &Device::Cpu)?;
    let mut losses = Vec::new();
    for epoch in 0..12 {
        let mut sum = 0.0;
        for batch in loader.epoch(epoch, 0) {
            let batch = batch?;
            let images = batch.tensor((1, SIDE, SIDE), &Device::Cpu, |(image, _)| image)?; // (N, 1, 28, 28)
            let angles = batch.tensor((), &Device::Cpu, |(_, angle)| std::slice::from_ref(angle))?; // (N)
            let predicted: Tensor = images.flatten_from(1)?.broadcast_mul(&weights)?.sum(D::Minus1)?;
            let loss = (predicted - angles)?.sqr()?.mean_all()?;
            let gradients = loss.backward()?;
            let gradient = gradients.get(&weights).ok_or("no gradient")?;
            weights.set(&(weights.as_tensor() - (gradient * 0.005)?)?)?;
            sum += loss.to_scalar::<f32>()?;
        }
        losses.push(sum / loader.batches_per_epoch() as f32);
        println!("epoch {epoch}: mean squared error {:.4} rad^2", losses[epoch]);
    }
    assert!(losses[11] < losses[0] / 4.0, "{losses:?}");
    Ok(())
}
