//! bf16: storage is rounded, sums are not. Inputs here are bf16 numbers, so f32 computes the same sums, and every operation must
//! give f32's result rounded once, bit by bit.

mod support;

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, After, BatchNorm, ConvBatchNorm, LayerNorm, Mode, ResidualBlock, RmsNorm};

/// Numbers between -1 and 1 that bf16 holds exactly, as f32.
fn numbers(shape: impl Into<candle_core::Shape>, seed: u32) -> Result<Tensor> {
    support::numbers(shape, seed)?.to_dtype(DType::BF16)?.to_dtype(DType::F32)
}

fn norm(channels: usize) -> Result<(Var, BatchNorm)> {
    let scale = Var::from_tensor(&(numbers(channels, 50)? + 1.5)?.to_dtype(DType::BF16)?.to_dtype(DType::F32)?)?;
    let (shift, zeros) = (numbers(channels, 51)?, Tensor::zeros(channels, DType::F32, &Device::Cpu)?);
    let (mean, variance) = (Var::from_tensor(&zeros)?, Var::ones(channels, DType::F32, &Device::Cpu)?);
    let norm = BatchNorm::new(scale.as_tensor().clone(), shift, mean, variance)?;
    Ok((scale, norm))
}

/// The bits of a tensor rounded to bf16, or of an f32 tensor as it is.
fn bits(tensor: &Tensor, dtype: DType) -> Result<Vec<u32>> {
    let rounded = tensor.to_dtype(dtype)?.to_dtype(DType::F32)?;
    Ok(rounded.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

/// The result of `f` and the gradients of the variables, the result's gradient being numbers that bf16 holds.
fn run(f: impl Fn(&[Tensor]) -> kernels::Result<Tensor>, inputs: &[Var]) -> Result<Vec<Tensor>> {
    let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let weigh = numbers(y.shape().clone(), 99)?;
    let gradients = (y.to_dtype(DType::F32)? * weigh)?.sum_all()?.backward()?;
    let mut all = vec![y.detach()];
    for input in inputs {
        all.push(gradients.get(input).ok_or_else(|| candle_core::Error::msg("no gradient"))?.clone());
    }
    Ok(all)
}

/// `f` on `activations` in bf16 and `weights` in f32, against itself in f32.
fn equals_f32_rounded(
    name: &str,
    f: impl Fn(&[Tensor]) -> kernels::Result<Tensor>,
    activations: &[Tensor],
    weights: &[Tensor],
) -> Result<()> {
    let variables = |dtype: DType| -> Result<Vec<Var>> {
        let activations = activations.iter().map(|x| Var::from_tensor(&x.to_dtype(dtype)?));
        activations.chain(weights.iter().map(Var::from_tensor)).collect()
    };
    let (narrow, wide) = (variables(DType::BF16)?, variables(DType::F32)?);
    let (got, expected) = (run(&f, &narrow)?, run(&f, &wide)?);
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let dtype = if index <= activations.len() { DType::BF16 } else { DType::F32 };
        assert_eq!(got.dtype(), dtype, "{name}: result and gradients have the types of their arguments");
        assert!(bits(got, dtype)? == bits(expected, dtype)?, "{name}: {index} (0 is the result, then the gradients)");
    }
    Ok(())
}

#[test]
fn convolutions_are_those_of_f32_rounded_once() -> Result<()> {
    // Winograd in a core's cache and phase by phase, the direct kernels, a first layer, and channels that fill no vector.
    for (from, to, kernel, stride, padding) in [
        (16, 32, 3, 1, 1),
        (144, 128, 3, 1, 1),
        (32, 48, 3, 2, 1),
        (32, 64, 1, 2, 0),
        (64, 16, 1, 1, 0),
        (3, 16, 7, 2, 3),
        (5, 7, 3, 1, 1),
    ] {
        let (x, weight) = (numbers((3, 9, 7, from), 1)?, numbers((to, from, kernel, kernel), 2)?);
        let name = format!("{from} to {to}, kernel {kernel}, stride {stride}");
        equals_f32_rounded(&name, |t| kernels::conv2d(&t[0], &t[1], stride, padding), &[x], &[weight])?;
    }
    Ok(())
}

#[test]
fn normalisation_is_that_of_f32_rounded_once() -> Result<()> {
    for channels in [16, 32, 64, 80, 7] {
        let (x, residual) = (numbers((3, 9, 7, channels), 1)?, numbers((3, 9, 7, channels), 2)?);
        let (scale, shift) = (numbers(channels, 3)?, numbers(channels, 4)?);
        let layer = |t: &[Tensor], scale: usize| -> kernels::Result<BatchNorm> {
            let (_, norm) = norm(channels)?;
            Ok(BatchNorm { weight: t[scale].clone(), bias: t[scale + 1].clone(), ..norm })
        };
        for (mode, after) in [(Mode::Train, After::Relu), (Mode::Train, After::Nothing), (Mode::Eval, After::Relu)] {
            let f = |t: &[Tensor]| kernels::batch_norm(&t[0], &layer(t, 1)?, after, mode);
            equals_f32_rounded(
                &format!("{channels} {mode:?}"),
                f,
                std::slice::from_ref(&x),
                &[scale.clone(), shift.clone()],
            )?;
        }
        let f = |t: &[Tensor]| kernels::batch_norm(&t[0], &layer(t, 2)?, After::AddRelu(&t[1]), Mode::Train);
        equals_f32_rounded(&format!("{channels} residual"), f, &[x, residual], &[scale, shift])?;
    }
    Ok(())
}

#[test]
fn pools_relu_and_loss_are_those_of_f32_rounded_once() -> Result<()> {
    let x = numbers((3, 9, 7, 16), 1)?;
    equals_f32_rounded("max_pool2d", |t| kernels::max_pool2d(&t[0], 3, 2, 1), std::slice::from_ref(&x), &[])?;
    equals_f32_rounded("avg_pool2d", |t| kernels::avg_pool2d(&t[0], 3, 2, 1), std::slice::from_ref(&x), &[])?;
    equals_f32_rounded("global_avg_pool", |t| kernels::global_avg_pool(&t[0]), std::slice::from_ref(&x), &[])?;
    let (scale, shift) = (numbers(16, 4)?, numbers(16, 5)?);
    let layer_norm = |t: &[Tensor]| {
        let (weight, bias) = (Some(t[1].clone()), Some(t[2].clone()));
        kernels::layer_norm(&t[0], &LayerNorm { weight, bias, ..LayerNorm::default() })
    };
    equals_f32_rounded("layer_norm", layer_norm, std::slice::from_ref(&x), &[scale.clone(), shift])?;
    let rms_norm =
        |t: &[Tensor]| kernels::rms_norm(&t[0], &RmsNorm { weight: Some(t[1].clone()), ..RmsNorm::default() });
    equals_f32_rounded("rms_norm", rms_norm, std::slice::from_ref(&x), &[scale])?;
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        equals_f32_rounded("activate", |t| kernels::activate(&t[0], activation), std::slice::from_ref(&x), &[])?;
    }
    equals_f32_rounded("relu", |t| kernels::relu(&t[0]), &[x], &[])?;

    let (logits, targets) = (numbers((5, 10), 2)?, numbers((5, 10), 3)?.abs()?);
    let loss = |dtype| -> Result<(Tensor, Tensor)> {
        let logits = Var::from_tensor(&logits.to_dtype(dtype)?)?;
        let loss = kernels::cross_entropy(&logits, &targets, 0.1)?;
        let gradient = loss.backward()?.get(&logits).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"))?;
        Ok((loss, gradient))
    };
    let ((narrow, d_narrow), (wide, d_wide)) = (loss(DType::BF16)?, loss(DType::F32)?);
    assert_eq!(narrow.to_scalar::<f32>()?, wide.to_scalar::<f32>()?);
    assert_eq!(bits(&d_narrow, DType::BF16)?, bits(&d_wide, DType::BF16)?);
    Ok(())
}

