//! An LSTM layer, a linear layer with its loss, an embedding and a mask: PyTorch, finite differences, threads, errors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, Var};
use lookahead_kernels::{
    Lstm, LstmState, cross_entropy_indices, embedding, gradients_of, linear, linear_cross_entropy, lstm, masked,
    masked_embedding, masked_linear_cross_entropy,
};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// The largest distance, over the root mean square of what is expected.
fn distance(got: &Tensor, expected: &[f64]) -> f64 {
    let got = got.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(got.len(), expected.len());
    let square = expected.iter().map(|value| value * value).sum::<f64>() / expected.len() as f64;
    let largest = got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f64::max);
    assert!(got.iter().all(|value| value.is_finite()));
    largest / square.sqrt()
}

fn agrees_with_torch(dtype: DType, tolerance: f64) {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/lstm.json")).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let extent = |name: &str| case[name].as_u64().unwrap() as usize;
        let (steps, batch, inputs) = (extent("steps"), extent("batch"), extent("inputs"));
        let hidden = extent("hidden_units");
        let given = |name: &str| numbers(&case["tensors"][name]);
        let tensor = |name: &str, shape: &[usize]| {
            Tensor::from_vec(given(name), shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
        };
        let var = |name: &str, shape: &[usize]| Var::from_tensor(&tensor(name, shape)).unwrap();
        let x = var("x", &[steps, batch, inputs]);
        let (h, c) = (var("hidden", &[batch, hidden]), var("cell", &[batch, hidden]));
        let weights = [var("weight_ih", &[4 * hidden, inputs]), var("weight_hh", &[4 * hidden, hidden])];
        let biased = !case["tensors"]["bias_ih"].is_null();
        let biases = biased.then(|| [var("bias_ih", &[4 * hidden]), var("bias_hh", &[4 * hidden])]);
        let loss = || -> lookahead_kernels::Result<Tensor> {
            let layer = Lstm {
                weight_ih: weights[0].as_tensor().clone(),
                weight_hh: weights[1].as_tensor().clone(),
                biases: biases.as_ref().map(|[ih, hh]| (ih.as_tensor().clone(), hh.as_tensor().clone())),
            };
            let state = LstmState { hidden: h.as_tensor().clone(), cell: c.as_tensor().clone() };
            let (y, last) = lstm(&x, &layer, &state)?;
            for (got, name) in [(&y, "y"), (&last.hidden, "last_hidden"), (&last.cell, "last_cell")] {
                let distance = distance(got, &given(name));
                assert!(distance < tolerance, "{steps} steps, {dtype:?}, {name}: {distance}");
            }
            let u = tensor("u", &[steps, batch, hidden]);
            let (v, w) = (tensor("v", &[batch, hidden]), tensor("w", &[batch, hidden]));
            let sum = ((y * u)?.sum_all()? + (last.hidden * v)?.sum_all()?)?;
            Ok((sum + (last.cell * w)?.sum_all()?)?)
        };
        let stores = [loss().unwrap().backward().unwrap(), gradients_of(loss).unwrap().1];
        for store in stores {
            let mut named = vec![("grad_x", &x), ("grad_hidden", &h), ("grad_cell", &c)];
            named.extend([("grad_weight_ih", &weights[0]), ("grad_weight_hh", &weights[1])]);
            if let Some([ih, hh]) = &biases {
                named.extend([("grad_bias_ih", ih), ("grad_bias_hh", hh)]);
            }
            for (name, var) in named {
                let distance = distance(store.get(var).unwrap(), &given(name));
                assert!(distance < tolerance, "{steps} steps, {dtype:?}, {name}: {distance}");
            }
        }
    }
}

#[test]
fn a_layer_is_pytorchs_in_f64() {
    agrees_with_torch(DType::F64, 1e-10);
}

#[test]
fn a_layer_is_pytorchs_in_f32() {
    agrees_with_torch(DType::F32, 1e-5);
}

