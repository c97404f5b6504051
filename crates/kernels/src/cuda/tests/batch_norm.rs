//! Batch norm.

use candle_core::{Result, Var};

use crate::cuda::batch_norm::{Backward, Forward, Parameters};
use crate::cuda::call::Pointer;
use crate::cuda::columns::Matrix;
use crate::cuda::layer::Norm;
use crate::cuda::source::ElementType;
use crate::cuda::tests::emulated::Emulated;
use crate::cuda::tests::memory::{Memory, assert_close, numbers, tensor};
use crate::{After, BatchNorm, Mode};

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
    let parameters = Parameters {
        weight: weight.at(),
        bias: bias.at(),
        running_mean: running_mean.at(),
        running_var: running_var.at(),
    };
    let added = if with_residual { residual.at() } else { Pointer::NULL };
    let cuts = with_residual || with_relu;
    let forward = Forward { x: x.at(), residual: added, y: y.at(), relu: cuts };
    let (device, of) = (Emulated::default(), Norm { matrix, parameters, eps: norm.eps, momentum: norm.momentum });
    let left = of.forward(&device, mode, &forward)?;
    let at = Backward {
        x: x.at(),
        y: if cuts { y.at() } else { Pointer::NULL },
        dy: dy.at(),
        d_weight: d_weight.at(),
        d_bias: d_bias.at(),
        dx: dx.at(),
        d_residual: if with_residual { d_residual.at() } else { Pointer::NULL },
    };
    of.backward(&device, mode, &left, &at)?;
    if device.skips() {
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
    // A tile that is too wide, packs of four, several tiles with a rest, one channel; parts and tiles that share a block.
    batch_norm_case(f64, [2, 3, 5, 7], Mode::Train, (false, false))?;
    batch_norm_case(f64, [3, 9, 9, 8], Mode::Train, (true, true))?;
    batch_norm_case(f32, [2, 5, 7, 68], Mode::Train, (false, true))?;
    batch_norm_case(f32, [5, 11, 13, 1], Mode::Train, (true, true))?;
    batch_norm_case(f32, [2, 3, 3, 35], Mode::Eval, (true, true))?;
    batch_norm_case(f64, [2, 3, 3, 16], Mode::Eval, (false, false))?;
    batch_norm_case(f32, [1, 1, 2, 4], Mode::Train, (false, false))?;
    batch_norm_case(f32, [5, 13, 11, 16], Mode::Train, (true, true))?;
    batch_norm_case(f32, [2, 5, 7, 12], Mode::BatchOnly, (false, true))?;
    batch_norm_case(f32, [2, 10, 15, 200], Mode::Train, (false, true))?;
    batch_norm_case(f32, [2, 10, 15, 200], Mode::Eval, (true, true))
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
        // Mean 0 and reciprocal 1, one behind the other.
        let numbers: Vec<f64> = (0..2 * channels).map(|i| if i < channels { 0.0 } else { 1.0 }).collect();
        let (left, mut ones) = (memory(&numbers), memory(&vec![1.0; channels]));
        let [mut d_weight, mut d_bias] = [(); 2].map(|()| Memory::new(ElementType::F32, channels));
        let [mut dx, mut d_residual] = [(); 2].map(|()| memory(&[7.0; 8]));
        let at = Backward {
            x: x.at(),
            y: y.at(),
            dy: dy.at(),
            d_weight: d_weight.at(),
            d_bias: d_bias.at(),
            dx: dx.at(),
            d_residual: d_residual.at(),
        };
        let weight = ones.at();
        let parameters = Parameters { weight, bias: weight, running_mean: weight, running_var: weight };
        let (device, norm) = (Emulated::default(), Norm { matrix, parameters, eps: 1e-5, momentum: 0.1 });
        norm.backward(&device, Mode::Eval, &left.words, &at).unwrap();
        if device.skips() {
            return;
        }
        let expected = [1.0, 0.0, 3.0, 0.0, f64::NAN, 4.0, 0.0, f64::NAN];
        let same = |(got, expected): (&f64, &f64)| got == expected || (got.is_nan() && expected.is_nan());
        assert!(d_residual.values().iter().zip(&expected).all(same), "{:?}", d_residual.values());
        // Constant statistics and a scale of 1: the gradient passes as it is.
        assert!(dx.values().iter().zip(&expected).all(same), "{:?}", dx.values());
        let sums: &[f64] = if channels == 4 { &[f64::NAN, 4.0, 3.0, f64::NAN] } else { &[f64::NAN] };
        assert!(d_bias.values().iter().zip(sums).all(same), "{:?}", d_bias.values());
    }
}