#[test]
fn weights_may_be_bf16_and_then_their_gradients_are() -> Result<()> {
    let x = numbers((2, 6, 6, 16), 1)?.to_dtype(DType::BF16)?;
    let weight = numbers((32, 16, 3, 3), 2)?;
    let gradients = |dtype| -> Result<(Tensor, Tensor)> {
        let (scale, norm) = norm(32)?;
        let (weight, scale) = (
            Var::from_tensor(&weight.to_dtype(dtype)?)?,
            Var::from_tensor(&scale.as_detached_tensor().to_dtype(dtype)?)?,
        );
        let norm = BatchNorm { weight: scale.as_tensor().clone(), ..norm };
        let y = kernels::conv2d_batch_norm(&x, &weight, 1, 1, &norm, After::Relu, Mode::Train)?;
        let gradients = (y.to_dtype(DType::F32)? * numbers((2, 6, 6, 32), 3)?)?.sum_all()?.backward()?;
        let of = |var: &Var| gradients.get(var).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"));
        Ok((of(&weight)?, of(&scale)?))
    };
    let (narrow, wide) = (gradients(DType::BF16)?, gradients(DType::F32)?);
    assert_eq!((narrow.0.dtype(), narrow.1.dtype()), (DType::BF16, DType::BF16));
    assert_eq!(bits(&narrow.0, DType::BF16)?, bits(&wide.0, DType::BF16)?);
    assert_eq!(bits(&narrow.1, DType::BF16)?, bits(&wide.1, DType::BF16)?);
    Ok(())
}

