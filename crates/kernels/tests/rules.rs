//! What a user relies on beside the numbers: errors that name the culprit, empty batches, the same bits from run to run and on
//! any number of threads, and operations that agree with one another.

mod support;

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, After, BatchNorm, ConvBatchNorm, Error, LayerNorm, Mode, ResidualBlock, RmsNorm};
use support::{largest, numbers};

fn norm(channels: usize) -> Result<BatchNorm> {
    let (ones, zeros) =
        (Tensor::ones(channels, DType::F32, &Device::Cpu)?, Tensor::zeros(channels, DType::F32, &Device::Cpu)?);
    Ok(BatchNorm::new(ones.clone(), zeros.clone(), Var::from_tensor(&zeros)?, Var::from_tensor(&ones)?)?)
}

fn layer(from: usize, to: usize, kernel: usize, stride: usize, seed: u32) -> Result<(Var, ConvBatchNorm)> {
    let weight = Var::from_tensor(&(numbers((to, from, kernel, kernel), seed)? * 0.2)?)?;
    let tensor = weight.as_tensor().clone();
    Ok((weight, ConvBatchNorm { weight: tensor, stride, padding: kernel / 2, norm: norm(to)? }))
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

/// A small network through every operation: the loss and all gradients, as bits.
fn step() -> Result<Vec<Vec<u32>>> {
    let (stem, stem_layer) = layer(3, 32, 3, 1, 1)?;
    let parts = [layer(32, 32, 3, 1, 2)?, layer(32, 48, 3, 2, 3)?, layer(48, 48, 3, 1, 4)?, layer(32, 48, 1, 2, 5)?];
    let [first, second, third, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
    let blocks = [
        ResidualBlock { path: vec![first], shortcut: None },
        ResidualBlock { path: vec![second, third], shortcut: Some(shortcut) },
    ];
    let images = numbers((37, 3, 12, 11), 7)?;
    let x = kernels::to_channels_last(&images)?;
    let x = kernels::conv2d_batch_norm(&x, &stem, 1, 1, &stem_layer.norm, After::Relu, Mode::Train)?;
    let x = kernels::max_pool2d(&x, 3, 2, 1)?;
    let x = kernels::avg_pool2d(&kernels::residual_blocks(&x, &blocks, Mode::Train)?, 2, 1, 1)?;
    let x = kernels::activate(&kernels::activate(&x, Activation::Silu)?, Activation::Gelu)?;
    let scale = Var::ones(48, DType::F32, &Device::Cpu)?;
    let norm = LayerNorm { weight: Some(scale.as_tensor().clone()), ..LayerNorm::default() };
    let x = kernels::layer_norm(&x, &norm)?;
    let logits = kernels::global_avg_pool(&kernels::activate(&x, Activation::GeluTanh)?)?;
    let classes = Tensor::from_iter((0..37u32).map(|i| i * 7 % 48), &Device::Cpu)?;
    let loss = kernels::cross_entropy_indices(&logits, &classes, 0.1)?;
    let gradients = loss.backward()?;
    let mut all = vec![bits(&loss)?];
    for variable in parts.iter().map(|(variable, _)| variable).chain([&stem, &scale]) {
        let gradient = gradients.get(variable).ok_or_else(|| candle_core::Error::msg("no gradient"))?;
        all.push(bits(gradient)?);
    }
    all.push(bits(&stem_layer.norm.running_var)?);
    Ok(all)
}

#[test]
fn a_step_has_the_same_bits_on_any_number_of_threads_and_from_run_to_run() -> Result<()> {
    let first = step()?;
    assert_eq!(step()?, first);
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(candle_core::Error::wrap)?;
        assert!(pool.install(step)? == first, "{threads} threads");
    }
    Ok(())
}

#[test]
fn a_block_equals_the_operations_it_is_made_of() -> Result<()> {
    let x = Var::from_tensor(&numbers((3, 8, 6, 16), 1)?)?;
    let (w1, first) = layer(16, 32, 3, 2, 2)?;
    let (w2, second) = layer(32, 32, 3, 1, 3)?;
    let (w3, shortcut) = layer(16, 32, 1, 2, 4)?;
    let run = |layer: &ConvBatchNorm, x: &Tensor, after| {
        kernels::conv2d_batch_norm(x, &layer.weight, layer.stride, layer.padding, &layer.norm, after, Mode::Train)
    };
    let residual = run(&shortcut, &x, After::Nothing)?;
    let expected = run(&second, &run(&first, &x, After::Relu)?, After::AddRelu(&residual))?;
    let running = second.norm.running_var.as_detached_tensor().copy()?;
    for layer in [&first, &second, &shortcut] {
        layer.norm.running_mean.set(&layer.norm.running_mean.zeros_like()?)?;
        layer.norm.running_var.set(&layer.norm.running_var.ones_like()?)?;
    }
    let norm = second.norm.clone();
    let block = ResidualBlock { path: vec![first, second], shortcut: Some(shortcut) };
    let got = kernels::residual_blocks(&x, &[block], Mode::Train)?;
    assert_eq!(bits(&got)?, bits(&expected)?);
    assert_eq!(bits(&norm.running_var)?, bits(&running)?);
    let weigh = numbers(got.shape().clone(), 9)?;
    let (got, expected) = ((got * &weigh)?.sum_all()?.backward()?, (expected * &weigh)?.sum_all()?.backward()?);
    for (name, variable) in [("x", &x), ("first", &w1), ("second", &w2), ("shortcut", &w3)] {
        let (Some(got), Some(expected)) = (got.get(variable), expected.get(variable)) else { panic!("{name}") };
        let (worst, scale) = (largest(&(got - expected)?)?, largest(expected)?);
        assert!(worst <= 2e-6 * scale, "{name}: {worst} of {scale}");
    }
    Ok(())
}

#[test]
fn f32_agrees_with_f64_where_channels_fill_no_vector() -> Result<()> {
    let x = numbers((2, 5, 6, 7), 1)?;
    let weight = numbers((9, 7, 3, 3), 2)?;
    let narrow = kernels::conv2d(&x, &weight, 1, 1)?.to_dtype(DType::F64)?;
    let wide = kernels::conv2d(&x.to_dtype(DType::F64)?, &weight.to_dtype(DType::F64)?, 1, 1)?;
    assert!(largest(&(narrow - wide)?)? < 1e-4);
    Ok(())
}

#[test]
fn evaluation_leaves_the_running_statistics_and_training_moves_them() -> Result<()> {
    let (norm, x) = (norm(16)?, numbers((2, 3, 3, 16), 1)?);
    let before = bits(&norm.running_mean)?;
    kernels::batch_norm(&x, &norm, After::Relu, Mode::Eval)?;
    assert_eq!(bits(&norm.running_mean)?, before);
    kernels::batch_norm(&x, &norm, After::Relu, Mode::Train)?;
    let moved = bits(&norm.running_mean)?;
    assert_ne!(moved, before);
    let y = kernels::batch_norm(&x, &norm, After::Relu, Mode::BatchOnly)?;
    assert_eq!(bits(&norm.running_mean)?, moved);
    assert_eq!(bits(&y)?, bits(&kernels::batch_norm(&x, &norm, After::Relu, Mode::Train)?)?);
    Ok(())
}

#[test]
fn a_function_behind_a_batch_norm_is_that_function_of_its_result() -> Result<()> {
    for channels in [16, 24, 7] {
        let (norm, x) = (norm(channels)?, numbers((2, 5, 3, channels), 1)?);
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            let fused = kernels::batch_norm(&x, &norm, After::Activation(activation), Mode::BatchOnly)?;
            let plain = kernels::batch_norm(&x, &norm, After::Nothing, Mode::BatchOnly)?;
            // A tensor's last numbers are taken one by one, by the definition: equal but for rounding.
            let gap = largest(&(fused - kernels::activate(&plain, activation)?)?)?;
            assert!(gap < 1e-6, "{activation:?}, {channels}: {gap}");
        }
    }
    Ok(())
}