/// The running statistics stay what they are, even with a NaN and an infinity in the batch.
#[test]
fn a_pass_by_the_batch_alone_leaves_the_running_statistics() -> Result<()> {
    for element in [ElementType::F32, ElementType::F64] {
        let matrix = Matrix { rows: 2, channels: 3, element, parameter: element };
        let memory = |values: &[f64]| Memory::of(element, values);
        let (mut x, mut y) = (memory(&[1.0, f64::NAN, 2.0, 3.0, 1.0, f64::INFINITY]), memory(&[7.0; 6]));
        let (mut ones, mut mean, mut var) = (memory(&[1.0; 3]), memory(&[0.5, 1.5, 2.5]), memory(&[2.0, 3.0, 4.0]));
        let weight = ones.at();
        let parameters = Parameters { weight, bias: weight, running_mean: mean.at(), running_var: var.at() };
        let (device, norm) = (Emulated::default(), Norm { matrix, parameters, eps: 0.0, momentum: 0.1 });
        let forward = Forward { x: x.at(), residual: Pointer::NULL, y: y.at(), relu: false };
        norm.forward(&device, Mode::BatchOnly, &forward)?;
        if device.skips() {
            return Ok(());
        }
        assert_eq!((mean.values(), var.values()), (vec![0.5, 1.5, 2.5], vec![2.0, 3.0, 4.0]));
        // The first channel's values are 1 and 3: -1 and 1 around their mean, plus the shift.
        let y = y.values();
        assert!((y[0], y[3]) == (0.0, 2.0) && y[1].is_nan() && y[2].is_nan(), "{y:?}");
    }
    Ok(())
}

#[test]
fn batch_norm_of_bf16_keeps_parameters_of_either_type() -> Result<()> {
    batch_norm_case((ElementType::Bf16, ElementType::F32), [2, 5, 3, 20], Mode::Eval, (true, true))?;
    batch_norm_case((ElementType::Bf16, ElementType::F32), [2, 5, 3, 20], Mode::Train, (false, false))?;
    // A pack of eight.
    batch_norm_case((ElementType::Bf16, ElementType::F32), [2, 9, 8, 24], Mode::Train, (false, false))?;
    batch_norm_case((ElementType::Bf16, ElementType::Bf16), [2, 4, 3, 33], Mode::Train, (false, false))
}

/// The running mean and variance after a step that forgets the former ones; `None` without a C++ compiler.
fn moments_of(x: &[f64], rows: usize, channels: usize) -> Result<Option<[Vec<f64>; 2]>> {
    let matrix = Matrix { rows, channels, element: ElementType::F32, parameter: ElementType::F32 };
    let mut x = Memory::of(ElementType::F32, x);
    let mut y = Memory::new(ElementType::F32, rows * channels);
    let [mut weight, mut mean, mut var] = [(); 3].map(|()| Memory::of(ElementType::F32, &vec![0.0; channels]));
    let parameters =
        Parameters { weight: weight.at(), bias: weight.at(), running_mean: mean.at(), running_var: var.at() };
    let (device, norm) = (Emulated::default(), Norm { matrix, parameters, eps: 1e-5, momentum: 1.0 });
    let forward = Forward { x: x.at(), residual: Pointer::NULL, y: y.at(), relu: false };
    norm.forward(&device, Mode::Train, &forward)?;
    Ok((!device.skips()).then(|| [mean.values(), var.values()]))
}

#[test]
fn the_variance_survives_a_mean_far_from_zero() -> Result<()> {
    let (rows, channels) = (501, 2);
    // As f32 has them.
    let x: Vec<f64> = numbers(rows * channels, 1).iter().map(|v| f64::from((v + 1000.0) as f32)).collect();
    let Some([mean, var]) = moments_of(&x, rows, channels)? else { return Ok(()) };
    let x = tensor(&x, &[rows, channels])?;
    assert_close("variance", ElementType::F32, &var, &x.var(0)?)?;
    assert_close("mean", ElementType::F32, &mean, &x.mean(0)?)
}

#[test]
fn the_variance_survives_an_outlier_in_the_first_row() -> Result<()> {
    let (rows, channels, outlier) = (131_072, 16, f64::from(3.3f32));
    let mut x = vec![0.0; rows * channels];
    x[..channels - 1].fill(outlier);
    // The last channel is constant.
    x.iter_mut().skip(channels - 1).step_by(channels).for_each(|value| *value = 0.5);
    let Some([mean, var]) = moments_of(&x, rows, channels)? else { return Ok(()) };
    let (expected_mean, expected_var) = (outlier / rows as f64, outlier * outlier / rows as f64);
    for c in 0..channels - 1 {
        assert!((mean[c] / expected_mean - 1.0).abs() < 1e-4, "mean {}", mean[c]);
        assert!((var[c] / expected_var - 1.0).abs() < 1e-4, "variance {} instead of {expected_var}", var[c]);
    }
    assert_eq!((mean[channels - 1], var[channels - 1]), (0.5, 0.0));
    Ok(())
}
