//! A plain network as one node is the operations one after the other, forward and backward.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, After, BatchNorm, Conv2dOptions, Error, Mode, PlainLayer};

fn var(shape: &[usize], seed: u32, dtype: DType) -> Result<Var> {
    Var::from_tensor(&support::numbers(shape, seed)?.to_dtype(dtype)?)
}

/// Convolution with bias and GELU, a pooled layer without a function, a strided one with neither pool nor norm, and one of everything.
struct Network {
    x: Var,
    weights: Vec<Var>,
    bias: Var,
    norms: Vec<(Var, Var)>,
    running: Vec<(Var, Var)>,
}

impl Network {
    /// Weights are f32 beside bf16 activations.
    fn new(dtype: DType) -> Result<Self> {
        let of_weights = if dtype == DType::BF16 { DType::F32 } else { dtype };
        let weights = [[12, 3, 2, 2], [16, 12, 3, 3], [8, 16, 3, 3], [20, 8, 3, 3]];
        let weights =
            weights.iter().zip(1..).map(|(shape, seed)| var(shape, seed, of_weights)).collect::<Result<_>>()?;
        let norm = |channels, seed| -> Result<(Var, Var)> {
            Ok((var(&[channels], seed, of_weights)?, var(&[channels], seed + 1, of_weights)?))
        };
        let running = |channels: usize| -> Result<(Var, Var)> {
            Ok((Var::zeros(channels, of_weights, &Device::Cpu)?, Var::ones(channels, of_weights, &Device::Cpu)?))
        };
        Ok(Self {
            x: var(&[5, 16, 15, 3], 9, dtype)?,
            weights,
            bias: var(&[12], 10, of_weights)?,
            norms: vec![norm(16, 11)?, norm(20, 13)?],
            running: vec![running(16)?, running(20)?],
        })
    }

    fn norm(&self, index: usize) -> Result<BatchNorm> {
        let (weight, bias) = &self.norms[index];
        let (mean, variance) = self.running[index].clone();
        Ok(BatchNorm::new(weight.as_tensor().clone(), bias.as_tensor().clone(), mean, variance)?)
    }

    fn layers(&self) -> Result<Vec<PlainLayer>> {
        let layer = |index: usize| PlainLayer::new(self.weights[index].as_tensor().clone());
        let bias = Some(self.bias.as_tensor().clone());
        Ok(vec![
            PlainLayer { bias, activation: Some(Activation::Gelu), ..layer(0) },
            PlainLayer { padding: 1, pool: 2, norm: Some(self.norm(0)?), ..layer(1) },
            PlainLayer { padding: 1, stride: 2, ..layer(2) },
            PlainLayer {
                padding: 1,
                pool: 3,
                norm: Some(self.norm(1)?),
                activation: Some(Activation::Silu),
                ..layer(3)
            },
        ])
    }

    fn fused(&self, mode: Mode) -> Result<Tensor> {
        Ok(kernels::plain_network(&self.x, &self.layers()?, mode)?)
    }

    fn in_turn(&self, mode: Mode) -> Result<Tensor> {
        let options = Conv2dOptions::default();
        let x = kernels::conv2d_with(&self.x, &self.weights[0], Some(&self.bias), options)?;
        let x = kernels::activate(&x, Activation::Gelu)?;
        let x = kernels::max_pool2d(&kernels::conv2d(&x, &self.weights[1], 1, 1)?, 2, 2, 0)?;
        let x = kernels::batch_norm(&x, &self.norm(0)?, After::Nothing, mode)?;
        let x = kernels::conv2d(&x, &self.weights[2], 2, 1)?;
        let x = kernels::max_pool2d(&kernels::conv2d(&x, &self.weights[3], 1, 1)?, 3, 3, 0)?;
        Ok(kernels::batch_norm(&x, &self.norm(1)?, After::Activation(Activation::Silu), mode)?)
    }

    fn vars(&self) -> Vec<&Var> {
        let norms = self.norms.iter().flat_map(|(weight, bias)| [weight, bias]);
        [&self.x, &self.bias].into_iter().chain(&self.weights).chain(norms).collect()
    }
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// The output, all gradients, and the running statistics after the pass.
fn step(dtype: DType, fused: bool, direct: bool) -> Result<Vec<Vec<f64>>> {
    let network = Network::new(dtype)?;
    let pass = || if fused { network.fused(Mode::Train) } else { network.in_turn(Mode::Train) };
    let mut all = Vec::new();
    let loss = || -> Result<Tensor> {
        let y = pass()?;
        (&y * var(y.dims(), 15, dtype)?.as_tensor())?.sum_all()
    };
    let gradients = if direct { kernels::gradients_of(loss)?.1 } else { loss()?.backward()? };
    for var in network.vars() {
        all.push(doubles(gradients.get(var).unwrap())?);
    }
    for (mean, variance) in &network.running {
        all.extend([doubles(mean)?, doubles(variance)?]);
    }
    all.push(doubles(&network.fused(Mode::Eval)?)?);
    assert_eq!(doubles(&network.fused(Mode::Eval)?)?, doubles(&network.in_turn(Mode::Eval)?)?);
    Ok(all)
}

#[test]
fn one_node_is_the_operations_in_turn_to_the_bit() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let expected = step(dtype, false, false)?;
        assert_eq!(step(dtype, true, false)?, expected, "{dtype:?}");
        assert_eq!(step(dtype, true, true)?, expected, "{dtype:?}, gradients_of");
        assert_eq!(expected[0].len(), 5 * 16 * 15 * 3);
        assert!(expected.iter().all(|values| values.iter().any(|&value| value != 0.0)));
    }
    Ok(())
}