/// A layer whose scale is fixed at one has no gradient for it, and the shift's and the input's are those of a scale of one.
#[test]
fn a_fixed_scale_is_a_scale_of_one_that_nobody_trains() -> Result<()> {
    let x = Var::from_tensor(&numbers((2, 5, 3, 8), 1)?)?;
    let bias = Var::from_tensor(&numbers(8, 2)?)?;
    let trained = Var::ones(8, DType::F32, &Device::Cpu)?;
    let statistics = || -> Result<(Var, Var)> {
        Ok((Var::zeros(8, DType::F32, &Device::Cpu)?, Var::ones(8, DType::F32, &Device::Cpu)?))
    };
    let (mean, var) = statistics()?;
    let fixed = BatchNorm::with_fixed_scale(bias.as_tensor().clone(), mean, var)?;
    let (mean, var) = statistics()?;
    let free = BatchNorm::new(trained.as_tensor().clone(), bias.as_tensor().clone(), mean, var)?;
    let run = |norm: &BatchNorm| -> Result<(Vec<u32>, Vec<u32>, Vec<u32>)> {
        let y = kernels::batch_norm(&x, norm, After::Activation(Activation::Gelu), Mode::Train)?;
        let gradients = (&y * numbers((2, 5, 3, 8), 3)?)?.sum_all()?.backward()?;
        let of = |variable: &Var| gradients.get(variable).ok_or_else(|| candle_core::Error::msg("no gradient"));
        Ok((bits(&y)?, bits(of(&x)?)?, bits(of(&bias)?)?))
    };
    assert_eq!(run(&fixed)?, run(&free)?);
    let gradients = kernels::batch_norm(&x, &fixed, After::Nothing, Mode::Train)?.sum_all()?.backward()?;
    assert!(gradients.get(&fixed.weight).is_none() && gradients.get(&bias).is_some());
    Ok(())
}

