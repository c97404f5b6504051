//! Every launch in the emulator against this crate's operations on the CPU in f64: odd extents, paddings, all element types.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::cuda::batch_norm::{Backward, Matrix, Parameters, Statistics};
use crate::cuda::call::{Call, Pointer};
use crate::cuda::cross_entropy::{Batch, Rows};
use crate::cuda::source::ElementType;
use crate::cuda::{activation, emulator, pool, relu, row_norm, transpose};
use crate::plan::{PoolShape, Window};
use crate::{Activation, After, BatchNorm, LayerNorm, Mode, RmsNorm};

/// Numbers in memory as the device has them.
struct Memory {
    stored: ElementType,
    len: usize,
    words: Vec<u64>,
}

impl Memory {
    /// Filled with NaN, so that what is not written shows.
    fn new(stored: ElementType, len: usize) -> Self {
        let words = vec![u64::MAX; (len * stored.bytes()).div_ceil(8) + 1];
        Self { stored, len, words }
    }

    fn of(stored: ElementType, values: &[f64]) -> Self {
        let mut memory = Self::new(stored, values.len());
        for (i, &value) in values.iter().enumerate() {
            let bytes = match stored {
                ElementType::F32 => (value as f32).to_le_bytes().to_vec(),
                ElementType::F64 => value.to_le_bytes().to_vec(),
                ElementType::Bf16 => ((value as f32).to_bits() >> 16).to_le_bytes()[..2].to_vec(),
            };
            for (k, byte) in bytes.into_iter().enumerate() {
                let at = i * stored.bytes() + k;
                let shift = 8 * (at % 8);
                set_byte(&mut memory.words[at / 8], shift, byte);
            }
        }
        memory
    }

    fn at(&mut self) -> Pointer {
        Pointer(self.words.as_mut_ptr() as u64)
    }

    fn values(&self) -> Vec<f64> {
        let byte = |at: usize| (self.words[at / 8] >> (8 * (at % 8))) as u8;
        (0..self.len)
            .map(|i| {
                let word = (0..self.stored.bytes())
                    .rev()
                    .fold(0u64, |w, k| w << 8 | u64::from(byte(i * self.stored.bytes() + k)));
                match self.stored {
                    ElementType::F32 => f64::from(f32::from_bits(word as u32)),
                    ElementType::F64 => f64::from_bits(word),
                    ElementType::Bf16 => f64::from(f32::from_bits((word as u32) << 16)),
                }
            })
            .collect()
    }
}

fn set_byte(word: &mut u64, shift: usize, byte: u8) {
    *word = *word & !(0xff << shift) | u64::from(byte) << shift;
}

fn wide(stored: ElementType) -> ElementType {
    if stored == ElementType::F64 { ElementType::F64 } else { ElementType::F32 }
}

/// Numbers without a pattern in [-1, 1), exact in bf16.
fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 57) as f64 / 64.0 - 1.0
        })
        .collect()
}

/// What rounding may cost: a few units in the last place, of the largest value.
fn tolerance(stored: ElementType) -> f64 {
    match stored {
        ElementType::F32 => 3e-6,
        ElementType::F64 => 1e-13,
        ElementType::Bf16 => 1.2e-2,
    }
}

fn assert_close(name: &str, stored: ElementType, got: &[f64], expected: &Tensor) -> Result<()> {
    let expected = expected.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    assert_eq!(got.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off <= tolerance(stored) * scale, "{name}[{i}], {stored:?}: {got} instead of {expected}");
    }
    Ok(())
}

fn tensor(values: &[f64], shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(values.to_vec(), shape, &Device::Cpu)
}

fn gradient(of: &Var, loss: &Tensor) -> Result<Tensor> {
    loss.backward()?.get(of).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"))
}

/// Runs what was made of three calls and one.
fn all(parts: &[&[Call]]) -> bool {
    emulator::run(&parts.concat())
}