fn drawn(shape: &[usize], seed: usize, dtype: DType) -> Var {
    let count: usize = shape.iter().product();
    let numbers = (0..count).map(|at| ((at * 37 + seed * 11) % 101) as f64 / 50.5 - 1.0);
    let tensor = Tensor::from_iter(numbers, &Device::Cpu).unwrap().reshape(shape).unwrap();
    Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
}

/// A small language model: two windows, the state carried with its graph, a tied output, locked and element masks.
fn model(vars: &[Var], targets: &Tensor) -> candle_core::Result<Tensor> {
    let [table, ih, hh, bias_ih, bias_hh, output] = vars else { candle_core::bail!("six variables") };
    let tokens = Tensor::new(&[[1u32, 0, 4], [1, 1, 2]], &Device::Cpu)?;
    let dropped = masked(hh, &drawn(hh.dims(), 9, hh.dtype()).as_detached_tensor())?;
    let biases = Some((bias_ih.as_tensor().clone(), bias_hh.as_tensor().clone()));
    let layer = Lstm { weight_ih: ih.as_tensor().clone(), weight_hh: dropped, biases };
    let mut state = LstmState::zeros(3, 4, table.dtype(), &Device::Cpu)?;
    let mut losses = Vec::new();
    for window in 0..2 {
        let mask = drawn(&[1 + window, 3, 4], 7, table.dtype());
        let x = masked_embedding(table, &tokens, &mask)?;
        let (y, last) = lstm(&x, &layer, &state)?;
        let mask = drawn(&[2 - window, 3, 4], 8, table.dtype());
        losses.push(masked_linear_cross_entropy(&y, &mask, table, Some(output), targets, 0.1)?);
        state = last;
    }
    // The cells behind the last window too.
    losses[0].clone() + (&losses[1] * 2.0)? + state.cell.sqr()?.sum_all()?
}

fn variables(dtype: DType) -> Vec<Var> {
    let shapes: [&[usize]; 6] = [&[5, 4], &[16, 4], &[16, 4], &[16], &[16], &[5]];
    shapes.iter().enumerate().map(|(seed, shape)| drawn(shape, seed, dtype)).collect()
}

#[test]
fn gradients_are_central_differences() {
    let (vars, targets) = (variables(DType::F64), Tensor::new(&[0u32, 4, 2, 3, 3, 1], &Device::Cpu).unwrap());
    let gradients = model(&vars, &targets).unwrap().backward().unwrap();
    for (index, var) in vars.iter().enumerate() {
        let gradient = gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let start = var.as_detached_tensor().copy().unwrap();
        for (at, gradient) in gradient.iter().enumerate() {
            let value = |step: f64| {
                let mut numbers = start.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                numbers[at] += step;
                var.set(&Tensor::from_vec(numbers, start.shape(), &Device::Cpu).unwrap()).unwrap();
                model(&vars, &targets).unwrap().to_scalar::<f64>().unwrap()
            };
            let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((gradient - difference).abs() < 1e-8, "variable {index}, {at}: {gradient} or {difference}");
        }
        var.set(&start).unwrap();
    }
}

#[test]
fn the_loss_is_that_of_the_operations_apart() {
    for dtype in [DType::F32, DType::F64] {
        let (x, weight, bias) = (drawn(&[7, 3, 5], 1, dtype), drawn(&[37, 5], 2, dtype), drawn(&[37], 3, dtype));
        let targets = Tensor::from_iter((0..21u32).map(|at| at * 5 % 37), &Device::Cpu).unwrap();
        let together = linear_cross_entropy(&x, &weight, Some(&bias), &targets, 0.2).unwrap();
        let logits = linear(&x, &weight, Some(&bias)).unwrap();
        let by_candle = x.flatten(0, 1).unwrap().matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        let expected = by_candle.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        assert!(distance(&logits, &expected) < 1e-6, "{dtype:?}");
        let apart = cross_entropy_indices(&by_candle, &targets, 0.2).unwrap();
        let value = apart.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
        assert!(distance(&together, &[value]) < 1e-6, "{dtype:?}: {together} instead of {value}");
        let (together, apart) = (together.backward().unwrap(), apart.backward().unwrap());
        for var in [&x, &weight, &bias] {
            let expected = apart.get(var).unwrap().flatten_all().unwrap().to_dtype(DType::F64).unwrap();
            assert!(distance(together.get(var).unwrap(), &expected.to_vec1().unwrap()) < 1e-5, "{dtype:?}");
        }
    }
}

