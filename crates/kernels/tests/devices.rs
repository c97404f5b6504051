//! Every operation on each device of the build, in each element type, against the CPU in f64: values, gradients and running
//! statistics, for several images, stride 2 and odd extents.

#[path = "support/compare.rs"]
mod compare;
mod support;

use candle_core::{Device, Result, Tensor, Var};
use compare::{Failures, Work, kinds};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, After, LayerNorm, Mode, PlainLayer, ResidualBlock, RmsNorm};

#[test]
fn an_element_left_out_shows() -> Result<()> {
    let (got, expected) =
        (Tensor::new(&[1.0, f64::NAN, 3.0], &Device::Cpu)?, Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?);
    for kind in kinds() {
        assert!(kind.distance(Work::Elements, &got, &expected)?.0.is_nan(), "{}", kind.name());
    }
    Ok(())
}

#[test]
fn convolutions() {
    let mut failures = Failures::default();
    for (kernel, stride, padding, inputs, outputs) in
        [(3, 1, 1, 16, 32), (3, 2, 1, 8, 16), (1, 2, 0, 16, 8), (7, 2, 3, 3, 16), (3, 1, 1, 5, 7)]
    {
        failures.compare("conv2d", Work::Convolutions, |side| {
            let (x, weight) =
                (side.numbers((3, 13, 11, inputs), 1)?, side.parameters((outputs, inputs, kernel, kernel), 2)?);
            side.all(&kernels::conv2d(&x, &weight, stride, padding)?, &[&x, &weight])
        });
    }
    failures.compare("conv2d_with", Work::Convolutions, |side| {
        let (x, weight, bias) =
            (side.numbers((3, 13, 11, 8), 1)?, side.parameters((12, 8, 3, 3), 2)?, side.parameters(12, 3)?);
        let options = kernels::Conv2dOptions { padding: 1, ..kernels::Conv2dOptions::default() };
        side.all(&kernels::conv2d_with(&x, &weight, Some(&bias), options)?, &[&x, &weight, &bias])
    });
    failures.report();
}

#[test]
fn batch_norm_with_what_follows() {
    let mut failures = Failures::default();
    for (channels, mode) in [(16, Mode::Train), (7, Mode::Train), (16, Mode::Eval), (130, Mode::Train)] {
        for after in 0..3 {
            failures.compare("batch_norm", Work::Elements, |side| {
                let (x, residual) = (side.numbers((3, 5, 7, channels), 1)?, side.numbers((3, 5, 7, channels), 2)?);
                let (variables, layer) = side.layer(1, channels, 1, 1)?;
                let mut wanted = vec![&x, &variables[1], &variables[2]];
                let after = match after {
                    0 => After::Nothing,
                    1 => After::Relu,
                    _ => After::AddRelu(&residual),
                };
                if matches!(after, After::AddRelu(_)) {
                    wanted.push(&residual);
                }
                let mut all = side.all(&kernels::batch_norm(&x, &layer.norm, after, mode)?, &wanted)?;
                all.extend([layer.norm.running_mean.as_detached_tensor(), layer.norm.running_var.as_detached_tensor()]);
                Ok(all)
            });
        }
    }
    failures.report();
}

#[test]
fn residual_blocks_and_their_layers() {
    let mut failures = Failures::default();
    failures.compare("residual_blocks", Work::Network, |side| {
        let x = side.numbers((4, 9, 9, 16), 1)?;
        let parts = [side.layer(16, 32, 3, 2)?, side.layer(32, 32, 3, 1)?, side.layer(16, 32, 1, 2)?];
        let [first, second, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
        let running = second.norm.running_var.clone();
        let block = ResidualBlock { path: vec![first, second], shortcut: Some(shortcut) };
        let variables: Vec<&Var> = std::iter::once(&x).chain(parts.iter().flat_map(|(vars, _)| vars)).collect();
        let mut all = side.all(&kernels::residual_blocks(&x, &[block], Mode::Train)?, &variables)?;
        all.push(running.as_detached_tensor());
        Ok(all)
    });
    failures.compare("conv2d_batch_norm", Work::Convolutions, |side| {
        let (images, (variables, layer)) = (side.numbers((2, 3, 9, 8), 1)?, side.layer(3, 16, 3, 1)?);
        let x = kernels::to_channels_last(&images)?;
        let y = kernels::conv2d_batch_norm(&x, &layer.weight, 1, 1, &layer.norm, After::Relu, Mode::Train)?;
        let y = kernels::to_channels_first(&y)?;
        side.all(&y, &[&images, &variables[0], &variables[1], &variables[2]])
    });
    failures.report();
}

/// The first three layers of the speed network: its whitening, whose filters are not trained, and a group.
#[test]
fn a_plain_network() {
    let mut failures = Failures::default();
    failures.compare("plain_network", Work::Network, |side| {
        let x = side.numbers((4, 14, 13, 3), 1)?;
        let (whitening, bias) = (side.parameters((24, 3, 2, 2), 2)?, side.parameters(24, 3)?);
        let parts = [side.layer(24, 32, 3, 1)?, side.layer(32, 32, 3, 1)?];
        let running = parts[0].1.norm.running_var.clone();
        let mut layers = vec![PlainLayer {
            bias: Some(bias.as_tensor().clone()),
            activation: Some(Activation::Gelu),
            ..PlainLayer::new(whitening.as_detached_tensor())
        }];
        for ((_, part), pool) in parts.iter().zip([2, 1]) {
            let (norm, activation) = (Some(part.norm.clone()), Some(Activation::Gelu));
            layers.push(PlainLayer { padding: 1, pool, norm, activation, ..PlainLayer::new(part.weight.clone()) });
        }
        let variables: Vec<&Var> = [&x, &bias].into_iter().chain(parts.iter().flat_map(|(vars, _)| vars)).collect();
        let mut all = side.all(&kernels::plain_network(&x, &layers, Mode::Train)?, &variables)?;
        all.push(running.as_detached_tensor());
        Ok(all)
    });
    failures.report();
}

#[test]
fn pools_and_the_rectifier() {
    let mut failures = Failures::default();
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1)] {
        failures.compare("pools", Work::Elements, |side| {
            let x = side.numbers((2, 9, 7, 5), 1)?;
            let mut all = side.all(&kernels::max_pool2d(&x, kernel, stride, padding)?, &[&x])?;
            all.extend(side.all(&kernels::avg_pool2d(&x, kernel, stride, padding)?, &[&x])?);
            all.extend(side.all(&kernels::global_avg_pool(&x)?, &[&x])?);
            all.extend(side.all(&kernels::relu(&x)?, &[&x])?);
            Ok(all)
        });
    }
    failures.report();
}

