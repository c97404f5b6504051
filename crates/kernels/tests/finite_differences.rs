//! Every gradient against central differences in f64: odd sizes, several images, strides, padding, several channels.

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{
    Activation, After, BatchNorm, Conv2dOptions, ConvBatchNorm, LayerNorm, Mode, ResidualBlock, RmsNorm,
};

/// Numbers without pattern or repetition, so that no two elements tie and none sits on a kink.
fn numbers(shape: impl Into<candle_core::Shape>, seed: u64) -> Result<Var> {
    let shape = shape.into();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f64> = (0..shape.elem_count())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// A scalar that weighs every output differently.
fn weighed(y: &Tensor) -> Result<Tensor> {
    let weights = numbers(y.shape().clone(), 99)?;
    (y * weights.as_detached_tensor())?.sum_all()
}

/// Asserts that the gradient of `f` in every variable is its slope.
fn assert_slopes(variables: &[(&str, &Var)], f: impl Fn() -> Result<Tensor>) -> Result<()> {
    let gradients = weighed(&f()?)?.backward()?;
    let step = 1e-5;
    for (name, variable) in variables {
        let gradient =
            gradients.get(variable).ok_or_else(|| candle_core::Error::msg(format!("{name}: no gradient")))?;
        assert_eq!(gradient.dims(), variable.dims(), "{name}");
        let gradient = gradient.flatten_all()?.to_vec1::<f64>()?;
        let original = variable.as_detached_tensor().copy()?;
        let values = original.flatten_all()?.to_vec1::<f64>()?;
        for at in 0..values.len() {
            let at_offset = |offset: f64| -> Result<f64> {
                let mut moved = values.clone();
                moved[at] += offset;
                variable.set(&Tensor::from_vec(moved, original.shape(), &Device::Cpu)?)?;
                weighed(&f()?)?.to_scalar::<f64>()
            };
            let slope = (at_offset(step)? - at_offset(-step)?) / (2.0 * step);
            let error = (slope - gradient[at]).abs();
            assert!(error < 1e-6 * (1.0 + slope.abs()), "{name}[{at}]: slope {slope}, gradient {}", gradient[at]);
        }
        variable.set(&original)?;
    }
    Ok(())
}

fn norm(channels: usize) -> Result<(Var, Var, BatchNorm)> {
    let weight = Var::from_tensor(&(numbers(channels, 5)?.as_tensor() + 1.5)?)?;
    let bias = numbers(channels, 6)?;
    let running_var = Var::from_tensor(&(numbers(channels, 8)?.as_tensor() + 1.5)?)?;
    let norm =
        BatchNorm::new(weight.as_tensor().clone(), bias.as_tensor().clone(), numbers(channels, 7)?, running_var)?;
    Ok((weight, bias, norm))
}

#[test]
fn conv2d() -> Result<()> {
    // (batch, height, width, in, out, kernel height, kernel width, stride, padding)
    for (n, h, w, i, o, kh, kw, stride, padding) in [
        (2, 5, 4, 3, 2, 3, 3, 1, 1),
        (2, 5, 7, 2, 3, 3, 3, 2, 1),
        (1, 6, 5, 2, 2, 2, 3, 3, 0),
        (3, 4, 3, 2, 3, 1, 1, 2, 0),
        (2, 3, 3, 1, 1, 5, 5, 1, 2),
    ] {
        let x = numbers((n, h, w, i), 1)?;
        let weight = numbers((o, i, kh, kw), 2)?;
        assert_slopes(&[("x", &x), ("weight", &weight)], || Ok(kernels::conv2d(&x, &weight, stride, padding)?))?;
    }
    Ok(())
}

/// What may follow a batch norm without a residual.
const AFTER: [After<'static>; 5] = [
    After::Nothing,
    After::Relu,
    After::Activation(Activation::Gelu),
    After::Activation(Activation::GeluTanh),
    After::Activation(Activation::Silu),
];

#[test]
fn conv2d_with_bias_dilation_and_groups() -> Result<()> {
    // (batch, height, width, in, out, kernel, stride, padding, dilation, groups)
    for (n, h, w, i, o, k, stride, padding, dilation, groups) in [
        (2, 5, 4, 4, 6, 3, 1, 1, 1, 2),
        (1, 7, 6, 2, 2, 3, 1, 2, 2, 1),
        (2, 6, 5, 3, 3, 3, 2, 1, 1, 3),
        (1, 5, 5, 3, 6, 3, 1, 1, 1, 3),
        (1, 7, 8, 2, 2, 3, 2, 3, 3, 2),
    ] {
        let (x, weight, bias) = (numbers((n, h, w, i), 1)?, numbers((o, i / groups, k, k), 2)?, numbers(o, 3)?);
        let options = Conv2dOptions { stride, padding, dilation, groups };
        let run = || Ok(kernels::conv2d_with(&x, &weight, Some(&bias), options)?);
        assert_slopes(&[("x", &x), ("weight", &weight), ("bias", &bias)], run)?;
        let (scale, shift, norm) = norm(o)?;
        let variables = [("x", &x), ("weight", &weight), ("scale", &scale), ("shift", &shift)];
        assert_slopes(&variables, || {
            Ok(kernels::conv2d_batch_norm_with(&x, &weight, options, &norm, After::Relu, Mode::Train)?)
        })?;
    }
    Ok(())
}

#[test]
fn batch_norm_in_all_its_forms() -> Result<()> {
    let (x, residual) = (numbers((3, 2, 5, 3), 1)?, numbers((3, 2, 5, 3), 3)?);
    for mode in [Mode::Train, Mode::Eval, Mode::BatchOnly] {
        let (weight, bias, norm) = norm(3)?;
        let mut variables = vec![("x", &x), ("weight", &weight), ("bias", &bias)];
        for after in AFTER {
            assert_slopes(&variables, || Ok(kernels::batch_norm(&x, &norm, after, mode)?))?;
        }
        variables.push(("residual", &residual));
        assert_slopes(&variables, || Ok(kernels::batch_norm(&x, &norm, After::AddRelu(&residual), mode)?))?;
    }
    Ok(())
}

#[test]
fn conv2d_batch_norm_in_all_its_forms() -> Result<()> {
    let (x, filters) = (numbers((2, 5, 4, 2), 1)?, numbers((3, 2, 3, 3), 2)?);
    let residual = numbers((2, 3, 2, 3), 3)?;
    for mode in [Mode::Train, Mode::Eval] {
        let (weight, bias, norm) = norm(3)?;
        let mut variables = vec![("x", &x), ("filters", &filters), ("weight", &weight), ("bias", &bias)];
        let run = |after| Ok(kernels::conv2d_batch_norm(&x, &filters, 2, 1, &norm, after, mode)?);
        for after in AFTER {
            assert_slopes(&variables, || run(after))?;
        }
        variables.push(("residual", &residual));
        assert_slopes(&variables, || run(After::AddRelu(&residual)))?;
    }
    Ok(())
}

#[test]
fn pools() -> Result<()> {
    let x = numbers((2, 5, 7, 3), 1)?;
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1), (5, 1, 0)] {
        assert_slopes(&[("x", &x)], || Ok(kernels::max_pool2d(&x, kernel, stride, padding)?))?;
        assert_slopes(&[("x", &x)], || Ok(kernels::avg_pool2d(&x, kernel, stride, padding)?))?;
    }
    assert_slopes(&[("x", &x)], || Ok(kernels::global_avg_pool(&x)?))
}