/// One layer of batch norm, forward and backward.
fn batch_norm_case(
    (stored, parameter): (ElementType, ElementType),
    shape: [usize; 4],
    mode: Mode,
    (with_residual, with_relu): (bool, bool),
) -> Result<()> {
    let [batch, height, width, channels] = shape;
    let (rows, len) = (batch * height * width, batch * height * width * channels);
    let (x, residual, dy) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
    let (weight, bias) = (numbers(channels, 4), numbers(channels, 5));
    let (mean, var): (Vec<f64>, Vec<f64>) =
        (numbers(channels, 6), numbers(channels, 7).iter().map(|v| v + 2.0).collect());

    let x_var = Var::from_tensor(&tensor(&x, &shape)?)?;
    let residual_var = Var::from_tensor(&tensor(&residual, &shape)?)?;
    let [weight_var, bias_var, mean_var, var_var] =
        [&weight, &bias, &mean, &var].map(|values| Var::from_tensor(&tensor(values, &[channels]).unwrap()).unwrap());
    let norm = BatchNorm::new(
        weight_var.as_tensor().clone(),
        bias_var.as_tensor().clone(),
        mean_var.clone(),
        var_var.clone(),
    )?;
    let after = match (with_residual, with_relu) {
        (true, _) => After::AddRelu(&residual_var),
        (false, true) => After::Relu,
        (false, false) => After::Nothing,
    };
    let expected = crate::batch_norm(&x_var, &norm, after, mode)?;
    let gradients = (&expected * tensor(&dy, &shape)?)?.sum_all()?.backward()?;

    let matrix = Matrix { rows, channels, element: stored, parameter };
    let (mut x, mut residual, mut dy) =
        (Memory::of(stored, &x), Memory::of(stored, &residual), Memory::of(stored, &dy));
    let [mut y, mut dx, mut d_residual] = [(); 3].map(|()| Memory::new(stored, len));
    let [mut weight, mut bias, mut running_mean, mut running_var] =
        [weight, bias, mean, var].map(|values| Memory::of(parameter, &values));
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| Memory::new(parameter, channels));
    let [mut center, mut reciprocal] = [(); 2].map(|()| Memory::new(wide(stored), channels));
    let mut terms = Memory::new(wide(stored), 3 * channels);
    let mut partials = Memory::new(ElementType::F64, matrix.partials());
    let parameters = Parameters {
        weight: weight.at(),
        bias: bias.at(),
        running_mean: running_mean.at(),
        running_var: running_var.at(),
    };
    let statistics = Statistics { mean: center.at(), reciprocal: reciprocal.at() };
    let first = match mode {
        Mode::Train | Mode::BatchOnly => {
            matrix.statistics(x.at(), partials.at(), &parameters, norm.eps, norm.momentum, &statistics).to_vec()
        }
        Mode::Eval => vec![matrix.frozen_statistics(&parameters, norm.eps, &statistics)],
    };
    let added = if with_residual { residual.at() } else { Pointer::NULL };
    let cuts = with_residual || with_relu;
    let forward = matrix.normalise(x.at(), added, y.at(), &statistics, &parameters, cuts);
    let at = Backward {
        x: x.at(),
        y: if cuts { y.at() } else { Pointer::NULL },
        dy: dy.at(),
        partials: partials.at(),
        terms: terms.at(),
        d_weight: d_weight.at(),
        d_bias: d_bias.at(),
        dx: dx.at(),
        d_residual: if with_residual { d_residual.at() } else { Pointer::NULL },
    };
    let backward = matrix.backward(&at, &statistics, weight.at(), mode == Mode::Train);
    if !all(&[&first, &[forward], &backward]) {
        return Ok(());
    }
    assert_close("y", stored, &y.values(), &expected)?;
    assert_close("running mean", parameter, &running_mean.values(), mean_var.as_tensor())?;
    assert_close("running variance", parameter, &running_var.values(), var_var.as_tensor())?;
    let of = |var: &Var| gradients.get(var).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"));
    assert_close("dx", stored, &dx.values(), &of(&x_var)?)?;
    assert_close("d_weight", parameter, &d_weight.values(), &of(&weight_var)?)?;
    assert_close("d_bias", parameter, &d_bias.values(), &of(&bias_var)?)?;
    if with_residual {
        assert_close("d_residual", stored, &d_residual.values(), &of(&residual_var)?)?;
    }
    Ok(())
}