fn layer(from: usize, to: usize, kernel: usize, stride: usize, seed: u32) -> Result<(Var, ConvBatchNorm)> {
    let weight = Var::from_tensor(&(numbers((to, from, kernel, kernel), seed)? * 0.25)?)?;
    let tensor = weight.as_tensor().clone();
    Ok((weight, ConvBatchNorm { weight: tensor, stride, padding: kernel / 2, norm: norm(to)?.1 }))
}

/// A small network: its stem, the path of a block, that of a block with a projection, and the projection.
fn layers() -> Result<[(Var, ConvBatchNorm); 5]> {
    Ok([
        layer(3, 32, 3, 1, 1)?,
        layer(32, 32, 3, 1, 2)?,
        layer(32, 48, 3, 2, 3)?,
        layer(48, 48, 3, 1, 4)?,
        layer(32, 48, 1, 2, 5)?,
    ])
}

/// The logits' loss, the stem's running variance, and the gradients of all filters.
fn outcome(logits: &Tensor, layers: &[(Var, ConvBatchNorm); 5]) -> Result<Vec<Tensor>> {
    let classes = Tensor::from_iter((0..37u32).map(|i| i * 7 % 48), &Device::Cpu)?;
    let loss = kernels::cross_entropy_indices(logits, &classes, 0.1)?;
    let gradients = loss.backward()?;
    let mut all = vec![loss.detach(), layers[0].1.norm.running_var.as_detached_tensor()];
    for (variable, _) in layers {
        all.push(gradients.get(variable).ok_or_else(|| candle_core::Error::msg("no gradient"))?.clone());
    }
    Ok(all)
}

