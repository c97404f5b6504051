//! The compositions against the kernels of the CPU, in f64: values and gradients.

use super::*;
use crate::{After, Conv2dOptions, ConvBatchNorm, PlainLayer, ResidualBlock};
use candle_core::{Device, Var};

/// Numbers between -1 and 1.
fn numbers(shape: impl Into<candle_core::Shape>, seed: u32) -> Var {
    let shape = shape.into();
    let values = crate::cpu::twins::numbers(shape.elem_count(), u64::from(seed));
    let values: Vec<f64> = values.into_iter().map(|value| f64::from(value) / 3.0).collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
}

/// Values and gradients of the two, in f64.
fn equal(name: &str, variables: &[&Var], composed: &Tensor, kernel: &Tensor) {
    let gap = |a: &Tensor, b: &Tensor| {
        let gaps = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        // Neither `f64::max` nor candle's keeps every NaN.
        gaps.into_iter().fold(0.0, |most, gap| if gap > most || gap.is_nan() { gap } else { most })
    };
    assert_eq!(composed.dims(), kernel.dims(), "{name}");
    assert!(gap(composed, kernel) < 1e-12, "{name}");
    let weights = numbers(kernel.shape().clone(), 99);
    let backward = |y: &Tensor| (y * weights.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    let (composed, kernel) = (backward(composed), backward(kernel));
    for (index, variable) in variables.iter().enumerate() {
        let (a, b) = (composed.get(variable).unwrap(), kernel.get(variable).unwrap());
        assert!(gap(a, b) < 1e-12, "{name}: gradient {index} is off by {}", gap(a, b));
    }
}

fn layer(inputs: usize, outputs: usize, kernel: usize, stride: usize, seed: u32) -> (Var, ConvBatchNorm) {
    let weight = numbers((outputs, inputs, kernel, kernel), seed);
    let var = Var::from_tensor(&(numbers(outputs, seed + 3).as_tensor() + 1.5).unwrap()).unwrap();
    let (scale, shift) = (numbers(outputs, seed + 1), numbers(outputs, seed + 2));
    let norm =
        BatchNorm::new(scale.as_tensor().clone(), shift.as_tensor().clone(), numbers(outputs, seed + 4), var).unwrap();
    let tensor = weight.as_tensor().clone();
    (weight, ConvBatchNorm { weight: tensor, stride, padding: kernel / 2, norm })
}

fn plan(x: (usize, usize, usize, usize), layer: &ConvBatchNorm) -> LayerPlan {
    let options = Conv2dOptions { stride: layer.stride, padding: layer.padding, ..Conv2dOptions::default() };
    let shape = crate::ops::extents::conv_shape("test", x, &layer.weight, options).unwrap();
    LayerPlan { shape, weight: layer.weight.clone(), norm: layer.norm.clone() }
}

#[test]
fn convolutions_of_several_images() {
    for (kernel, stride, padding, dilation, groups) in
        [(3, 1, 1, 1, 1), (3, 2, 1, 1, 2), (1, 2, 0, 1, 4), (2, 3, 0, 2, 1), (3, 1, 2, 2, 4)]
    {
        let (x, bias) = (numbers((3, 7, 6, 4), 1), numbers(8, 3));
        let weight = numbers((8, 4 / groups, kernel, kernel), 2);
        let options = Conv2dOptions { stride, padding, dilation, groups };
        let shape = crate::ops::extents::conv_extents("test", &x, &weight, options).unwrap();
        let composed = conv2d(shape, &x, &weight, Some(&bias)).unwrap();
        let kernels = crate::conv2d_with(&x, &weight, Some(&bias), options).unwrap();
        equal("conv2d", &[&x, &weight, &bias], &composed, &kernels);
    }
}

#[test]
fn batch_norm_and_what_follows_it() {
    let (x, residual) = (numbers((2, 5, 3, 4), 1), numbers((2, 5, 3, 4), 2));
    for mode in [Mode::Train, Mode::Eval] {
        for (with_residual, cut) in [(false, false), (false, true), (true, true)] {
            let ((_, one), (_, two)) = (layer(4, 4, 1, 1, 5), layer(4, 4, 1, 1, 5));
            let added = with_residual.then_some(residual.as_tensor());
            let output = (2, 5, 3, 4);
            let plan = NormPlan {
                op: "test",
                input: Input::Given,
                output,
                norm: one.norm.clone(),
                after: cut.then_some(Activation::Relu),
                mode,
            };
            let composed = batch_norm(&x, added, plan).unwrap();
            let after = match (with_residual, cut) {
                (true, _) => After::AddRelu(&residual),
                (_, true) => After::Relu,
                _ => After::Nothing,
            };
            let kernel = crate::batch_norm(&x, &two.norm, after, mode).unwrap();
            equal("batch_norm", &[&x], &composed, &kernel);
            equal("running mean", &[], &one.norm.running_mean, &two.norm.running_mean);
            equal("running variance", &[], &one.norm.running_var, &two.norm.running_var);
        }
    }
}

#[test]
fn blocks_with_a_shortcut() {
    let x = numbers((2, 6, 5, 3), 1);
    let parts = [layer(3, 4, 3, 2, 10), layer(4, 4, 3, 1, 20), layer(3, 4, 1, 2, 30)];
    let [first, second, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
    let plans = vec![BlockPlan {
        path: vec![plan((2, 6, 5, 3), &first), plan((2, 3, 3, 4), &second)],
        shortcut: Shortcut::Projection(plan((2, 6, 5, 3), &shortcut)),
    }];
    let composed = residual_blocks(&x, plans, (2, 3, 3, 4), Mode::Train).unwrap();
    let block = ResidualBlock { path: vec![first, second], shortcut: Some(shortcut) };
    let kernel = crate::residual_blocks(&x, &[block], Mode::Train).unwrap();
    equal("residual_blocks", &[&x, &parts[0].0, &parts[1].0, &parts[2].0], &composed, &kernel);
}

#[test]
fn layers_without_shortcuts() {
    let (x, first, bias) = (numbers((2, 9, 8, 3), 1), numbers((4, 3, 2, 2), 2), numbers(4, 3));
    let (second, of_second) = layer(4, 6, 3, 1, 10);
    let (third, _) = layer(6, 5, 3, 1, 20);
    let gelu = Some(Activation::Gelu);
    let layers = [
        PlainLayer {
            bias: Some(bias.as_tensor().clone()),
            activation: gelu,
            ..PlainLayer::new(first.as_tensor().clone())
        },
        PlainLayer {
            padding: 1,
            pool: 2,
            norm: Some(of_second.norm),
            activation: gelu,
            ..PlainLayer::new(second.as_tensor().clone())
        },
        PlainLayer { padding: 1, pool: 2, ..PlainLayer::new(third.as_tensor().clone()) },
    ];
    let plans = crate::ops::plans_of_plain_network(&x, &layers, Mode::Eval).unwrap();
    let composed = plain_network(&x, plans, Mode::Eval).unwrap();
    let kernel = crate::plain_network(&x, &layers, Mode::Eval).unwrap();
    equal("plain_network", &[&x, &first, &bias, &second, &third], &composed, &kernel);
}

#[test]
fn pools_with_padding_and_other_strides() {
    let x = numbers((2, 7, 6, 3), 1);
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1)] {
        let shape = crate::ops::extents::pool_extents("test", &x, kernel, stride, padding).unwrap();
        let kernels = crate::max_pool2d(&x, kernel, stride, padding).unwrap();
        equal("max_pool", &[&x], &max_pool(shape, &x).unwrap(), &kernels);
        let kernels = crate::avg_pool2d(&x, kernel, stride, padding).unwrap();
        equal("avg_pool", &[&x], &avg_pool("avg_pool2d", shape, &x).unwrap(), &kernels);
    }
    let window = Window::dense((7, 6), 1, 0);
    let shape = PoolShape { batch: 2, input: (7, 6), output: (1, 1), channels: 3, window };
    let composed = avg_pool("avg_pool2d", shape, &x).unwrap().reshape((2, 3)).unwrap();
    equal("global_avg_pool", &[&x], &composed, &crate::global_avg_pool(&x).unwrap());
}