/// Neither an input outside the graph nor a frozen parameter appears among the gradients; the others are what they are
/// where everything is trained.
#[test]
fn constants_of_row_norms_get_no_gradient() -> Result<()> {
    let x = Var::from_tensor(&numbers((5, 7), 1)?)?;
    let (weight, bias) = (Var::from_tensor(&numbers(7, 2)?)?, Var::from_tensor(&numbers(7, 3)?)?);
    let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| -> Result<[Option<Vec<u32>>; 3]> {
        let norm = LayerNorm { weight: Some(weight.clone()), bias: Some(bias.clone()), ..LayerNorm::default() };
        let gradients = (kernels::layer_norm(x, &norm)? * numbers((5, 7), 4)?)?.sum_all()?.backward()?;
        let of = |tensor: &Tensor| gradients.get(tensor).map(bits).transpose();
        Ok([of(x)?, of(weight)?, of(bias)?])
    };
    let all = run(&x, &weight, &bias)?;
    let [frozen_x, frozen_weight, frozen_bias] = [&x, &weight, &bias].map(|var| var.as_detached_tensor());
    let [of_x, of_weight, of_bias] = &all;
    assert!(all.iter().all(Option::is_some));
    assert_eq!(run(&frozen_x, &weight, &bias)?, [None, of_weight.clone(), of_bias.clone()]);
    assert_eq!(run(&x, &frozen_weight, &bias)?, [of_x.clone(), None, of_bias.clone()]);
    assert_eq!(run(&x, &frozen_weight, &frozen_bias)?, [of_x.clone(), None, None]);
    Ok(())
}

/// Gradients of a trained block are the same whether or not the block below it is trained too.
#[test]
fn a_frozen_block_below_changes_no_gradient_above() -> Result<()> {
    let (first, below) = layer(16, 16, 3, 1, 1)?;
    let parts = [layer(16, 32, 3, 2, 2)?, layer(32, 32, 3, 1, 3)?, layer(16, 32, 1, 2, 4)?];
    let [one, two, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
    let above = ResidualBlock { path: vec![one, two], shortcut: Some(shortcut) };
    let x = numbers((2, 6, 6, 16), 5)?;
    let run = |weight: Tensor| -> Result<Vec<Vec<u32>>> {
        let mut layer = below.clone();
        layer.weight = weight;
        layer.norm.weight = layer.norm.weight.detach();
        let blocks = [ResidualBlock { path: vec![layer], shortcut: None }, above.clone()];
        let y = kernels::residual_blocks(&x, &blocks, Mode::BatchOnly)?;
        let gradients = (&y * numbers(y.dims(), 6)?)?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&first).is_some(), blocks[0].path[0].weight.track_op());
        let of = |variable: &Var| gradients.get(variable).ok_or_else(|| candle_core::Error::msg("no gradient"));
        parts.iter().map(|(variable, _)| bits(of(variable)?)).collect()
    };
    assert_eq!(run(first.as_detached_tensor())?, run(first.as_tensor().clone())?);
    Ok(())
}

