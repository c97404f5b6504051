//! Are channel counts that do not fill vectors slower? Time per multiplication of convolutions with 24, 40 and 100 channels,
//! relative to 32, 48 and 112: forward, and each gradient alone, including candle's handling of it. Then the same for a
//! network of three stages with these widths.
//!
//!     cargo run --release -p lookahead-kernels --example channels

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use lookahead_kernels::{After, BatchNorm, Mode, conv2d, conv2d_batch_norm, global_avg_pool};

#[global_allocator]
static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();

const ROUNDS: usize = 15;

/// (odd channels, even channels, image side), with batch size 64.
const WIDTHS: [(usize, usize, usize); 3] = [(24, 32, 32), (40, 48, 32), (100, 112, 16)];

fn var(shape: (usize, usize, usize, usize)) -> Result<Var> {
    Var::from_tensor(&Tensor::randn(0f32, 1.0, shape, &Device::Cpu)?)
}

/// The two arguments of one convolution, and its geometry.
struct Layer {
    x: Var,
    weight: Var,
    stride: usize,
    padding: usize,
}

impl Layer {
    fn new(channels: usize, side: usize, kernel: usize, stride: usize) -> Result<Self> {
        let (x, weight) = (var((64, side, side, channels))?, var((channels, channels, kernel, kernel))?);
        Ok(Self { x, weight, stride, padding: kernel / 2 })
    }

    /// Seconds of forward pass, data gradient and weight gradient.
    fn time(&self) -> Result<[f64; 3]> {
        let (x, weight) = (self.x.as_detached_tensor(), self.weight.as_detached_tensor());
        let clock = Instant::now();
        drop(conv2d(&x, &weight, self.stride, self.padding)?);
        let forward = clock.elapsed().as_secs_f64();
        let gradient = |y: Tensor| -> Result<f64> {
            let clock = Instant::now();
            y.backward()?;
            Ok(clock.elapsed().as_secs_f64())
        };
        let data = gradient(conv2d(&self.x, &weight, self.stride, self.padding)?)?;
        Ok([forward, data, gradient(conv2d(&x, &self.weight, self.stride, self.padding)?)?])
    }
}

/// Nine 3x3 convolutions, each with batch norm and relu: three each at sides of 32, 16 and 8 pixels.
struct Network {
    layers: Vec<(Var, BatchNorm, usize)>,
    /// Multiplications of a forward pass.
    work: f64,
}

impl Network {
    const BATCH: usize = 128;

    fn new(widths: [usize; 3]) -> Result<Self> {
        let (mut layers, mut work, mut channels, mut side) = (Vec::new(), 0.0, 3, 32);
        for (stage, width) in widths.into_iter().enumerate() {
            for layer in 0..3 {
                let stride = if stage > 0 && layer == 0 { 2 } else { 1 };
                side /= stride;
                let weight =
                    Var::from_tensor(&(Tensor::randn(0f32, 1.0, (width, channels, 3, 3), &Device::Cpu)? * 0.1)?)?;
                let [ones, zeros, mean, variance] =
                    [1f32, 0.0, 0.0, 1.0].map(|value| Var::from_tensor(&Tensor::full(value, width, &Device::Cpu)?));
                let norm = BatchNorm::new(ones?.as_tensor().clone(), zeros?.as_tensor().clone(), mean?, variance?)?;
                layers.push((weight, norm, stride));
                work += (Self::BATCH * side * side * 9 * channels * width) as f64;
                channels = width;
            }
        }
        Ok(Self { layers, work })
    }

    /// Seconds of a forward and a backward pass.
    fn time(&self, images: &Tensor) -> Result<f64> {
        let clock = Instant::now();
        let mut x = images.clone();
        for (weight, norm, stride) in &self.layers {
            x = conv2d_batch_norm(&x, weight, *stride, 1, norm, After::Relu, Mode::Train)?;
        }
        global_avg_pool(&x)?.sum_all()?.backward()?;
        Ok(clock.elapsed().as_secs_f64())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    println!("{:?}, {:?}", lookahead_kernels::instruction_set()?, lookahead_kernels::conv_algorithm()?);
    println!("channels       kernel  forward  data  weight   (time per multiplication, odd over even; ms of the odd)");
    for (odd, even, side) in WIDTHS {
        for (kernel, stride) in [(3, 1), (3, 2), (1, 1)] {
            let layers = [Layer::new(odd, side, kernel, stride)?, Layer::new(even, side, kernel, stride)?];
            let mut times = vec![[Vec::new(), Vec::new(), Vec::new()], [Vec::new(), Vec::new(), Vec::new()]];
            for round in 0..ROUNDS + 2 {
                for (times, layer) in times.iter_mut().zip(&layers) {
                    let passes = layer.time()?;
                    if round >= 2 {
                        times.iter_mut().zip(passes).for_each(|(times, pass)| times.push(pass));
                    }
                }
            }
            let work = (even * even) as f64 / (odd * odd) as f64;
            let medians: Vec<Vec<f64>> =
                times.into_iter().map(|passes| passes.into_iter().map(median).collect()).collect();
            let ratio = |pass: usize| medians[0][pass] / medians[1][pass] * work;
            let [forward, data, weight] = [0, 1, 2].map(|pass| 1e3 * medians[0][pass]);
            println!(
                "{odd:3} over {even:3}  {kernel}x{kernel} s{stride}  {:7.2} {:5.2} {:7.2}   {forward:7.2} {data:7.2} {weight:7.2}",
                ratio(0),
                ratio(1),
                ratio(2)
            );
        }
    }
    let images = Tensor::randn(0f32, 1.0, (Network::BATCH, 32, 32, 3), &Device::Cpu)?;
    let odd = Network::new(WIDTHS.map(|(odd, ..)| odd))?;
    let even = Network::new(WIDTHS.map(|(_, even, _)| even))?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].push(odd.time(&images)?);
        times[1].push(even.time(&images)?);
    }
    let [odd_time, even_time] = times.map(median);
    let ratio = odd_time / even_time * even.work / odd.work;
    println!("network, forward and backward: {ratio:.2}   {:.1} ms over {:.1} ms", 1e3 * odd_time, 1e3 * even_time);
    Ok(())
}