#[test]
fn batch_norm_is_that_of_the_cpu() -> Result<()> {
    let (f32, f64) = ((ElementType::F32, ElementType::F32), (ElementType::F64, ElementType::F64));
    // A tile that is too wide, several row blocks, packs of four, several tiles with a rest, one channel.
    batch_norm_case(f64, [2, 3, 5, 7], Mode::Train, (false, false))?;
    batch_norm_case(f64, [3, 9, 9, 8], Mode::Train, (true, true))?;
    batch_norm_case(f32, [2, 5, 7, 68], Mode::Train, (false, true))?;
    batch_norm_case(f32, [5, 11, 13, 1], Mode::Train, (true, true))?;
    batch_norm_case(f32, [2, 3, 3, 35], Mode::Eval, (true, true))?;
    batch_norm_case(f64, [2, 3, 3, 16], Mode::Eval, (false, false))?;
    batch_norm_case(f32, [1, 1, 2, 4], Mode::Train, (false, false))
}

/// A gradient passes where the rectifier's output is NaN, and is gone where it was cut, even if it is NaN: as in PyTorch.
#[test]
fn batch_norm_masks_gradients_by_what_is_not_at_most_zero() {
    for (rows, channels) in [(2, 4), (8, 1)] {
        let matrix = Matrix { rows, channels, element: ElementType::F32, parameter: ElementType::F32 };
        let memory = |values: &[f64]| Memory::of(ElementType::F32, values);
        let mut y = memory(&[f64::NAN, 0.0, 2.0, 0.0, f64::NAN, 3.0, 0.0, 1.0]);
        let mut dy = memory(&[1.0, 2.0, 3.0, f64::NAN, f64::NAN, 4.0, 5.0, f64::NAN]);
        let mut x = memory(&[1.0; 8]);
        let mut partials = Memory::new(ElementType::F64, matrix.partials());
        let [mut mean, mut ones] = [0.0, 1.0].map(|value| memory(&vec![value; channels]));
        let mut terms = Memory::new(ElementType::F32, 3 * channels);
        let [mut d_weight, mut d_bias] = [(); 2].map(|()| Memory::new(ElementType::F32, channels));
        let [mut dx, mut d_residual] = [(); 2].map(|()| memory(&[7.0; 8]));
        let at = Backward {
            x: x.at(),
            y: y.at(),
            dy: dy.at(),
            partials: partials.at(),
            terms: terms.at(),
            d_weight: d_weight.at(),
            d_bias: d_bias.at(),
            dx: dx.at(),
            d_residual: d_residual.at(),
        };
        let statistics = Statistics { mean: mean.at(), reciprocal: ones.at() };
        if !all(&[&matrix.backward(&at, &statistics, ones.at(), false)]) {
            return;
        }
        let expected = [1.0, 0.0, 3.0, 0.0, f64::NAN, 4.0, 0.0, f64::NAN];
        let same = |(got, expected): (&f64, &f64)| got == expected || (got.is_nan() && expected.is_nan());
        assert!(d_residual.values().iter().zip(&expected).all(same), "{:?}", d_residual.values());
        if channels == 4 {
            let sums = [f64::NAN, 4.0, 3.0, f64::NAN];
            assert!(d_bias.values().iter().zip(&sums).all(same), "{:?}", d_bias.values());
        }
    }
}

#[test]
fn batch_norm_of_bf16_keeps_parameters_of_either_type() -> Result<()> {
    batch_norm_case((ElementType::Bf16, ElementType::F32), [2, 5, 3, 20], Mode::Eval, (true, true))?;
    batch_norm_case((ElementType::Bf16, ElementType::F32), [2, 5, 3, 20], Mode::Train, (false, false))?;
    batch_norm_case((ElementType::Bf16, ElementType::Bf16), [2, 4, 3, 33], Mode::Train, (false, false))
}