#[test]
fn two_backward_passes_over_one_graph_agree() -> Result<()> {
    let (weight, block) = layer(16, 16, 3, 1, 2)?;
    let x = numbers((2, 6, 6, 16), 1)?;
    let y = kernels::residual_blocks(&x, &[ResidualBlock { path: vec![block], shortcut: None }], Mode::Train)?;
    let loss = (y * numbers((2, 6, 6, 16), 3)?)?.sum_all()?;
    let (first, second) = (loss.backward()?, loss.backward()?);
    let (Some(first), Some(second)) = (first.get(&weight), second.get(&weight)) else { panic!("no gradient") };
    assert_eq!(bits(first)?, bits(second)?);
    Ok(())
}

#[test]
fn empty_batches_give_empty_results() -> Result<()> {
    for channels in [16, 3] {
        let x = Var::zeros((0, 6, 6, channels), DType::F32, &Device::Cpu)?;
        let weight = Var::ones((16, channels, 3, 3), DType::F32, &Device::Cpu)?;
        let y = kernels::conv2d(&x, &weight, 1, 1)?;
        assert_eq!(y.dims(), [0, 6, 6, 16]);
        let y = kernels::batch_norm(&y, &norm(16)?, After::Relu, Mode::Eval)?;
        assert_eq!(kernels::max_pool2d(&y, 2, 2, 0)?.dims(), [0, 3, 3, 16]);
        assert_eq!(kernels::avg_pool2d(&y, 3, 2, 1)?.dims(), [0, 3, 3, 16]);
        let z = kernels::activate(&kernels::relu(&y)?, Activation::Gelu)?;
        assert_eq!(kernels::global_avg_pool(&z)?.dims(), [0, 16]);
        let gradients = y.sum_all()?.backward()?;
        let gradient = gradients.get(&weight).ok_or_else(|| candle_core::Error::msg("no gradient"))?;
        assert_eq!(gradient.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
    }
    let (x, weight) = (Var::zeros((0, 5), DType::F32, &Device::Cpu)?, Var::ones(5, DType::F32, &Device::Cpu)?);
    let given = LayerNorm { weight: Some(weight.as_tensor().clone()), ..LayerNorm::default() };
    let y = kernels::layer_norm(&x, &given)?;
    assert_eq!(y.dims(), [0, 5]);
    let gradients = y.sum_all()?.backward()?;
    let gradient = gradients.get(&weight).ok_or_else(|| candle_core::Error::msg("no gradient"))?;
    assert_eq!(gradient.to_vec1::<f32>()?, [0.0; 5]);
    let error = kernels::batch_norm(&numbers((0, 2, 2, 16), 1)?, &norm(16)?, After::Nothing, Mode::Train).unwrap_err();
    assert!(error.to_string().contains("at least 2"), "{error}");
    let logits = Tensor::zeros((0, 10), DType::F32, &Device::Cpu)?;
    let error = kernels::cross_entropy(&logits, &logits, 0.0).unwrap_err();
    assert_eq!(error.to_string(), "cross_entropy: logits must be at least one row and one class, got 0 x 10");
    Ok(())
}

/// Images without pixels, tensors without channels, paddings and sizes that overflow.
#[test]
fn extents_that_no_kernel_can_serve_are_errors() -> Result<()> {
    let zeros = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let says = |error: Error, words: &str| assert_eq!(error.to_string(), words);
    let (flat, weight) = (zeros((1, 0, 4, 16))?, zeros((16, 16, 3, 3))?);
    let no_image = "image must be of at least one row and column, got 0 x 4";
    says(kernels::conv2d(&flat, &weight, 2, 2).unwrap_err(), &format!("conv2d: {no_image}"));
    says(kernels::avg_pool2d(&flat, 2, 1, 1).unwrap_err(), &format!("avg_pool2d: {no_image}"));
    says(kernels::max_pool2d(&flat, 2, 1, 1).unwrap_err(), &format!("max_pool2d: {no_image}"));
    let (_, layer) = layer(16, 16, 3, 1, 1)?;
    let block = ResidualBlock { path: vec![layer], shortcut: None };
    says(kernels::residual_blocks(&flat, &[block], Mode::Train).unwrap_err(), &format!("residual_blocks: {no_image}"));

    let says_no_channels = |error: Error, op: &str| says(error, &format!("{op}: channels must be at least 1, got 0"));
    let none = Tensor::zeros(0, DType::F32, &Device::Cpu)?;
    let running = || Var::from_tensor(&none);
    says_no_channels(BatchNorm::new(none.clone(), none.clone(), running()?, running()?).unwrap_err(), "BatchNorm::new");
    let empty = BatchNorm {
        weight: none.clone(),
        bias: none.clone(),
        running_mean: running()?,
        running_var: running()?,
        momentum: 0.1,
        eps: 1e-5,
    };
    for mode in [Mode::Train, Mode::Eval] {
        let error = kernels::batch_norm(&zeros((2, 3, 3, 0))?, &empty, After::Relu, mode).unwrap_err();
        says_no_channels(error, "batch_norm");
    }

    let x = zeros((1, 6, 6, 16))?;
    for padding in [1025, 1 << 31, usize::MAX / 2 + 1, usize::MAX] {
        let words = format!("padding must be at most 1024, got {padding}");
        says(kernels::conv2d(&x, &weight, 1, padding).unwrap_err(), &format!("conv2d: {words}"));
        says(kernels::max_pool2d(&x, 3, 1, padding).unwrap_err(), &format!("max_pool2d: {words}"));
    }
    // Results and rows of a size that wraps, of tensors that take no memory.
    let long = 1usize << (usize::BITS / 2 - 1);
    let column = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?.broadcast_as((long, 1))?;
    let targets = Tensor::zeros(1, DType::U32, &Device::Cpu)?.broadcast_as(long)?;
    let words = format!("result must be of a size that memory can hold, got [{long}, {long}]");
    let error = kernels::linear_cross_entropy(&column, &column, None, &targets, 0.0).unwrap_err();
    says(error, &format!("linear_cross_entropy: {words}"));
    says(kernels::linear(&column, &column, None).unwrap_err(), &format!("linear: {words}"));
    let square = column.broadcast_as((long, long))?;
    let words = format!("x must be of a size that memory can hold, got [{long}, {long}]");
    let error = kernels::layer_norm(&square, &LayerNorm { axes: 2, ..LayerNorm::default() }).unwrap_err();
    says(error, &format!("layer_norm: {words}"));

    // A stride beyond the image is one window.
    let x = Var::from_tensor(&numbers((2, 6, 6, 16), 1)?)?;
    let y = kernels::conv2d(&x, &weight, usize::MAX, 1)?;
    assert_eq!(y.dims(), [2, 1, 1, 16]);
    y.sum_all()?.backward()?;
    assert_eq!(kernels::avg_pool2d(&x, 3, usize::MAX, 1)?.dims(), [2, 1, 1, 16]);

    // An empty batch has no elements, but images larger than any memory, or of more pixels than a winner's number can tell.
    let half = 1usize << (usize::BITS / 2);
    let error = kernels::avg_pool2d(&zeros((0, half / 2, half, 1))?, 2, 2, 0).unwrap_err();
    assert!(error.to_string().contains("x must be of a size that memory can hold"), "{error}");
    if let Some(side) = 1usize.checked_shl(16).filter(|side| side.checked_mul(2 * side).is_some()) {
        says(
            kernels::max_pool2d(&zeros((0, side, 2 * side, 1))?, 2, 2, 0).unwrap_err(),
            "max_pool2d: image must be of fewer than 2^32 pixels, got 65536 x 131072",
        );
    }
    Ok(())
}

/// The weights tell a batch in candle's order, unless it has as many columns as channels.
#[test]
fn a_batch_in_candles_order_is_noticed_by_its_channels() -> Result<()> {
    let images = Tensor::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu)?;
    let weight = Tensor::zeros((16, 3, 3, 3), DType::F32, &Device::Cpu)?;
    assert_eq!(
        kernels::conv2d(&images, &weight, 1, 1).unwrap_err().to_string(),
        "conv2d: weight must have shape (O, 8, Kh, Kw) to match x, whose last axis is its channels (to_channels_last turns \
         (N, C, H, W)), got [16, 3, 3, 3]",
    );
    assert_eq!(kernels::conv2d(&kernels::to_channels_last(&images)?, &weight, 1, 1)?.dims(), [2, 8, 8, 16]);
    Ok(())
}