/// NaN wins over everything, wherever in the window it is, the last one over others, and the first of equals gets the gradient.
#[test]
fn pools_of_nan_and_of_equals_choose_as_the_kernels_do() {
    let nan = f64::NAN;
    let windows = [
        [1.0, nan, 0.0, 0.0],
        [nan, 1.0, 0.0, 2.0],
        [0.0, f64::INFINITY, nan, nan],
        [f64::NEG_INFINITY; 4],
        [3.0, 1.0, 3.0, 3.0],
    ];
    for window in windows {
        let x = Var::from_tensor(&Tensor::from_slice(&window, (1, 2, 2, 1), &Device::Cpu).unwrap()).unwrap();
        let shape = crate::ops::extents::pool_extents("test", &x, 2, 2, 0).unwrap();
        let results = [max_pool(shape, &x).unwrap(), crate::max_pool2d(&x, 2, 2, 0).unwrap()].map(|y| {
            let gradients = y.sum_all().unwrap().backward().unwrap();
            let all = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            (all(&y)[0], all(gradients.get(&x).unwrap()))
        });
        let [(composed, of_composed), (kernel, of_kernel)] = results;
        assert!(composed == kernel || composed.is_nan() && kernel.is_nan(), "{window:?}: {composed}, not {kernel}");
        assert_eq!(of_composed, of_kernel, "{window:?}");
    }
}