#[test]
fn the_variance_survives_a_mean_far_from_zero() -> Result<()> {
    let (rows, channels) = (501, 2);
    let x: Vec<f64> = numbers(rows * channels, 1).iter().map(|v| v + 1000.0).collect();
    let matrix = Matrix { rows, channels, element: ElementType::F32, parameter: ElementType::F32 };
    let mut x = Memory::of(ElementType::F32, &x);
    let mut partials = Memory::new(ElementType::F64, matrix.partials());
    let [mut weight, mut mean, mut var, mut center, mut reciprocal] =
        [(); 5].map(|()| Memory::of(ElementType::F32, &[0.0, 0.0]));
    let parameters =
        Parameters { weight: weight.at(), bias: weight.at(), running_mean: mean.at(), running_var: var.at() };
    let to = Statistics { mean: center.at(), reciprocal: reciprocal.at() };
    if !all(&[&matrix.statistics(x.at(), partials.at(), &parameters, 1e-5, 1.0, &to)]) {
        return Ok(());
    }
    let x = tensor(&x.values(), &[rows, channels])?;
    assert_close("variance", ElementType::F32, &var.values(), &x.var(0)?)?;
    assert_close("mean", ElementType::F32, &mean.values(), &x.mean(0)?)
}

#[test]
fn pooling_is_that_of_the_cpu() -> Result<()> {
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)] {
        let (batch, input, channels) = (2, (7, 6), 5);
        let window = Window::dense((kernel, kernel), stride, padding);
        let output = window.output("test", input)?;
        let shape = PoolShape { batch, input, output, channels, window };
        let (inputs, outputs) = pool::lens(&shape);
        // Few different values, so that elements tie.
        let x: Vec<f64> = numbers(inputs, 1).iter().map(|v| (v * 4.0).round()).collect();
        let dy = numbers(outputs, 2);
        let var = Var::from_tensor(&tensor(&x, &[batch, input.0, input.1, channels])?)?;
        let weighed = |y: &Tensor| (y.flatten_all()? * tensor(&dy, &[outputs])?)?.sum_all();
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
            let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
            let (mut y, mut dx) = (Memory::new(stored, outputs), Memory::new(stored, inputs));
            let mut winners = Memory::new(ElementType::F32, outputs);
            let forward = pool::max_pool(stored, &shape, x.at(), y.at(), winners.at());
            let backward = pool::max_pool_backward(stored, &shape, dy.at(), winners.at(), dx.at());
            if !all(&[&[forward, backward]]) {
                return Ok(());
            }
            let expected = crate::max_pool2d(&var, kernel, stride, padding)?;
            assert_close("max", stored, &y.values(), &expected)?;
            assert_close("max dx", stored, &dx.values(), &gradient(&var, &weighed(&expected)?)?)?;
            let forward = pool::avg_pool(stored, &shape, x.at(), y.at());
            let backward = pool::avg_pool_backward(stored, &shape, dy.at(), dx.at());
            assert!(all(&[&[forward, backward]]));
            let expected = crate::avg_pool2d(&var, kernel, stride, padding)?;
            assert_close("mean", stored, &y.values(), &expected)?;
            assert_close("mean dx", stored, &dx.values(), &gradient(&var, &weighed(&expected)?)?)?;
        }
    }
    Ok(())
}

#[test]
fn the_mean_of_whole_images_is_that_of_the_cpu() -> Result<()> {
    let window = Window::dense((3, 5), 1, 0);
    let shape = PoolShape { batch: 3, input: (3, 5), output: (1, 1), channels: 4, window };
    let (x, dy) = (numbers(180, 1), numbers(12, 2));
    let var = Var::from_tensor(&tensor(&x, &[3, 3, 5, 4])?)?;
    let expected = crate::global_avg_pool(&var)?;
    let (mut x, mut y) = (Memory::of(ElementType::F32, &x), Memory::new(ElementType::F32, 12));
    let (mut g, mut dx) = (Memory::of(ElementType::F32, &dy), Memory::new(ElementType::F32, 180));
    let forward = pool::avg_pool(ElementType::F32, &shape, x.at(), y.at());
    if !all(&[&[forward, pool::avg_pool_backward(ElementType::F32, &shape, g.at(), dx.at())]]) {
        return Ok(());
    }
    assert_close("mean", ElementType::F32, &y.values(), &expected)?;
    let loss = (&expected * tensor(&dy, &[3, 4])?)?.sum_all()?;
    assert_close("dx", ElementType::F32, &dx.values(), &gradient(&var, &loss)?)
}

