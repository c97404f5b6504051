//! What becomes of NaN and infinities in activations and gradients, against PyTorch, on every instruction set and in every
//! element type: a gradient passes a rectifier whose output is NaN, and is gone where the rectifier cut, whatever it was.
//!
//! `fixtures/nan.py` wrote `fixtures/nan.json`. A NaN may reach further than in PyTorch where a constant zero is multiplied
//! with it: the padding of fast convolutions, Winograd's tiles, and the constant terms of evaluation's input gradient. It never
//! reaches less far, which is what is asked there.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Error, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{After, BatchNorm, ConvAlgorithm, InstructionSet, Mode};
use serde_json::Value;

/// The instruction set is the process's: one test at a time chooses.
static CHOOSING: Mutex<()> = Mutex::new(());

/// Runs `check` on every instruction set of this processor for f32 and bf16, and for f64, which has one.
fn everywhere(check: impl Fn(DType) -> Result<()>) -> Result<()> {
    let _alone = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
    let best = kernels::instruction_set()?;
    let sets = [
        InstructionSet::Reference,
        InstructionSet::Portable,
        InstructionSet::Avx2,
        InstructionSet::Avx512,
        InstructionSet::Neon,
    ];
    for set in sets.into_iter().filter(|set| set.is_available()) {
        kernels::set_instruction_set(set)?;
        for dtype in [DType::F32, DType::BF16] {
            check(dtype).map_err(|error| error.context(format!("{set} {dtype:?}")))?;
        }
    }
    kernels::set_instruction_set(best)?;
    check(DType::F64)
}

fn cases(name: &str) -> Result<Vec<Value>> {
    let file: Value = serde_json::from_str(include_str!("fixtures/nan.json")).map_err(Error::wrap)?;
    let all = file["cases"].as_array().cloned().unwrap_or_default();
    let cases: Vec<Value> = all.into_iter().filter(|case| case["name"] == name).collect();
    assert!(!cases.is_empty(), "no fixture for {name}");
    Ok(cases)
}

fn numbers(value: &Value) -> Vec<f64> {
    let number = |value: &Value| match value.as_str() {
        Some(word) => word.parse().unwrap_or_else(|_| panic!("{word} is no number")),
        None => value.as_f64().unwrap_or_else(|| panic!("{value} is no number")),
    };
    value.as_array().into_iter().flatten().map(number).collect()
}