/// Loss and gradients, as bits.
fn bits(threads: usize) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let (steps, batch, units, words) = (9, 21, 37, 301);
        let vars = [drawn(&[words, units], 1, DType::F32), drawn(&[4 * units, units], 2, DType::F32)];
        let weight_hh = drawn(&[4 * units, units], 3, DType::F32);
        let ids = Tensor::from_iter((0..steps * batch).map(|at| (at * 7 % words) as u32), &Device::Cpu).unwrap();
        let ids = ids.reshape((steps, batch)).unwrap();
        let layer =
            Lstm { weight_ih: vars[1].as_tensor().clone(), weight_hh: weight_hh.as_tensor().clone(), biases: None };
        let state = LstmState::zeros(batch, units, DType::F32, &Device::Cpu).unwrap();
        let (y, last) = lstm(&embedding(&vars[0], &ids).unwrap(), &layer, &state).unwrap();
        let loss = linear_cross_entropy(&y, &vars[0], None, &ids, 0.0).unwrap();
        let gradients = loss.backward().unwrap();
        let mut all = vec![loss.reshape(1).unwrap(), last.cell.flatten_all().unwrap()];
        for var in vars.iter().chain([&weight_hh]) {
            all.push(gradients.get(var).unwrap().flatten_all().unwrap());
        }
        let all = Tensor::cat(&all, 0).unwrap().to_vec1::<f32>().unwrap();
        all.into_iter().map(f32::to_bits).collect()
    })
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let one = bits(1);
    for threads in [2, 3, 7] {
        assert!(one == bits(threads), "{threads} threads");
    }
}

/// The identity; its backward pass fails while it is told to.
struct Fails(Arc<AtomicBool>);

impl CustomOp1 for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((x.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if self.0.load(Ordering::Relaxed) { candle_core::bail!("as told") } else { Ok(Some(gradient.clone())) }
    }
}