#[test]
fn the_largest_is_nan_where_there_is_one() {
    let window = Window::dense((2, 2), 2, 0);
    let shape = PoolShape { batch: 1, input: (2, 2), output: (1, 1), channels: 1, window };
    let mut x = Memory::of(ElementType::F32, &[1.0, f64::NAN, 3.0, f64::NAN]);
    let (mut y, mut winners) = (Memory::new(ElementType::F32, 1), Memory::of(ElementType::F32, &[0.0]));
    if all(&[&[pool::max_pool(ElementType::F32, &shape, x.at(), y.at(), winners.at())]]) {
        assert!(y.values()[0].is_nan());
        assert_eq!(winners.words[0] as u32, 3, "the last NaN, as on the CPU");
    }
}

#[test]
fn the_rectifier_is_that_of_the_cpu() -> Result<()> {
    let len = 1000;
    let (mut x, dy) = (numbers(len, 1), numbers(len, 2));
    x[7] = 0.0;
    let var = Var::from_tensor(&tensor(&x, &[len])?)?;
    let expected = crate::relu(&var)?;
    let loss = (&expected * tensor(&dy, &[len])?)?.sum_all()?;
    let expected_dx = gradient(&var, &loss)?;
    for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
        let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
        let (mut y, mut dx) = (Memory::new(stored, len), Memory::new(stored, len));
        let calls =
            [relu::relu(stored, x.at(), y.at(), len), relu::relu_backward(stored, y.at(), dy.at(), dx.at(), len)];
        if !all(&[&calls]) {
            return Ok(());
        }
        assert_close("y", stored, &y.values(), &expected)?;
        assert_close("dx", stored, &dx.values(), &expected_dx)?;
    }
    Ok(())
}

#[test]
fn activations_are_those_of_the_cpu() -> Result<()> {
    let len = 1000;
    let mut x: Vec<f64> = numbers(len, 1).iter().map(|v| v * 8.0).collect();
    x[3] = 0.0;
    x[5] = f64::INFINITY;
    let dy = numbers(len, 2);
    let var = Var::from_tensor(&tensor(&x, &[len])?)?;
    for function in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        let expected = crate::activate(&var, function)?;
        let expected_dx =
            gradient(&var, &(expected.narrow(0, 6, len - 6)? * tensor(&dy[6..], &[len - 6])?)?.sum_all()?)?;
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
            let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
            let (mut y, mut dx) = (Memory::new(stored, len), Memory::new(stored, len));
            let forward = activation::activate(stored, function, x.at(), y.at(), len);
            let backward = activation::activate_backward(stored, function, x.at(), dy.at(), dx.at(), len);
            if !all(&[forward.as_slice(), backward.as_slice()]) {
                return Ok(());
            }
            let (y, dx) = (y.values(), dx.values());
            assert_eq!((y[3], y[5]), (0.0, f64::INFINITY), "{function:?} {stored:?}");
            assert!(dx[5].is_finite(), "{function:?} {stored:?}: the slope at infinity");
            assert_close("y", stored, &y[6..], &expected.narrow(0, 6, len - 6)?)?;
            assert_close("dx", stored, &dx[6..], &expected_dx.narrow(0, 6, len - 6)?)?;
        }
    }
    assert!(activation::activate(ElementType::F32, Activation::Relu, Pointer::NULL, Pointer::NULL, 1).is_none());
    Ok(())
}