fn input(case: &Value, name: &str, dtype: DType) -> Result<Var> {
    let shape: Vec<usize> = case["inputs"][name]["shape"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .map(|extent| extent as usize)
        .collect();
    let values = Tensor::from_vec(numbers(&case["inputs"][name]["values"]), shape, &Device::Cpu)?;
    Var::from_tensor(&values.to_dtype(dtype)?)
}

/// Whether two numbers are the same NaN or infinity, or near: within `tolerance` of the larger one, or of 1.
fn same(got: f64, expected: f64, tolerance: f64) -> bool {
    if got.is_finite() && expected.is_finite() {
        return (got - expected).abs() <= tolerance * expected.abs().max(1.0);
    }
    got == expected || (got.is_nan() && expected.is_nan())
}

/// Compares all elements, and tells which differ; a NaN may stand for a finite number if `spreads`.
fn assert_same(what: &str, got: &Tensor, expected: &[f64], spreads: bool) -> Result<()> {
    let tolerance = if got.dtype() == DType::BF16 { 4e-2 } else { 1e-4 };
    let got = got.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    assert_eq!(got.len(), expected.len(), "{what}");
    let differ: Vec<String> = (0..got.len())
        .filter(|&at| !(same(got[at], expected[at], tolerance) || spreads && got[at].is_nan()))
        .map(|at| format!("[{at}] {} instead of {}", got[at], expected[at]))
        .collect();
    if differ.is_empty() { Ok(()) } else { Err(Error::msg(format!("{what}: {}", differ.join(", ")))) }
}

/// Compares a result and the gradients of `inputs`, into which of those named in `spreads` a NaN may spread.
fn assert_case(case: &Value, y: &Tensor, inputs: &[(&str, &Var)], spreads: &[&str]) -> Result<()> {
    let title = format!("{} {} {}", case["name"], case["mode"], case["after"]);
    assert_same(&format!("{title} y"), y, &numbers(&case["y"]), spreads.contains(&"y"))?;
    let weigh = Tensor::from_vec(numbers(&case["weigh"]), y.shape(), &Device::Cpu)?.to_dtype(y.dtype())?;
    let gradients = (y * weigh)?.sum_all()?.backward()?;
    for (name, variable) in inputs {
        let gradient = gradients.get(variable).ok_or_else(|| Error::msg(format!("{title}: no gradient of {name}")))?;
        let expected = numbers(&case["gradients"][*name]);
        assert_same(&format!("{title} gradient of {name}"), gradient, &expected, spreads.contains(name))?;
    }
    Ok(())
}

#[test]
fn batch_norm_and_what_follows_it() -> Result<()> {
    let cases = cases("batch_norm")?;
    everywhere(|dtype| {
        for case in &cases {
            let [x, weight, bias] = ["x", "weight", "bias"].map(|name| input(case, name, dtype));
            let (x, weight, bias) = (x?, weight?, bias?);
            let (mean, var) = (weight.zeros_like()?, weight.ones_like()?);
            let (mean, var) = (Var::from_tensor(&mean)?, Var::from_tensor(&var)?);
            let norm = BatchNorm::new(weight.as_tensor().clone(), bias.as_tensor().clone(), mean, var)?;
            let mode = if case["mode"] == "train" { Mode::Train } else { Mode::Eval };
            let mut inputs = vec![("x", &x), ("weight", &weight), ("bias", &bias)];
            let residual = if case["after"] == "add_relu" { Some(input(case, "residual", dtype)?) } else { None };
            let after = match &residual {
                Some(residual) => {
                    inputs.push(("residual", residual));
                    After::AddRelu(residual)
                }
                None if case["after"] == "relu" => After::Relu,
                None => After::Nothing,
            };
            let spreads: &[&str] = if mode == Mode::Eval { &["x"] } else { &[] };
            assert_case(case, &kernels::batch_norm(&x, &norm, after, mode)?, &inputs, spreads)?;
        }
        Ok(())
    })
}

#[test]
fn the_rectifier_and_the_pools() -> Result<()> {
    for name in ["relu", "max_pool2d", "avg_pool2d"] {
        let cases = cases(name)?;
        everywhere(|dtype| {
            for case in &cases {
                let x = input(case, "x", dtype)?;
                let y = match name {
                    "relu" => kernels::relu(&x)?,
                    "max_pool2d" => kernels::max_pool2d(&x, 2, 2, 0)?,
                    _ => kernels::avg_pool2d(&x, 2, 2, 0)?,
                };
                assert_case(case, &y, &[("x", &x)], &[])?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn convolutions() -> Result<()> {
    let cases = cases("conv2d")?;
    let size = |case: &Value, name: &str| case[name].as_u64().unwrap_or(0) as usize;
    let before = kernels::conv_algorithm()?;
    let ways: [(ConvAlgorithm, &[&str]); 3] = [
        (ConvAlgorithm::Direct, &["filters"]),
        (ConvAlgorithm::Winograd2, &["y", "x", "filters"]),
        (ConvAlgorithm::Winograd4, &["y", "x", "filters"]),
    ];
    for (algorithm, spreads) in ways {
        let result = everywhere(|dtype| {
            kernels::set_conv_algorithm(algorithm);
            for case in &cases {
                let (x, filters) = (input(case, "x", dtype)?, input(case, "filters", dtype)?);
                let y = kernels::conv2d(&x, &filters, size(case, "stride"), size(case, "padding"))?;
                // Only these run in tiles; everything else is exact but for the zeros of the frame.
                let tiled = case["stride"] == 1 && case["padding"] == 1;
                let spreads = if tiled { spreads } else { &["filters"] };
                assert_case(case, &y, &[("x", &x), ("filters", &filters)], spreads)?;
            }
            Ok(())
        });
        kernels::set_conv_algorithm(before);
        result?;
    }
    Ok(())
}

#[test]
fn cross_entropy() -> Result<()> {
    let cases = cases("cross_entropy_indices")?;
    let classes = Tensor::new(&[0u32, 2, 4], &Device::Cpu)?;
    everywhere(|dtype| {
        for case in &cases {
            let logits = input(case, "x", dtype)?;
            let loss = kernels::cross_entropy_indices(&logits, &classes, 0.0)?;
            assert_same("loss", &loss, &numbers(&case["y"]), false)?;
            let gradients = loss.backward()?;
            let gradient = gradients.get(&logits).ok_or_else(|| Error::msg("no gradient"))?;
            assert_same("gradient", gradient, &numbers(&case["gradients"]["x"]), false)?;
        }
        Ok(())
    })
}