/// A pass that fails behind the cell leaves nothing to a later pass over the same graph that does not use the cell.
#[test]
fn a_failed_pass_leaves_nothing_behind() {
    let fails = Arc::new(AtomicBool::new(false));
    let run = |failing: bool| -> Vec<f64> {
        let (x, ih, hh) =
            (drawn(&[3, 2, 4], 1, DType::F64), drawn(&[20, 4], 2, DType::F64), drawn(&[20, 5], 3, DType::F64));
        let layer = Lstm { weight_ih: ih.as_tensor().clone(), weight_hh: hh.as_tensor().clone(), biases: None };
        let (y, last) = lstm(&x, &layer, &LstmState::zeros(2, 5, DType::F64, &Device::Cpu).unwrap()).unwrap();
        let outputs = y.apply_op1(Fails(fails.clone())).unwrap().sqr().unwrap().sum_all().unwrap();
        let all = (&outputs + last.cell.sum_all().unwrap()).unwrap();
        fails.store(true, Ordering::Relaxed);
        assert!(!failing || all.backward().is_err());
        fails.store(false, Ordering::Relaxed);
        let gradients = outputs.backward().unwrap();
        gradients.get(&hh).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    assert_eq!(run(true), run(false));
}

/// Locked and element masks, over more elements than a task has.
#[test]
fn masks_in_a_node_have_the_bits_of_separate_ones() {
    let (table, weight) = (drawn(&[9, 40], 1, DType::F32), drawn(&[7, 40], 2, DType::F32));
    let ids = Tensor::from_iter((0..900u32).map(|at| at * 5 % 9), &Device::Cpu).unwrap().reshape((30, 30)).unwrap();
    let targets = Tensor::from_iter((0..900u32).map(|at| at % 7), &Device::Cpu).unwrap();
    for steps in [1, 30] {
        let [first, last] = [3, 4].map(|seed| drawn(&[steps, 30, 40], seed, DType::F32).as_detached_tensor());
        let fused = masked_embedding(&table, &ids, &first).unwrap();
        let fused = masked_linear_cross_entropy(&fused, &last, &weight, None, &targets, 0.0).unwrap();
        let apart = masked(&embedding(&table, &ids).unwrap(), &first).unwrap();
        let apart = linear_cross_entropy(&masked(&apart, &last).unwrap(), &weight, None, &targets, 0.0).unwrap();
        let bits = |loss: &Tensor| -> Vec<u32> {
            let gradients = loss.backward().unwrap();
            let of = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap();
            let all = Tensor::cat(&[loss.reshape(1).unwrap(), of(&table), of(&weight)], 0).unwrap();
            all.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(&fused), bits(&apart), "{steps} steps");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let layer = |ih: &[usize]| Lstm { weight_ih: zeros(ih), weight_hh: zeros(&[8, 2]), biases: None };
    let state = |batch| LstmState::zeros(batch, 2, DType::F32, &Device::Cpu).unwrap();
    let error = |x: &[usize], ih: &[usize], batch| lstm(&zeros(x), &layer(ih), &state(batch)).unwrap_err().to_string();
    assert_eq!(error(&[3, 5], &[8, 3], 1), "lstm: x must have shape (T, B, I), got [3, 5]");
    assert_eq!(error(&[1, 1, 3], &[8, 4], 1), "lstm: weight_ih must have shape [8, 3], got [8, 4]");
    assert_eq!(error(&[1, 1, 3], &[8, 3], 2), "lstm: hidden must have shape [1, 2], got [2, 2]");
    assert!(error(&[0, 1, 3], &[8, 3], 1).contains("of at least one step"));
    let half = zeros(&[1, 1, 3]).to_dtype(DType::BF16).unwrap();
    assert_eq!(
        lstm(&half, &layer(&[8, 3]), &state(1)).unwrap_err().to_string(),
        "lstm: x must be F32 or F64, got BF16"
    );
    let ids = Tensor::new(&[0u32, 5], &Device::Cpu).unwrap();
    let error = embedding(&zeros(&[5, 2]), &ids).unwrap_err().to_string();
    assert_eq!(error, "embedding: ids must be below the number of rows, got 5 of 5");
    let error = linear_cross_entropy(&zeros(&[2, 3]), &zeros(&[5, 3]), None, &ids, 0.0).unwrap_err().to_string();
    assert_eq!(error, "linear_cross_entropy: targets must be below the number of classes, got 5 of 5");
    let error = linear(&zeros(&[2, 3]), &zeros(&[5, 4]), None).unwrap_err().to_string();
    assert_eq!(error, "linear: weight must have shape (O, 3) to match x, got [5, 4]");
    let error = masked(&zeros(&[2, 3]), &zeros(&[3])).unwrap_err().to_string();
    assert_eq!(error, "masked: mask must have shape [2, 3], or 1 on the first axis, got [3]");
    let mask = zeros(&[3, 2]);
    let wide = mask.to_dtype(DType::F64).unwrap();
    let error = masked_embedding(&zeros(&[6, 2]), &ids, &wide).unwrap_err().to_string();
    assert_eq!(error, "masked_embedding: mask must be F32, as weight is, got F64");
    let error = masked_embedding(&zeros(&[6, 2]), &ids, &mask).unwrap_err().to_string();
    assert_eq!(error, "masked_embedding: mask must have shape [2, 2], or 1 on the first axis, got [3, 2]");
}
