//! Arguments at the edge of what is accepted: one value per channel, strided parameters, a mask of one number, and the name
//! of the function in errors.

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{After, BatchNorm, Conv2dOptions, ConvBatchNorm, Mode, PlainLayer, ResidualBlock};

fn ones(shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    Tensor::ones(shape.into(), DType::F32, &Device::Cpu)
}

/// Distinct numbers.
fn numbers(shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let shape = shape.into();
    Tensor::arange(0f32, shape.elem_count() as f32, &Device::Cpu)?.sin()?.reshape(shape)
}

fn norm(channels: usize) -> Result<BatchNorm> {
    let running = || Var::from_tensor(&ones(channels)?);
    Ok(BatchNorm::new(ones(channels)?, ones(channels)?, running()?, running()?)?)
}

fn layer(stride: usize) -> Result<ConvBatchNorm> {
    Ok(ConvBatchNorm { weight: numbers((4, 4, 3, 3))?, stride, padding: 1, norm: norm(4)? })
}

/// One value has no variance: an update would leave NaN in the running variance for good.
#[test]
fn one_value_per_channel_is_not_normalised_by_its_own_statistics() -> Result<()> {
    let (pixel, four) = (numbers((1, 1, 1, 4))?, numbers((1, 2, 2, 4))?);
    let (stem, last) = (layer(1)?, layer(2)?);
    let layers = [&stem, &last].map(|part| PlainLayer {
        stride: part.stride,
        padding: 1,
        norm: Some(part.norm.clone()),
        ..PlainLayer::new(part.weight.clone())
    });
    let blocks = [ResidualBlock { path: vec![last.clone()], shortcut: Some(last.clone()) }];
    let options = Conv2dOptions { stride: 2, padding: 1, ..Conv2dOptions::default() };
    let all = |mode| {
        let after = After::Relu;
        [
            ("batch_norm", kernels::batch_norm(&pixel, &last.norm, after, mode)),
            ("conv2d_batch_norm", kernels::conv2d_batch_norm(&four, &last.weight, 2, 1, &last.norm, after, mode)),
            (
                "conv2d_batch_norm_with",
                kernels::conv2d_batch_norm_with(&four, &last.weight, options, &last.norm, after, mode),
            ),
            ("residual_blocks", kernels::residual_blocks(&four, &blocks, mode)),
            ("residual_network", kernels::residual_network(&four, &stem, &blocks, mode)),
            ("plain_network", kernels::plain_network(&four, &layers, mode)),
        ]
    };
    let rule = "values per channel must be at least 2 to normalise by the batch's statistics \
                (take a larger batch, drop a last one of a single image, or use Mode::Eval), got 1 of shape (1, 1, 1, 4)";
    for (op, result) in [Mode::Train, Mode::BatchOnly].into_iter().flat_map(all) {
        assert_eq!(result.err().map(|error| error.to_string()), Some(format!("{op}: {rule}")), "{op}");
    }
    // Nothing has moved, not even in the layers before, which have four values.
    for norm in [&stem.norm, &last.norm] {
        for running in [&norm.running_mean, &norm.running_var] {
            assert_eq!(running.to_vec1::<f32>()?, [1.0; 4]);
        }
    }
    for (op, result) in all(Mode::Eval) {
        assert_eq!(result?.dims(), [1, 1, 1, 4], "{op}");
    }
    // Two values are enough.
    kernels::batch_norm(&numbers((2, 1, 1, 4))?, &last.norm, After::Relu, Mode::Train)?;
    assert!(last.norm.running_var.to_vec1::<f32>()?.iter().all(|value| value.is_finite()));
    Ok(())
}

