//! Norms over rows.

use candle_core::{Result, Var};

use crate::cuda::call::Pointer;
use crate::cuda::row_norm;
use crate::cuda::source::ElementType;
use crate::cuda::tests::memory::{Memory, all, assert_close, numbers, tensor, wide};
use crate::{LayerNorm, RmsNorm};

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
