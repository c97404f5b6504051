//! Forward results and gradients against PyTorch, in f32.
//!
//! `fixtures/generate.py` wrote `fixtures/torch.json` and says how the inputs are made, `generate_conv2d.py` wrote
//! `conv2d.json`; the files name the version.
//! Errors are relative to the tensor's root mean square: 1e-5, as two orders of summation differ by, and 1e-4 for Winograd
//! convolutions, whose 4x4 tiles multiply rounding by their constants.

use candle_core::{Device, Error, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, After, BatchNorm, Conv2dOptions, LayerNorm, Mode, RmsNorm};
use serde_json::Value;

/// See `generate.py`.
fn values(seed: u64, shape: &[usize], scale: f64, offset: f64) -> Result<Var> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|index| {
            let wave = (index as f64 * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453;
            let value = (wave - wave.floor() - 0.5) as f32;
            value * scale as f32 + offset as f32
        })
        .collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn cases(name: &str) -> Result<Vec<Value>> {
    cases_of(include_str!("fixtures/torch.json"), name)
}

fn cases_of(file: &str, name: &str) -> Result<Vec<Value>> {
    let file: Value = serde_json::from_str(file).map_err(Error::wrap)?;
    let all = file["cases"].as_array().cloned().unwrap_or_default();
    let cases: Vec<Value> = all.into_iter().filter(|case| case["name"] == name).collect();
    assert!(!cases.is_empty(), "no fixture for {name}");
    Ok(cases)
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|size| size as usize).collect()
}

/// Compares a tensor with the numbers of a fixture.
fn assert_close(what: &str, got: &Tensor, expected: &Value, tolerance: f64) -> Result<()> {
    let step = expected["step"].as_u64().unwrap_or(1) as usize;
    let expected: Vec<f64> = expected["values"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let got: Vec<f32> = got.flatten_all()?.to_vec1::<f32>()?.into_iter().step_by(step).collect();
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    let rms = (expected.iter().map(|v| v * v).sum::<f64>() / expected.len() as f64).sqrt();
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let error = (f64::from(*got) - expected).abs() / rms.max(1e-3);
        assert!(error < tolerance, "{what}[{}]: {got}, PyTorch {expected}, error {error:.1e}", index * step);
    }
    Ok(())
}

/// Compares a result and the gradients of the weighed sum of it.
fn assert_case(case: &Value, y: &Tensor, inputs: &[(&str, &Var)], tolerance: f64) -> Result<()> {
    let title = format!("{} {}", case["name"], case["shape"]);
    assert_close(&format!("{title} y"), y, &case["y"], tolerance)?;
    let weigh = values(99, y.dims(), 1.0, 0.0)?;
    let gradients = (y * weigh.as_detached_tensor())?.sum_all()?.backward()?;
    for (name, variable) in inputs {
        let gradient = gradients.get(variable).ok_or_else(|| Error::msg(format!("{title}: no gradient of {name}")))?;
        assert_close(&format!("{title} gradient of {name}"), gradient, &case["gradients"][name], tolerance)?;
    }
    Ok(())
}