#[test]
fn relu_and_layouts() -> Result<()> {
    let x = numbers((2, 3, 4, 5), 1)?;
    assert_slopes(&[("x", &x)], || Ok(kernels::relu(&x)?))?;
    assert_slopes(&[("x", &x)], || Ok(kernels::to_channels_last(&x)?))?;
    assert_slopes(&[("x", &x)], || Ok(kernels::to_channels_first(&x)?))
}

#[test]
fn activations() -> Result<()> {
    let x = Var::from_tensor(&(numbers((5, 7), 1)?.as_tensor() * 4.0)?)?;
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        assert_slopes(&[("x", &x)], || Ok(kernels::activate(&x.t()?, activation)?))?;
    }
    Ok(())
}

#[test]
fn norms_over_rows() -> Result<()> {
    for axes in [1, 2] {
        let x = numbers((3, 4, 5), 1)?;
        let shape = &x.dims()[3 - axes..];
        let (weight, bias) = (numbers(shape, 2)?, numbers(shape, 3)?);
        for (with_weight, with_bias) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut variables = vec![("x", &x)];
            variables.extend(with_weight.then_some(("weight", &weight)));
            variables.extend(with_bias.then_some(("bias", &bias)));
            let norm = LayerNorm {
                weight: with_weight.then(|| weight.as_tensor().clone()),
                bias: with_bias.then(|| bias.as_tensor().clone()),
                axes,
                ..LayerNorm::default()
            };
            assert_slopes(&variables, || Ok(kernels::layer_norm(&x, &norm)?))?;
            if !with_bias {
                let norm = RmsNorm { weight: norm.weight.clone(), axes, ..RmsNorm::default() };
                assert_slopes(&variables, || Ok(kernels::rms_norm(&x, &norm)?))?;
            }
        }
    }
    Ok(())
}