/// A scale that is one number for all channels gets the sum of the channels' gradients.
#[test]
fn parameters_may_be_views() -> Result<()> {
    let x = numbers((2, 3, 3, 4))?;
    let shared = Var::from_tensor(&ones(1)?)?;
    let of_channels = Var::from_tensor(&ones(4)?)?;
    let run = |scale: Tensor, variable: &Var| -> Result<Vec<f32>> {
        let norm = BatchNorm { weight: scale, ..norm(4)? };
        let part = ConvBatchNorm { norm: norm.clone(), ..layer(1)? };
        let layers = [PlainLayer { padding: 1, norm: Some(norm.clone()), ..PlainLayer::new(part.weight.clone()) }];
        let block = ResidualBlock { path: vec![part], shortcut: None };
        let mut sums = Vec::new();
        for y in [
            kernels::batch_norm(&x, &norm, After::Relu, Mode::Train)?,
            kernels::residual_blocks(&x, &[block], Mode::Train)?,
            kernels::plain_network(&x, &layers, Mode::Train)?,
        ] {
            let gradients = (&y * numbers(y.dims())?)?.sum_all()?.backward()?;
            let Some(gradient) = gradients.get(variable) else { panic!("no gradient") };
            sums.push(gradient.sum_all()?.to_scalar::<f32>()?);
        }
        Ok(sums)
    };
    let expected = run(of_channels.as_tensor().clone(), &of_channels)?;
    for (got, expected) in run(shared.broadcast_as(4)?, &shared)?.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-5, "{got}, not {expected}");
    }
    Ok(())
}

/// The row of a single id has one axis, along which a mask of one number is shared.
#[test]
fn a_mask_of_one_number_is_shared_along_the_row_of_a_single_id() -> Result<()> {
    let weight = Var::from_tensor(&numbers((5, 4))?)?;
    let id = Tensor::new(3u32, &Device::Cpu)?;
    for mask in [vec![2f32], vec![2.0, 0.0, 1.0, 3.0]] {
        let mask = Tensor::new(mask, &Device::Cpu)?;
        let row = kernels::masked_embedding(&weight, &id, &mask)?;
        let expected = weight.as_detached_tensor().get(3)?.broadcast_mul(&mask)?;
        assert_eq!(row.to_vec1::<f32>()?, expected.to_vec1::<f32>()?);
        let gradients = row.sum_all()?.backward()?;
        let Some(gradient) = gradients.get(&weight) else { panic!("no gradient") };
        let slope = ones(4)?.broadcast_mul(&mask)?;
        assert_eq!(gradient.get(3)?.to_vec1::<f32>()?, slope.to_vec1::<f32>()?);
        assert_eq!(gradient.sum_all()?.to_scalar::<f32>()?, slope.sum_all()?.to_scalar::<f32>()?);
        // Of a tensor with one axis, too.
        let masked = kernels::masked(&weight.as_detached_tensor().get(3)?, &mask)?;
        assert_eq!(masked.to_vec1::<f32>()?, expected.to_vec1::<f32>()?);
    }
    Ok(())
}

#[test]
fn errors_name_the_function_that_was_called() -> Result<()> {
    let (x, weight, mask) = (numbers((2, 4))?, numbers((5, 4))?, ones((1, 4))?);
    let ids = Tensor::new(&[1u32, 5], &Device::Cpu)?;
    for (op, rule, result) in [
        ("embedding", "ids must be below the number of rows", kernels::embedding(&weight, &ids)),
        ("masked_embedding", "ids must be below the number of rows", kernels::masked_embedding(&weight, &ids, &mask)),
        (
            "linear_cross_entropy",
            "targets must be below the number of classes",
            kernels::linear_cross_entropy(&x, &weight, None, &ids, 0.0),
        ),
        (
            "masked_linear_cross_entropy",
            "targets must be below the number of classes",
            kernels::masked_linear_cross_entropy(&x, &mask, &weight, None, &ids, 0.0),
        ),
    ] {
        assert_eq!(result.err().map(|error| error.to_string()), Some(format!("{op}: {rule}, got 5 of 5")));
    }
    Ok(())
}