/// Layer norm or RMS norm, forward and backward.
fn row_norm_case(
    (stored, parameter): (ElementType, ElementType),
    (rows, width): (usize, usize),
    centred: bool,
    (with_weight, with_bias): (bool, bool),
) -> Result<()> {
    let len = rows * width;
    let x: Vec<f64> = numbers(len, 1).iter().map(|v| v * 2.0 + 3.0).collect();
    let (weight, bias, dy) = (numbers(width, 2), numbers(width, 3), numbers(len, 4));
    let var = |values: &[f64], shape: &[usize]| Var::from_tensor(&tensor(values, shape)?);
    let (x_var, weight_var, bias_var) = (var(&x, &[rows, width])?, var(&weight, &[width])?, var(&bias, &[width])?);
    let given = with_weight.then(|| weight_var.as_tensor().clone());
    let expected = match centred {
        true => {
            let bias = with_bias.then(|| bias_var.as_tensor().clone());
            crate::layer_norm(&x_var, &LayerNorm { weight: given, bias, ..Default::default() })?
        }
        false => crate::rms_norm(&x_var, &RmsNorm { weight: given, eps: 1e-5, ..Default::default() })?,
    };
    let gradients = (&expected * tensor(&dy, &[rows, width])?)?.sum_all()?.backward()?;
    let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
    let (mut y, mut dx) = (Memory::new(stored, len), Memory::new(stored, len));
    let [mut weight, mut bias] = [weight, bias].map(|values| Memory::of(parameter, &values));
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| Memory::new(parameter, width));
    let [mut means, mut reciprocals] = [(); 2].map(|()| Memory::new(wide(stored), rows));
    let or_null = |with: bool, at: Pointer| if with { at } else { Pointer::NULL };
    let layer = row_norm::RowLayer {
        element: stored,
        parameter,
        rows,
        width,
        centred,
        eps: 1e-5,
        weight: or_null(with_weight, weight.at()),
        bias: or_null(with_bias, bias.at()),
    };
    let mut partials = Memory::new(ElementType::F64, layer.partials());
    let moments = row_norm::Moments { means: means.at(), reciprocals: reciprocals.at() };
    let (dw, db) = (or_null(with_weight, d_weight.at()), or_null(with_bias, d_bias.at()));
    let input = [layer.forward(x.at(), y.at(), &moments), layer.backward(x.at(), dy.at(), dx.at(), &moments)];
    let parameters = layer.parameters(x.at(), dy.at(), &moments, partials.at(), dw, db);
    if !all(&[&input, &parameters]) {
        return Ok(());
    }
    let of = |var: &Var| gradients.get(var).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"));
    assert_close("y", stored, &y.values(), &expected)?;
    assert_close("dx", stored, &dx.values(), &of(&x_var)?)?;
    if with_weight {
        assert_close("d_weight", parameter, &d_weight.values(), &of(&weight_var)?)?;
    }
    if with_bias {
        assert_close("d_bias", parameter, &d_bias.values(), &of(&bias_var)?)?;
    }
    Ok(())
}

#[test]
fn norms_over_rows_are_those_of_the_cpu() -> Result<()> {
    let (f32, f64) = ((ElementType::F32, ElementType::F32), (ElementType::F64, ElementType::F64));
    // Several parts and tiles with a rest, one row, one column, fewer columns than threads.
    row_norm_case(f64, (131, 259), true, (true, true))?;
    row_norm_case(f64, (3, 7), true, (false, true))?;
    row_norm_case(f64, (70, 40), false, (true, false))?;
    row_norm_case(f32, (1, 300), true, (true, false))?;
    row_norm_case(f32, (5, 1), true, (true, true))?;
    row_norm_case(f32, (66, 33), false, (false, false))?;
    row_norm_case((ElementType::Bf16, ElementType::F32), (9, 70), true, (true, true))?;
    row_norm_case((ElementType::Bf16, ElementType::Bf16), (9, 70), true, (true, true))
}