/// The network's outcome with activations of type `dtype`.
fn step(dtype: DType) -> Result<Vec<Tensor>> {
    let layers = layers()?;
    let [(stem, stem_layer), parts @ ..] = &layers;
    let [first, second, third, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
    let blocks = [
        ResidualBlock { path: vec![first], shortcut: None },
        ResidualBlock { path: vec![second, third], shortcut: Some(shortcut) },
    ];
    let x = kernels::to_channels_last(&numbers((37, 3, 12, 11), 7)?.to_dtype(dtype)?)?;
    let x = kernels::conv2d_batch_norm(&x, stem, 1, 1, &stem_layer.norm, After::Relu, Mode::Train)?;
    let x = kernels::residual_blocks(&kernels::max_pool2d(&x, 3, 2, 1)?, &blocks, Mode::Train)?;
    let logits = kernels::global_avg_pool(&x)?;
    outcome(&logits, &layers)
}

/// The same network in f32 from single operations, every stored activation and its gradient rounded to bf16 by hand.
fn step_rounded_by_hand() -> Result<Vec<Tensor>> {
    // Backward, candle converts gradients likewise, so they are rounded too.
    let rounded = |x: Tensor| -> Result<Tensor> { x.to_dtype(DType::BF16)?.to_dtype(DType::F32) };
    let unit = |x: &Tensor, layer: &ConvBatchNorm, after| -> Result<Tensor> {
        let convolved = rounded(kernels::conv2d(x, &layer.weight, layer.stride, layer.padding)?)?;
        rounded(kernels::batch_norm(&convolved, &layer.norm, after, Mode::Train)?)
    };
    let layers = layers()?;
    let [stem_layer, first, second, third, shortcut] = layers.each_ref().map(|(_, layer)| layer);
    let x = kernels::to_channels_last(&numbers((37, 3, 12, 11), 7)?)?;
    let x = rounded(kernels::max_pool2d(&unit(&x, stem_layer, After::Relu)?, 3, 2, 1)?)?;
    let x = unit(&x, first, After::AddRelu(&x))?;
    let inner = unit(&x, second, After::Relu)?;
    // The projection's gradient is stored before the path's is added to it.
    let projected = unit(&rounded(x)?, shortcut, After::Nothing)?;
    let x = unit(&inner, third, After::AddRelu(&projected))?;
    let logits = rounded(kernels::global_avg_pool(&x)?)?;
    outcome(&logits, &layers)
}

#[test]
fn a_network_is_that_of_f32_with_every_stored_tensor_rounded() -> Result<()> {
    let (got, expected) = (step(DType::BF16)?, step_rounded_by_hand()?);
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert!(bits(got, DType::F32)? == bits(expected, DType::F32)?, "{index} (loss, running variance, gradients)");
    }
    // Beside f32 itself the loss differs by what the activations were rounded by.
    let (loss, wide) = (got[0].to_scalar::<f32>()?, step(DType::F32)?[0].to_scalar::<f32>()?);
    assert!((loss / wide - 1.0).abs() < 1.0 / 256.0, "{loss} against {wide}");
    Ok(())
}

#[test]
fn a_step_has_the_same_bits_on_any_number_of_threads() -> Result<()> {
    let step = || -> Result<Vec<Vec<u32>>> { step(DType::BF16)?.iter().map(|t| bits(t, DType::F32)).collect() };
    let first = step()?;
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(candle_core::Error::wrap)?;
        assert!(pool.install(step)? == first, "{threads} threads");
    }
    Ok(())
}

#[test]
fn types_that_do_not_go_together_are_named() -> Result<()> {
    let (x, weight) = (numbers((2, 6, 6, 16), 1)?, numbers((16, 16, 3, 3), 2)?);
    let narrow = x.to_dtype(DType::BF16)?;
    let says = |error: kernels::Error, words: &str| assert_eq!(error.to_string(), words);
    let error = kernels::conv2d(&narrow, &weight.to_dtype(DType::F64)?, 1, 1).unwrap_err();
    says(error, "conv2d: weight must be BF16, as x is, or F32, got F64");
    let error = kernels::conv2d(&x, &weight.to_dtype(DType::BF16)?, 1, 1).unwrap_err();
    says(error, "conv2d: weight must be F32, as x is, got BF16");
    let error = kernels::conv2d(&x.to_dtype(DType::F16)?, &weight, 1, 1).unwrap_err();
    says(error, "conv2d: x must be BF16, F32 or F64, got F16");
    let error = kernels::batch_norm(&narrow, &norm(16)?.1, After::AddRelu(&x), Mode::Train).unwrap_err();
    says(error, "batch_norm: residual must be BF16, as x is, got F32");
    let logits = numbers((2, 3), 1)?;
    let error = kernels::cross_entropy(&logits, &logits.to_dtype(DType::BF16)?, 0.0).unwrap_err();
    says(error, "cross_entropy: targets must be F32, as logits is, got BF16");
    let narrow = logits.to_dtype(DType::BF16)?;
    let error = kernels::cross_entropy(&narrow, &logits.to_dtype(DType::F64)?, 0.0).unwrap_err();
    says(error, "cross_entropy: targets must be BF16, as logits is, or F32, got F64");
    Ok(())
}