/// A convolution without dilation and groups may go through Winograd's tiles, whose constants multiply rounding.
fn tolerance(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> f64 {
    if kernel == 3 && stride == 1 && inputs >= 12 && outputs >= 12 { 1e-4 } else { 1e-5 }
}

#[test]
fn conv2d() -> Result<()> {
    for case in cases("conv2d")? {
        let [n, h, w, i, o, k, stride, padding] = sizes(&case["shape"])[..] else { panic!("shape") };
        let (x, weight) = (values(1, &[n, h, w, i], 1.0, 0.0)?, values(2, &[o, i, k, k], 0.5, 0.0)?);
        let y = kernels::conv2d(&x, &weight, stride, padding)?;
        assert_case(&case, &y, &[("x", &x), ("weight", &weight)], tolerance(i, o, k, stride))?;
    }
    Ok(())
}

#[test]
fn conv2d_with_bias_dilation_and_groups() -> Result<()> {
    for case in cases_of(include_str!("fixtures/conv2d.json"), "conv2d_with")? {
        let [n, h, w, i, o, k, stride, padding, dilation, groups] = sizes(&case["shape"])[..] else { panic!("shape") };
        let (x, bias) = (values(1, &[n, h, w, i], 1.0, 0.0)?, values(3, &[o], 1.0, 0.0)?);
        let weight = values(2, &[o, i / groups, k, k], 0.5, 0.0)?;
        let plain = dilation == 1 && groups == 1;
        let tolerance = if plain { tolerance(i, o, k, stride) } else { 1e-5 };
        let y = kernels::conv2d_with(&x, &weight, Some(&bias), Conv2dOptions { stride, padding, dilation, groups })?;
        assert_case(&case, &y, &[("x", &x), ("weight", &weight), ("bias", &bias)], tolerance)?;
    }
    Ok(())
}

#[test]
fn batch_norm() -> Result<()> {
    for case in cases("batch_norm")? {
        let shape = sizes(&case["shape"]);
        let c = shape[3];
        let (x, residual) = (values(1, &shape, 1.0, 0.0)?, values(3, &shape, 1.0, 0.0)?);
        let (weight, bias) = (values(5, &[c], 1.0, 1.0)?, values(6, &[c], 1.0, 0.0)?);
        let (mean, var) = (values(7, &[c], 1.0, 0.0)?, values(8, &[c], 1.0, 1.0)?);
        let (scale, shift) = (weight.as_tensor().clone(), bias.as_tensor().clone());
        let norm = BatchNorm::new(scale, shift, mean.clone(), var.clone())?;
        let mut inputs = vec![("x", &x), ("weight", &weight), ("bias", &bias)];
        let after = match case["after"].as_str() {
            Some("nothing") => After::Nothing,
            Some("relu") => After::Relu,
            _ => {
                inputs.push(("residual", &residual));
                After::AddRelu(&residual)
            }
        };
        let mode = if case["mode"] == "train" { Mode::Train } else { Mode::Eval };
        let y = kernels::batch_norm(&x, &norm, after, mode)?;
        assert_case(&case, &y, &inputs, 1e-5)?;
        assert_close("running mean", &mean, &case["running_mean"], 1e-5)?;
        assert_close("running variance", &var, &case["running_var"], 1e-5)?;
    }
    Ok(())
}

#[test]
fn pools() -> Result<()> {
    for name in ["max_pool2d", "avg_pool2d"] {
        for case in cases(name)? {
            let [kernel, stride, padding] = sizes(&case["window"])[..] else { panic!("window") };
            let x = values(1, &sizes(&case["shape"]), 1.0, 0.0)?;
            let y = match name {
                "max_pool2d" => kernels::max_pool2d(&x, kernel, stride, padding)?,
                _ => kernels::avg_pool2d(&x, kernel, stride, padding)?,
            };
            assert_case(&case, &y, &[("x", &x)], 1e-5)?;
        }
    }
    for case in cases("global_avg_pool")? {
        let x = values(1, &sizes(&case["shape"]), 1.0, 0.0)?;
        assert_case(&case, &kernels::global_avg_pool(&x)?, &[("x", &x)], 1e-5)?;
    }
    Ok(())
}

#[test]
fn activations() -> Result<()> {
    for (name, activation) in
        [("gelu", Activation::Gelu), ("gelu_tanh", Activation::GeluTanh), ("silu", Activation::Silu)]
    {
        for case in cases(name)? {
            let x = values(1, &sizes(&case["shape"]), 12.0, 0.0)?;
            assert_case(&case, &kernels::activate(&x, activation)?, &[("x", &x)], 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn norms_over_rows() -> Result<()> {
    for name in ["layer_norm", "rms_norm"] {
        for case in cases(name)? {
            let shape = sizes(&case["shape"]);
            let axes = case["axes"].as_u64().unwrap_or(1) as usize;
            let row = &shape[shape.len() - axes..];
            let offset = case["offset"].as_f64().unwrap_or(f64::NAN);
            let x = values(1, &shape, 4.0, offset)?;
            let (weight, bias) = (values(2, row, 1.0, 1.0)?, values(3, row, 1.0, 0.0)?);
            let with = |name: &str, var: &Var| case["gradients"].get(name).map(|_| var.as_tensor().clone());
            let (given_weight, given_bias) = (with("weight", &weight), with("bias", &bias));
            let mut inputs = vec![("x", &x)];
            inputs.extend(given_weight.is_some().then_some(("weight", &weight)));
            inputs.extend(given_bias.is_some().then_some(("bias", &bias)));
            let y = match name {
                "layer_norm" => {
                    let norm = LayerNorm { weight: given_weight, bias: given_bias, axes, ..LayerNorm::default() };
                    kernels::layer_norm(&x, &norm)?
                }
                _ => kernels::rms_norm(&x, &RmsNorm { weight: given_weight, axes, ..RmsNorm::default() })?,
            };
            assert_case(&case, &y, &inputs, 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn cross_entropy() -> Result<()> {
    let targets = values(2, &[7, 10], 1.0, 0.0)?.abs()?;
    let targets = targets.broadcast_div(&targets.sum_keepdim(1)?)?;
    let indices = Tensor::from_iter((0..7u32).map(|row| row * 3 % 10), &Device::Cpu)?;
    for name in ["cross_entropy", "cross_entropy_indices"] {
        for case in cases(name)? {
            let smoothing = case["smoothing"].as_f64().unwrap_or(f64::NAN);
            let logits = values(1, &[7, 10], 8.0, 0.0)?;
            let loss = match name {
                "cross_entropy" => kernels::cross_entropy(&logits, &targets, smoothing)?,
                _ => kernels::cross_entropy_indices(&logits, &indices, smoothing)?,
            };
            assert_case(&case, &loss, &[("logits", &logits)], 1e-5)?;
        }
    }
    Ok(())
}
