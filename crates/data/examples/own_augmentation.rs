//! A custom augmentation in a pipeline: parallel and seeded like the built-in ones, and identified by its name.
//!
//! `cargo run --release -p lookahead-data --example own_augmentation`

use lookahead_data::{
    Augment, Image, Loader, LoaderConfig, OwnError, Pipeline, SampleRng, Shapes, ShapesConfig, Transform,
};

/// Film grain: the same random amount on red, green and blue of a pixel.
#[derive(Debug)]
struct Grain {
    /// Largest amount, up or down.
    strength: f64,
}

impl Augment for Grain {
    fn name(&self) -> String {
        format!("grain(strength {})", self.strength)
    }

    fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, OwnError> {
        if self.strength > 128.0 {
            return Err(format!("a strength of {} leaves nothing of an image", self.strength).into());
        }
        let size = image.size();
        let mut pixels = image.into_pixels();
        for pixel in pixels.chunks_exact_mut(3) {
            let grain = rng.range(-self.strength, self.strength);
            pixel.iter_mut().for_each(|v| *v = (f64::from(*v) + grain).clamp(0.0, 255.0) as u8);
        }
        Ok(Image::new(size, pixels)?)
    }
}

/// Prints what a training loop would receive.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shapes = Shapes::draw(&ShapesConfig { train: 512, valid: 1, ..ShapesConfig::default() })?;
    let mut steps = Pipeline::cifar().steps().to_vec();
    steps.push(Transform::own(Grain { strength: 12.0 }));
    let pipeline = Pipeline::new(steps)?;
    println!("{pipeline}");

    let first = |threads: usize| {
        let config = LoaderConfig { batch_size: 128, seed: 1, threads: Some(threads), ..LoaderConfig::default() };
        let loader = Loader::new(shapes.train.clone(), pipeline.clone(), config)?;
        loader.epoch(0, 0).next().ok_or("no batch")?.map_err(Box::<dyn std::error::Error>::from)
    };
    let (one, four) = (first(1)?, first(4)?);
    assert_eq!(one, four, "the same bytes on any number of threads");

    // Outside the pipeline, each sample has a second stream: here for noise on the network's input.
    let noise: Vec<f64> = (0..one.len()).map(|i| one.rng(i).range(-1.0, 1.0)).collect();
    println!("{} images, and noise from {:.3} on", one.len(), noise[0]);

    // The error of a custom augmentation names the sample.
    let broken = Pipeline::new(vec![Transform::own(Grain { strength: 500.0 })])?;
    let refused = Loader::new(shapes.train.clone(), broken, LoaderConfig::default())?.epoch(0, 0).next();
    println!("{}", refused.ok_or("no batch")?.err().ok_or("it should have failed")?);
    Ok(())
}