#[test]
fn cross_entropy_is_that_of_the_cpu() -> Result<()> {
    for (rows, classes, smoothing) in [(5, 10, 0.1), (3, 300, 0.0), (1, 1, 1.0)] {
        let len = rows * classes;
        let logits: Vec<f64> = numbers(len, 1).iter().map(|v| v * 16.0).collect();
        let targets: Vec<f64> = numbers(len, 2).iter().map(|v| v.abs()).collect();
        let indices: Vec<u32> = (0..rows as u32).map(|row| row * 7 % classes as u32).collect();
        let var = Var::from_tensor(&tensor(&logits, &[rows, classes])?)?;
        let soft = crate::cross_entropy(&var, &tensor(&targets, &[rows, classes])?, smoothing)?;
        let hard = Tensor::new(&indices[..], &Device::Cpu)?;
        let hard = crate::cross_entropy_indices(&var, &hard, smoothing)?;
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
            for (expected, is_soft) in [(&soft, true), (&hard, false)] {
                let (mut logits, mut targets) = (Memory::of(stored, &logits), Memory::of(wide(stored), &targets));
                let mut indices = indices.clone();
                let batch = Batch {
                    element: stored,
                    rows,
                    classes,
                    smoothing,
                    logits: logits.at(),
                    targets: if is_soft { targets.at() } else { Pointer::NULL },
                    indices: if is_soft { Pointer::NULL } else { Pointer(indices.as_mut_ptr() as u64) },
                };
                let mut losses = Memory::new(ElementType::F64, rows);
                let [mut normalisers, mut weights] = [(); 2].map(|()| Memory::new(wide(stored), rows));
                let left = Rows { normalisers: normalisers.at(), weights: weights.at() };
                let (mut loss, mut upstream) = (Memory::new(wide(stored), 1), Memory::of(wide(stored), &[0.5]));
                let mut d_logits = Memory::new(stored, len);
                let forward = batch.forward(losses.at(), &left, loss.at());
                let backward = batch.backward(&left, upstream.at(), d_logits.at());
                if !all(&[&forward, &[backward]]) {
                    return Ok(());
                }
                assert_close("loss", wide(stored), &loss.values(), expected)?;
                let expected = gradient(&var, &(expected * 0.5)?)?;
                assert_close("d_logits", stored, &d_logits.values(), &expected)?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_class_number_that_is_none_gives_nan() {
    let (mut logits, mut indices) = (Memory::of(ElementType::F32, &[1.0, 2.0]), [2u32]);
    let batch = Batch {
        element: ElementType::F32,
        rows: 1,
        classes: 2,
        smoothing: 0.0,
        logits: logits.at(),
        targets: Pointer::NULL,
        indices: Pointer(indices.as_mut_ptr() as u64),
    };
    let mut losses = Memory::new(ElementType::F64, 1);
    let [mut normalisers, mut weights, mut loss] = [(); 3].map(|()| Memory::of(ElementType::F32, &[0.0]));
    let left = Rows { normalisers: normalisers.at(), weights: weights.at() };
    if all(&[&batch.forward(losses.at(), &left, loss.at())]) {
        assert!(loss.values()[0].is_nan());
    }
}

#[test]
fn transposing_moves_every_element() {
    let (batch, rows, columns) = (2, 35, 67);
    let len = batch * rows * columns;
    for stored in [ElementType::Bf16, ElementType::F32, ElementType::F64] {
        let values: Vec<f64> = (0..len).map(|i| (i % 251) as f64).collect();
        let (mut from, mut to) = (Memory::of(stored, &values), Memory::new(stored, len));
        let call = transpose::transpose(stored.bytes(), (batch, rows, columns), from.at(), to.at());
        if !all(&[call.as_slice()]) {
            return;
        }
        let got = to.values();
        for b in 0..batch {
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(got[(b * columns + c) * rows + r], values[(b * rows + r) * columns + c]);
                }
            }
        }
    }
}

#[test]
fn a_grid_has_no_more_blocks_than_cuda_allows() {
    let at = Pointer(64);
    let call = transpose::transpose(4, (200_000, 3, 49), at, at).unwrap();
    assert!(call.grid.1 <= 65_535 && call.grid.2 <= 65_535);
    assert!(transpose::transpose(4, (1, 3_000_000, 1), at, at).is_none());
    assert!(transpose::transpose(3, (1, 3, 1), at, at).is_none());
    let matrix =
        Matrix { rows: 1024 * 112 * 112, channels: 64, element: ElementType::F32, parameter: ElementType::F32 };
    let parameters = Parameters { weight: at, bias: at, running_mean: at, running_var: at };
    let statistics = Statistics { mean: at, reciprocal: at };
    for call in matrix.statistics(at, at, &parameters, 1e-5, 0.1, &statistics) {
        assert!(call.grid.1 <= 65_535, "{call:?}");
    }
}
