//! From the last feature map to logits.

use candle_core::Tensor;
use lookahead_kernels::{global_avg_pool, max_pool2d};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::Head;
use crate::{
    Pass, Result,
    init::Init,
    layers::{Linear, Norm},
    store::StoreBuilder,
};

/// The layers of a [`Head`].
#[derive(Debug)]
pub(super) enum HeadLayers {
    Linear(Linear),
    Fastai { norms: [Norm; 2], linears: [Linear; 2], seed: u64 },
}

/// Width of the hidden layer of fastai's head.
const HIDDEN: usize = 512;

impl HeadLayers {
    pub(super) fn new(
        store: &mut StoreBuilder<'_>,
        head: Head,
        channels: usize,
        classes: usize,
        seed: u64,
    ) -> Result<Self> {
        Ok(match head {
            Head::Linear => {
                let init = Init::linear(channels);
                HeadLayers::Linear(Linear::new(store, "fc", [classes, channels], [init, init])?)
            }
            // Named by position in fastai's `nn.Sequential`, as in its checkpoints.
            Head::Fastai => {
                let norms = [Norm::new(store, "head.2", 2 * channels)?, Norm::new(store, "head.6", HIDDEN)?];
                let he = |inputs: usize| [Init::Normal((2.0 / inputs as f64).sqrt()), Init::Constant(0.0)];
                let linears = [
                    Linear::new(store, "head.4", [HIDDEN, 2 * channels], he(2 * channels))?,
                    Linear::new(store, "head.8", [classes, HIDDEN], he(HIDDEN))?,
                ];
                HeadLayers::Fastai { norms, linears, seed }
            }
        })
    }

    /// Feature map (N, H, W, C) to logits (N, classes).
    pub(super) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        match self {
            HeadLayers::Linear(linear) => linear.forward(&global_avg_pool(x)?, pass),
            HeadLayers::Fastai { norms, linears, seed } => {
                let features = norms[0].forward_features(&concat_pool(x)?, pass)?;
                let features = dropout(&features, 0.25, *seed, 0, pass)?;
                let hidden = linears[0].forward(&features, pass)?;
                let hidden = lookahead_kernels::relu(&hidden)?;
                let hidden = dropout(&norms[1].forward_features(&hidden, pass)?, 0.5, *seed, 1, pass)?;
                linears[1].forward(&hidden, pass)
            }
        }
    }
}

/// Global maxima, followed by global means: (N, H, W, C) to (N, 2 C).
fn concat_pool(x: &Tensor) -> Result<Tensor> {
    let (n, height, width, c) = x.dims4()?;
    if height != width {
        return Err(candle_core::Error::Msg(format!(
            "fastai's head needs square feature maps, got {height}x{width} (height x width): use square images"
        ))
        .into());
    }
    let maxima = max_pool2d(x, height, height, 0)?;
    let means = global_avg_pool(x)?;
    Ok(Tensor::cat(&[&maxima.reshape((n, c))?, &means], 1)?)
}

/// Zeroes each entry with probability `rate` and scales the others by `1 / (1 - rate)`; the identity in evaluation. The mask depends only
/// on (seed, step, layer).
fn dropout(x: &Tensor, rate: f64, seed: u64, layer: u64, pass: Pass) -> Result<Tensor> {
    let Pass::Train { step } = pass else { return Ok(x.clone()) };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Two layers per step; the top bit keeps these streams apart from those of the initial weights by more than chance.
    rng.set_stream((1 << 63) | step.wrapping_mul(2).wrapping_add(layer));
    let threshold = (rate * 2f64.powi(32)) as u32;
    let scale = (1.0 / (1.0 - rate)) as f32;
    let mask: Vec<f32> = (0..x.elem_count()).map(|_| if rng.next_u32() < threshold { 0.0 } else { scale }).collect();
    let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
    Ok((x * mask)?)
}