#[test]
fn cross_entropy() -> Result<()> {
    let logits = numbers((4, 5), 1)?;
    let targets = numbers((4, 5), 2)?.abs()?;
    let classes = Tensor::new(&[0u32, 4, 2, 2], &Device::Cpu)?;
    for smoothing in [0.0, 0.1, 1.0] {
        assert_slopes(&[("logits", &logits)], || Ok(kernels::cross_entropy(&logits, &targets, smoothing)?))?;
        assert_slopes(&[("logits", &logits)], || Ok(kernels::cross_entropy_indices(&logits, &classes, smoothing)?))?;
    }
    Ok(())
}

#[test]
fn one_input_used_twice_and_inputs_that_are_views() -> Result<()> {
    let (x, filters) = (numbers((2, 4, 5, 4), 1)?, numbers((4, 4, 3, 3), 2)?);
    let (weight, _, norm) = norm(4)?;
    assert_slopes(&[("x", &x), ("filters", &filters), ("weight", &weight)], || {
        let view = x.transpose(1, 2)?;
        let y = kernels::conv2d_batch_norm(
            &view,
            &filters.transpose(0, 1)?,
            1,
            1,
            &norm,
            After::AddRelu(&view),
            Mode::Train,
        )?;
        Ok(kernels::max_pool2d(&y.narrow(3, 1, 2)?, 2, 2, 0)?)
    })
}

#[test]
fn constants_get_no_gradient() -> Result<()> {
    let x = Tensor::ones((1, 4, 4, 2), DType::F64, &Device::Cpu)?;
    let weight = numbers((2, 2, 3, 3), 2)?;
    let gradients = kernels::conv2d(&x, &weight, 1, 1)?.sum_all()?.backward()?;
    assert!(gradients.get(&x).is_none());
    assert!(gradients.get(&weight).is_some());
    Ok(())
}

#[test]
fn residual_blocks_of_both_kinds() -> Result<()> {
    let x = numbers((2, 5, 4, 2), 1)?;
    let mut variables = vec![("x".to_owned(), x.clone())];
    let mut layer = |seed: u64, from: usize, to: usize, kernel: usize, stride: usize| -> Result<ConvBatchNorm> {
        let weight = numbers((to, from, kernel, kernel), seed)?;
        let (scale, shift, norm) = norm(to)?;
        for (name, variable) in [("weight", weight.clone()), ("scale", scale), ("shift", shift)] {
            variables.push((format!("{name} of layer {seed}"), variable));
        }
        Ok(ConvBatchNorm { weight: weight.as_tensor().clone(), stride, padding: kernel / 2, norm })
    };
    let blocks = [
        ResidualBlock { path: vec![layer(11, 2, 2, 3, 1)?, layer(12, 2, 2, 3, 1)?], shortcut: None },
        ResidualBlock {
            path: vec![layer(13, 2, 1, 1, 1)?, layer(14, 1, 1, 3, 2)?, layer(15, 1, 3, 1, 1)?],
            shortcut: Some(layer(16, 2, 3, 1, 2)?),
        },
        ResidualBlock { path: vec![layer(17, 3, 3, 3, 1)?], shortcut: None },
    ];
    let variables: Vec<(&str, &Var)> = variables.iter().map(|(name, variable)| (name.as_str(), variable)).collect();
    for mode in [Mode::Train, Mode::Eval] {
        assert_slopes(&variables, || Ok(kernels::residual_blocks(&x, &blocks, mode)?))?;
    }
    Ok(())
}