#[test]
fn wrong_calls_are_errors_that_name_argument_and_value() -> Result<()> {
    let device = Device::Cpu;
    let x = Tensor::zeros((2, 6, 6, 16), DType::F32, &device)?;
    let weight = Tensor::zeros((32, 16, 3, 3), DType::F32, &device)?;
    let wide = weight.to_dtype(DType::F64)?;
    let flat = x.flatten_all()?;
    let says = |error: Error, words: &str| assert_eq!(error.to_string(), words);
    says(kernels::conv2d(&flat, &weight, 1, 1).unwrap_err(), "conv2d: x must have shape (N, H, W, C), got [1152]");
    says(kernels::conv2d(&x, &wide, 1, 1).unwrap_err(), "conv2d: weight must be F32, as x is, got F64");
    says(
        kernels::conv2d(&x.to_dtype(DType::U8)?, &weight, 1, 1).unwrap_err(),
        "conv2d: x must be BF16, F32 or F64, got U8",
    );
    says(
        kernels::conv2d(&x, &weight.flatten_all()?, 1, 1).unwrap_err(),
        "conv2d: weight must have shape (O, 16, Kh, Kw) to match x, got [4608]",
    );
    says(kernels::conv2d(&x, &weight, 0, 1).unwrap_err(), "conv2d: stride must be at least 1, got 0");
    says(
        kernels::max_pool2d(&x, 2, 2, 2).unwrap_err(),
        "max_pool2d: padding must be at most half the kernel, or a window could lie outside the image, got 2",
    );
    says(
        kernels::batch_norm(&x, &norm(8)?, After::Relu, Mode::Train).unwrap_err(),
        "batch_norm: weight must have shape (16), got [8]",
    );
    says(
        kernels::batch_norm(&x, &norm(16)?, After::AddRelu(&flat), Mode::Train).unwrap_err(),
        "batch_norm: residual must have shape (2, 6, 6, 16), got [1152]",
    );
    let faulty = BatchNorm { eps: f64::NAN, ..norm(16)? };
    says(
        kernels::batch_norm(&x, &faulty, After::Relu, Mode::Train).unwrap_err(),
        "batch_norm: eps must be above 0, got NaN",
    );
    let faulty = BatchNorm { momentum: 1.5, ..norm(16)? };
    says(
        kernels::batch_norm(&x, &faulty, After::Relu, Mode::Train).unwrap_err(),
        "batch_norm: momentum must be in [0, 1], got 1.5",
    );
    let block = ResidualBlock { path: vec![layer(16, 32, 3, 1, 1)?.1], shortcut: None };
    says(
        kernels::residual_blocks(&x, &[block], Mode::Train).unwrap_err(),
        "residual_blocks: path must have shape (2, 6, 6, 16), the input's, in a block without a shortcut, got [2, 6, 6, 32]",
    );
    let logits = Tensor::zeros((2, 3), DType::F32, &device)?;
    says(
        kernels::cross_entropy_indices(&logits, &Tensor::new(&[0u32, 3], &device)?, 0.0).unwrap_err(),
        "cross_entropy_indices: targets must be below the number of classes, got 3 of 3",
    );
    says(
        kernels::cross_entropy(&logits, &logits, -0.1).unwrap_err(),
        "cross_entropy: label_smoothing must be in [0, 1], got -0.1",
    );
    let layer_norm = |norm: LayerNorm| kernels::layer_norm(&logits, &norm).unwrap_err();
    says(
        layer_norm(LayerNorm { axes: 3, ..LayerNorm::default() }),
        "layer_norm: axes must be from 1 to the number of x's axes, got 3 of [2, 3]",
    );
    says(
        layer_norm(LayerNorm { axes: 0, ..LayerNorm::default() }),
        "layer_norm: axes must be from 1 to the number of x's axes, got 0 of [2, 3]",
    );
    says(layer_norm(LayerNorm { eps: f64::NAN, ..LayerNorm::default() }), "layer_norm: eps must be above 0, got NaN");
    says(
        layer_norm(LayerNorm { bias: Some(logits.clone()), ..LayerNorm::default() }),
        "layer_norm: bias must have shape [3], the shape of x's rows, got [2, 3]",
    );
    says(
        layer_norm(LayerNorm { weight: Some(logits.get(0)?.to_dtype(DType::F64)?), ..LayerNorm::default() }),
        "layer_norm: weight must be F32, as x is, got F64",
    );
    says(
        kernels::rms_norm(&Tensor::zeros((2, 0), DType::F32, &device)?, &RmsNorm::default()).unwrap_err(),
        "rms_norm: x must be of at least one value per row, got [0]",
    );
    says(
        kernels::activate(&logits.to_dtype(DType::I64)?, Activation::Gelu).unwrap_err(),
        "activate: x must be BF16, F32 or F64, got I64",
    );
    says(
        kernels::to_channels_last(&logits).unwrap_err(),
        "to_channels_last: images must have shape (N, C, H, W), got [2, 3]",
    );
    Ok(())
}
