//! In evaluation without a graph, batch norm is part of the convolution before it. The results are those with a graph.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, After, BatchNorm, ConvBatchNorm, Mode, PlainLayer, ResidualBlock};
use support::{largest, numbers};

/// What a network is made of: its type, and whether its parameters are trained.
#[derive(Clone, Copy)]
struct Parts {
    dtype: DType,
    trained: bool,
}

impl Parts {
    fn parameter(self, values: &Tensor) -> Result<Tensor> {
        let dtype = if self.dtype == DType::BF16 { DType::F32 } else { self.dtype };
        let var = Var::from_tensor(&values.to_dtype(dtype)?)?;
        Ok(if self.trained { var.as_tensor().clone() } else { var.as_detached_tensor() })
    }

    /// Scales of both signs, and running statistics that are not those of a fresh layer.
    fn norm(self, channels: usize, seed: u32) -> Result<BatchNorm> {
        let of = |offset: u32| numbers(&[channels], seed + offset);
        let frozen = |values: &Tensor| Var::from_tensor(&Parts { trained: false, ..self }.parameter(values)?);
        let variance = (of(3)? * 0.5)?.affine(1.0, 1.0)?;
        Ok(BatchNorm::new(self.parameter(&of(0)?)?, self.parameter(&of(1)?)?, frozen(&of(2)?)?, frozen(&variance)?)?)
    }

    fn layer(self, (from, to): (usize, usize), kernel: usize, stride: usize, seed: u32) -> Result<ConvBatchNorm> {
        let weight = (numbers(&[to, from, kernel, kernel], seed)? * (0.5 / kernel as f64))?;
        Ok(ConvBatchNorm {
            weight: self.parameter(&weight)?,
            stride,
            padding: kernel / 2,
            norm: self.norm(to, seed + 1)?,
        })
    }

    /// Exact in every type.
    fn images(self, channels: usize, seed: u32) -> Result<Tensor> {
        numbers(&[3, 9, 8, channels], seed)?.to_dtype(DType::BF16)?.to_dtype(self.dtype)
    }

    /// Every kind of layer that batch norm ends: with a shortcut or none, a pool or none, and each function after it.
    fn outputs(self) -> Result<Vec<Tensor>> {
        let x = self.images(3, 1)?;
        let stem = self.layer((3, 16), 3, 1, 10)?;
        let blocks = [
            ResidualBlock {
                path: vec![self.layer((16, 16), 3, 1, 20)?, self.layer((16, 16), 3, 1, 30)?],
                shortcut: None,
            },
            ResidualBlock {
                path: vec![self.layer((16, 20), 3, 2, 40)?, self.layer((20, 20), 3, 1, 50)?],
                shortcut: Some(self.layer((16, 20), 1, 2, 60)?),
            },
        ];
        let mut all = vec![kernels::residual_network(&x, &stem, &blocks, Mode::Eval)?];
        let residual = self.images(16, 2)?;
        let afters = [After::Nothing, After::Relu, After::AddRelu(&residual), After::Activation(Activation::Gelu)];
        for after in afters {
            let ConvBatchNorm { weight, stride, padding, norm } = &stem;
            all.push(kernels::conv2d_batch_norm(&x, weight, *stride, *padding, norm, after, Mode::Eval)?);
        }
        let plain = |layer: ConvBatchNorm, pool, activation| {
            let (stride, padding, norm) = (layer.stride, layer.padding, Some(layer.norm));
            PlainLayer { stride, padding, pool, norm, activation, ..PlainLayer::new(layer.weight) }
        };
        let layers = [
            plain(stem.clone(), 1, Some(Activation::Relu)),
            plain(self.layer((16, 24), 3, 1, 70)?, 2, Some(Activation::Relu)),
            plain(self.layer((24, 24), 3, 1, 80)?, 1, Some(Activation::Gelu)),
            plain(self.layer((24, 8), 1, 1, 90)?, 1, None),
        ];
        all.push(kernels::plain_network(&x, &layers, Mode::Eval)?);
        Ok(all)
    }
}

/// The largest distance, relative to the largest value.
fn distance(got: &Tensor, expected: &Tensor) -> Result<f64> {
    let (got, expected) = (got.to_dtype(DType::F64)?, expected.to_dtype(DType::F64)?);
    Ok(largest(&(got - &expected)?)? / largest(&expected)?)
}

#[test]
fn without_a_graph_results_are_those_with_one() -> Result<()> {
    for (dtype, bound) in [(DType::F64, 1e-13), (DType::F32, 2e-6)] {
        let outputs = |trained| Parts { dtype, trained }.outputs();
        let (trained, frozen) = (outputs(true)?, outputs(false)?);
        for (index, (got, expected)) in frozen.iter().zip(&trained).enumerate() {
            assert!(expected.track_op() && !got.track_op());
            let distance = distance(got, expected)?;
            assert!(distance < bound, "{dtype:?}, output {index}: {distance:e}");
        }
    }
    Ok(())
}

/// The convolution before batch norm is a bf16 tensor with a graph; without one, it stays in registers.
#[test]
fn bf16_is_rounded_once() -> Result<()> {
    let output = |dtype, trained| -> Result<Tensor> {
        let parts = Parts { dtype, trained };
        let ConvBatchNorm { weight, stride, padding, norm } = parts.layer((3, 16), 3, 1, 10)?;
        // So large that the convolution outweighs mean and shift.
        let weight = (weight * 8.0)?;
        let x = parts.images(3, 1)?;
        let y = kernels::conv2d_batch_norm(&x, &weight, stride, padding, &norm, After::Relu, Mode::Eval)?;
        y.to_dtype(DType::F64)
    };
    let expected = output(DType::F64, false)?;
    let squares = |trained| (output(DType::BF16, trained)? - &expected)?.sqr()?.sum_all()?.to_scalar::<f64>();
    let (with, without) = (squares(true)?, squares(false)?);
    assert!(without < 0.75 * with, "{without:e}, {with:e}");
    Ok(())
}