#[test]
fn the_rectifier_is_flat_at_zero() {
    let x = Var::new(&[-1f64, 0.0, 2.0, f64::INFINITY, f64::NEG_INFINITY], &Device::Cpu).unwrap();
    let y = relu(&x).unwrap();
    assert_eq!(y.to_vec1::<f64>().unwrap(), [0.0, 0.0, 2.0, f64::INFINITY, 0.0]);
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>().unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn activations_are_those_of_the_kernels() {
    let x = Var::from_tensor(&(numbers((7, 9), 1).as_tensor() * 5.0).unwrap()).unwrap();
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        let kernel = crate::activate(&x, activation).unwrap();
        equal("activate", &[&x], &activate(&x, activation).unwrap(), &kernel);
    }
}

/// Far out, values of the logistic function keep their relative precision, and slopes are 0 and 1, also at infinity.
#[test]
fn activations_far_from_zero_are_those_of_the_kernels() {
    let infinity = f64::INFINITY;
    let x =
        [-infinity, -1e300, -1e4, -700.0, -40.0, -13.0, -6.0, -0.0, 6.0, 13.0, 40.0, 700.0, 1e4, infinity, f64::NAN];
    let x = Var::new(&x, &Device::Cpu).unwrap();
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        let results = [activate(&x, activation).unwrap(), crate::activate(&x, activation).unwrap()].map(|y| {
            let gradients = y.sum_all().unwrap().backward().unwrap();
            [&y, gradients.get(&x).unwrap()].map(|tensor| tensor.to_vec1::<f64>().unwrap())
        });
        let [[composed, of_composed], [kernel, of_kernel]] = results;
        let same = |got: f64, expected: f64, bound: f64| {
            got == expected || got.is_nan() && expected.is_nan() || (got - expected).abs() <= bound
        };
        for (got, expected) in composed.into_iter().zip(kernel) {
            let bound = if activation == Activation::Gelu { 1e-13 } else { 1e-12 * expected.abs() };
            assert!(same(got, expected, bound), "{activation:?}: {got} instead of {expected}");
        }
        for (got, expected) in of_composed.into_iter().zip(of_kernel) {
            assert!(same(got, expected, 1e-13), "{activation:?}: a slope of {got} instead of {expected}");
        }
    }
}

#[test]
fn norms_over_rows() {
    let (x, weight, bias) = (numbers((3, 4, 5), 1), numbers((4, 5), 2), numbers((4, 5), 3));
    let norm = crate::LayerNorm {
        weight: Some(weight.as_tensor().clone()),
        bias: Some(bias.as_tensor().clone()),
        axes: 2,
        ..Default::default()
    };
    let composed = row_norm(&x, RowNormPlan::of_layer("test", &x, &norm).unwrap()).unwrap();
    equal("layer_norm", &[&x, &weight, &bias], &composed, &crate::layer_norm(&x, &norm).unwrap());
    let norm = crate::RmsNorm::default();
    let composed = row_norm(&x, RowNormPlan::of_rms("test", &x, &norm).unwrap()).unwrap();
    equal("rms_norm", &[&x], &composed, &crate::rms_norm(&x, &norm).unwrap());
}

#[test]
fn losses_with_and_without_smoothing() {
    let (logits, targets) = (numbers((4, 5), 1), numbers((4, 5), 2).abs().unwrap());
    let classes = Tensor::new(&[3u32, 0, 4, 1], &Device::Cpu).unwrap();
    for smoothing in [0.0, 0.2] {
        let composed = cross_entropy(&logits, &targets, smoothing).unwrap();
        equal("soft", &[&logits], &composed, &crate::cross_entropy(&logits, &targets, smoothing).unwrap());
        let composed = cross_entropy_indices(&logits, &classes, smoothing).unwrap();
        let kernel = crate::cross_entropy_indices(&logits, &classes, smoothing).unwrap();
        equal("indices", &[&logits], &composed, &kernel);
    }
}