#[test]
fn activations() {
    let mut failures = Failures::default();
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        failures.compare("activate", Work::Elements, |side| {
            let x = side.filled((9, 35), 1, side.dtype, |x| 5.0 * x)?;
            side.all(&kernels::activate(&x, activation)?, &[&x])
        });
    }
    failures.report();
}

#[test]
fn norms_over_rows() {
    let mut failures = Failures::default();
    for width in [7, 300] {
        failures.compare("layer_norm", Work::Elements, |side| {
            let (x, weight, bias) =
                (side.numbers((70, width), 1)?, side.parameters(width, 2)?, side.parameters(width, 3)?);
            let (scale, shift) = (Some(weight.as_tensor().clone()), Some(bias.as_tensor().clone()));
            let norm = LayerNorm { weight: scale.clone(), bias: shift, ..LayerNorm::default() };
            let mut all = side.all(&kernels::layer_norm(&x, &norm)?, &[&x, &weight, &bias])?;
            let norm = RmsNorm { weight: scale, ..RmsNorm::default() };
            all.extend(side.all(&kernels::rms_norm(&x, &norm)?, &[&x, &weight])?);
            Ok(all)
        });
    }
    failures.report();
}

#[test]
fn losses() {
    let mut failures = Failures::default();
    for (classes, smoothing) in [(10, 0.0), (10, 0.1), (300, 0.1)] {
        failures.compare("cross_entropy", Work::Elements, |side| {
            let (logits, targets) = (side.numbers((7, classes), 1)?, side.numbers((7, classes), 2)?.abs()?);
            let loss = kernels::cross_entropy(&logits, &targets, smoothing)?;
            assert_eq!(loss.dtype(), side.wide(), "a loss is summed, and given, in f32 at least");
            let mut all = side.all(&loss, &[&logits])?;
            let indices = Tensor::from_iter((0..7u32).map(|row| row * 3 % classes as u32), &side.device)?;
            all.extend(side.all(&kernels::cross_entropy_indices(&logits, &indices, smoothing)?, &[&logits])?);
            Ok(all)
        });
    }
    failures.report();
}

#[test]
fn layers_of_language_models() {
    let mut failures = Failures::default();
    failures.compare("lstm", Work::Elements, |side| {
        // bf16 is refused; on the other side of that comparison there is nothing to compare either.
        if side.rounded {
            return Ok(Vec::new());
        }
        let (x, ih, hh) = (side.numbers((4, 3, 5), 1)?, side.numbers((28, 5), 2)?, side.numbers((28, 7), 3)?);
        let (hidden, cell) = (side.numbers((3, 7), 4)?, side.numbers((3, 7), 5)?);
        let tensor = |var: &Var| var.as_tensor().clone();
        let layer = kernels::Lstm { weight_ih: tensor(&ih), weight_hh: tensor(&hh), biases: None };
        let state = kernels::LstmState { hidden: tensor(&hidden), cell: tensor(&cell) };
        let (y, _) = kernels::lstm(&x, &layer, &state)?;
        let mut all = side.all(&y, &[&x, &ih, &hh, &hidden, &cell])?;
        let ids = Tensor::from_iter((0..12u32).map(|at| at * 5 % 28), &side.device)?;
        all.extend(side.all(&kernels::embedding(&ih, &ids)?, &[&ih])?);
        let mask = side.numbers((12, 5), 6)?.as_detached_tensor();
        all.extend(side.all(&kernels::masked_embedding(&ih, &ids, &mask)?, &[&ih])?);
        all.extend(side.all(&kernels::linear_cross_entropy(&y, &hh, None, &ids, 0.1)?, &[&x, &hh])?);
        let mask = side.numbers((1, 3, 7), 8)?.as_detached_tensor();
        let loss = kernels::masked_linear_cross_entropy(&y, &mask, &hh, None, &ids, 0.1)?;
        all.extend(side.all(&loss, &[&x, &hh])?);
        Ok(all)
    });
    failures.report();
}