/// The same kernels round the same values; only candle's sums with zero stand between them.
#[test]
fn bf16_activations_give_the_same_too() -> Result<()> {
    assert_eq!(step(DType::BF16, true, false)?, step(DType::BF16, false, false)?);
    Ok(())
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| step(DType::F32, true, false).unwrap())
    };
    let expected = in_pool(1);
    assert_eq!(in_pool(2), expected);
    assert_eq!(in_pool(7), expected);
}

#[test]
fn what_is_not_trained_gets_no_gradient() -> Result<()> {
    let network = Network::new(DType::F32)?;
    let mut layers = network.layers()?;
    layers[0].weight = layers[0].weight.detach();
    let images = network.x.as_detached_tensor();
    let gradients = kernels::plain_network(&images, &layers, Mode::Train)?.sum_all()?.backward()?;
    assert!(gradients.get(&network.weights[0]).is_none() && gradients.get(&network.x).is_none());
    assert!(gradients.get(&network.bias).is_some() && gradients.get(&network.weights[1]).is_some());
    Ok(())
}

/// The gradients of what lies above a frozen layer are those beside a trained one.
#[test]
fn a_frozen_layer_below_changes_no_gradient_above() -> Result<()> {
    let network = Network::new(DType::F32)?;
    let images = network.x.as_detached_tensor();
    let run = |frozen: bool| -> Result<Vec<Vec<f64>>> {
        let mut layers = network.layers()?;
        if frozen {
            layers[0].weight = layers[0].weight.detach();
            layers[0].bias = layers[0].bias.as_ref().map(Tensor::detach);
        }
        let y = kernels::plain_network(&images, &layers, Mode::BatchOnly)?;
        let gradients = (&y * var(y.dims(), 15, DType::F32)?.as_tensor())?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&network.bias).is_none(), frozen);
        let above = network.vars().into_iter().skip(3);
        above.map(|var| doubles(gradients.get(var).unwrap())).collect()
    };
    assert_eq!(run(true)?, run(false)?);
    Ok(())
}

/// 256 taps, the last of which a byte just numbers.
#[test]
fn the_largest_pool_finds_every_maximum() -> Result<()> {
    let weight = Tensor::ones((1, 1, 1, 1), DType::F32, &Device::Cpu)?;
    let layers = [PlainLayer { pool: 16, ..PlainLayer::new(weight) }];
    for at in [0, 15, 255] {
        let values: Vec<f32> = (0..256).map(|i| if i == at { 2.0 } else { 1.0 }).collect();
        let x = Var::from_tensor(&Tensor::from_vec(values.clone(), (1, 16, 16, 1), &Device::Cpu)?)?;
        let y = kernels::plain_network(&x, &layers, Mode::Eval)?;
        assert_eq!(doubles(&y)?, [2.0]);
        let gradients = y.sum_all()?.backward()?;
        let expected: Vec<f64> = values.iter().map(|&value| f64::from(value) - 1.0).collect();
        assert_eq!(doubles(gradients.get(&x).unwrap())?, expected);
    }
    Ok(())
}

#[test]
fn wrong_layers_are_errors_that_name_the_field() -> Result<()> {
    let network = Network::new(DType::F32)?;
    let refused = |change: &dyn Fn(&mut PlainLayer)| {
        let mut layers = network.layers().unwrap();
        change(&mut layers[1]);
        kernels::plain_network(&network.x, &layers, Mode::Train).unwrap_err()
    };
    for pool in [0, 17, usize::MAX] {
        assert!(matches!(refused(&|layer| layer.pool = pool), Error::Argument { argument: "pool", .. }));
    }
    let too_large = refused(&|layer| layer.pool = 16);
    assert!(too_large.to_string().contains("kernel"), "{too_large}");
    let bias = network.norms[0].1.as_tensor().clone();
    assert!(matches!(refused(&|layer| layer.bias = Some(bias.clone())), Error::Argument { argument: "bias", .. }));
    let narrow = var(&[16, 11, 3, 3], 1, DType::F32)?.as_tensor().clone();
    assert!(matches!(refused(&|layer| layer.weight = narrow.clone()), Error::Shape { argument: "weight", .. }));
    // No layers: what comes in goes out.
    assert_eq!(kernels::plain_network(&network.x, &[], Mode::Train)?.dims(), network.x.dims());
    Ok(())
}