#[test]
fn a_class_without_weight_costs_nothing_at_minus_infinity() {
    let logits = Var::new(&[[0.0, f64::NEG_INFINITY], [1.0, 2.0]], &Device::Cpu).unwrap();
    let classes = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
    let composed = cross_entropy_indices(&logits, &classes, 0.0).unwrap();
    equal("indices", &[&logits], &composed, &crate::cross_entropy_indices(&logits, &classes, 0.0).unwrap());
    let weights = Tensor::new(&[[1.0, 0.0], [0.25, 0.75]], &Device::Cpu).unwrap();
    let composed = cross_entropy(&logits, &weights, 0.0).unwrap();
    equal("weights", &[&logits], &composed, &crate::cross_entropy(&logits, &weights, 0.0).unwrap());
}

/// As on CUDA: nobody waits for the device to tell, so the loss does.
#[test]
fn a_class_number_that_is_none_gives_nan_to_the_loss_and_its_row() {
    let logits = Var::new(&[[1.0, 2.0], [3.0, 3.0], [1.0, 1.0f64]], &Device::Cpu).unwrap();
    for smoothing in [0.0, 0.1] {
        let classes = Tensor::new(&[2u32, 0, u32::MAX], &Device::Cpu).unwrap();
        let loss = cross_entropy_indices(&logits, &classes, smoothing).unwrap();
        assert!(loss.to_scalar::<f64>().unwrap().is_nan());
        let gradient = loss.backward().unwrap().get(&logits).unwrap().to_vec2::<f64>().unwrap();
        let is_nan = gradient.iter().map(|row| row.iter().all(|value| value.is_nan())).collect::<Vec<_>>();
        assert_eq!(is_nan, [true, false, true], "{gradient:?}");
        assert!(gradient[1].iter().all(|value| value.is_finite()), "{gradient:?}");
    }
}

#[test]
fn layers_of_language_models() {
    let x = numbers((3, 2, 4), 1);
    let weights = [numbers((12, 4), 2), numbers((12, 3), 3)];
    let (biases, start) = ([numbers(12, 4), numbers(12, 5)], [numbers((2, 3), 6), numbers((2, 3), 7)]);
    let tensor = |var: &Var| var.as_tensor().clone();
    let layer = crate::Lstm {
        weight_ih: tensor(&weights[0]),
        weight_hh: tensor(&weights[1]),
        biases: Some((tensor(&biases[0]), tensor(&biases[1]))),
    };
    let state = crate::LstmState { hidden: tensor(&start[0]), cell: tensor(&start[1]) };
    let plan = crate::plan::LstmPlan::checked(&x, &layer, &state).unwrap();
    let (composed, kernel) = (lstm(&x, plan).unwrap(), crate::lstm(&x, &layer, &state).unwrap());
    let all: Vec<&Var> = std::iter::once(&x).chain(&weights).chain(&biases).chain(&start).collect();
    equal("lstm", &all, &composed.0, &kernel.0);
    equal("lstm's output", &all, &composed.1.hidden, &kernel.1.hidden);
    equal("lstm's cell", &all, &composed.1.cell, &kernel.1.cell);

    let ids = Tensor::new(&[3u32, 0, 3], &Device::Cpu).unwrap();
    let rows = crate::embedding(&weights[0], &ids).unwrap();
    equal("embedding", &[&weights[0]], &embedding("embedding", &weights[0], &ids, None).unwrap(), &rows);
    for mask in [numbers((3, 4), 10), numbers((1, 4), 11)] {
        let rows = crate::masked_embedding(&weights[0], &ids, &mask).unwrap();
        let composed = embedding("embedding", &weights[0], &ids, Some(&mask.as_detached_tensor())).unwrap();
        equal("masked_embedding", &[&weights[0]], &composed, &rows);
    }
    let (input, bias) = (numbers((5, 4), 8), Some(biases[0].as_tensor()));
    let kernel = crate::linear(&input, &weights[0], bias).unwrap();
    equal("linear", &[&input, &weights[0], &biases[0]], &linear(&input, &weights[0], bias).unwrap(), &kernel);
    let mask = numbers((1, 4), 9).as_detached_tensor();
    equal("masked", &[&input], &masked(&input, &mask).unwrap(), &crate::masked(&input, &mask).unwrap());
}
