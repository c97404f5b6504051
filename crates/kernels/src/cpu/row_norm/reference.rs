//! Layer norm and RMS norm row by row in double precision.

use std::mem::MaybeUninit;

use candle_core::WithDType;
use rayon::prelude::*;

use crate::cpu::element::Element;
use crate::cpu::row_norm::{Layer, ParameterGradients, RowMoments, part_rows, task_rows, total};

/// Computes `y` and the moments of each row.
pub(crate) fn forward<T: Element>(
    layer: &Layer<'_, T::Accumulator>,
    x: &[T],
    moments: &mut [RowMoments<T::Accumulator>],
    y: &mut [MaybeUninit<T>],
) {
    let width = layer.weight.len();
    assert!(x.len() == moments.len() * width && y.len() == x.len() && layer.bias.len() == width, "lengths");
    let task = task_rows(width);
    let rows = x.par_chunks(task * width).zip(moments.par_chunks_mut(task));
    y.par_chunks_mut(task * width).zip(rows).for_each(|(y, (x, moments))| {
        for ((y, x), moments) in y.chunks_mut(width).zip(x.chunks(width)).zip(moments) {
            let mean = match layer.centred {
                true => x.iter().map(|value| value.to_f64()).sum::<f64>() / width as f64,
                false => 0.0,
            };
            let squares: f64 = x.iter().map(|value| (value.to_f64() - mean).powi(2)).sum();
            let reciprocal = 1.0 / (squares / width as f64 + layer.eps).sqrt();
            let narrow = T::Accumulator::from_f64;
            *moments = RowMoments { mean: narrow(mean), reciprocal: narrow(reciprocal) };
            for (column, (y, x)) in y.iter_mut().zip(x).enumerate() {
                let normalised = (x.to_f64() - mean) * reciprocal;
                y.write(T::from_f64(normalised * layer.weight[column].to_f64() + layer.bias[column].to_f64()));
            }
        }
    });
}

/// `dx`, and the gradients of weight and bias if they are `trained`.
pub(crate) fn backward<T: Element>(
    layer: &Layer<'_, T::Accumulator>,
    x: &[T],
    moments: &[RowMoments<T::Accumulator>],
    dy: &[T],
    trained: bool,
    dx: &mut [MaybeUninit<T>],
) -> ParameterGradients {
    let width = layer.weight.len();
    let columns = if trained { width } else { 0 };
    assert!(x.len() == moments.len() * width && dy.len() == x.len() && dx.len() == x.len(), "lengths");
    let part = part_rows(moments.len(), width);
    let rows = x.par_chunks(part * width).zip(dy.par_chunks(part * width)).zip(moments.par_chunks(part));
    let parts = dx.par_chunks_mut(part * width).zip(rows).map(|(dx, ((x, dy), moments))| {
        let mut sums = ParameterGradients::zeros(columns);
        let rows = x.chunks(width).zip(dy.chunks(width)).zip(moments);
        for (dx, ((x, dy), moments)) in dx.chunks_mut(width).zip(rows) {
            let (mean, reciprocal) = (moments.mean.to_f64(), moments.reciprocal.to_f64());
            let (mut plain, mut product) = (0.0, 0.0);
            for column in 0..width {
                let dy = dy[column].to_f64();
                let normalised = (x[column].to_f64() - mean) * reciprocal;
                let g = dy * layer.weight[column].to_f64();
                plain += g;
                product += g * normalised;
                if trained {
                    sums.weight[column] += dy * normalised;
                    sums.bias[column] += dy;
                }
            }
            let plain = if layer.centred { plain / width as f64 } else { 0.0 };
            let product = product / width as f64;
            for (column, dx) in dx.iter_mut().enumerate() {
                let normalised = (x[column].to_f64() - mean) * reciprocal;
                let g = dy[column].to_f64() * layer.weight[column].to_f64();
                dx.write(T::from_f64(reciprocal * (g - plain - normalised * product)));
            }
        }
        sums
    });
    total(columns, parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_worked_by_hand() {
        // A row of mean 2 and variance 1, and one of mean square 25.
        let layer = Layer { centred: true, eps: 0.0, weight: &[1.0, 10.0], bias: &[0.5, 0.0] };
        let (mut y, mut moments) = ([f64::NAN; 2], [RowMoments { mean: 0.0, reciprocal: 0.0 }]);
        forward(&layer, &[1.0, 3.0], &mut moments, crate::cpu::memory::as_output(&mut y));
        assert_eq!((y, moments[0]), ([-0.5, 10.0], RowMoments { mean: 2.0, reciprocal: 1.0 }));
        // Two values around their mean are -1 and 1 whatever they are: no gradient.
        let mut dx = [f64::NAN; 2];
        let mut run = |trained| {
            let dx = crate::cpu::memory::as_output(&mut dx);
            backward(&layer, &[1.0, 3.0], &moments, &[1.0, 2.0], trained, dx)
        };
        assert_eq!(run(false), ParameterGradients::default());
        let sums = run(true);
        assert_eq!((dx, sums.weight, sums.bias), ([0.0, 0.0], vec![-1.0, 2.0], vec![1.0, 2.0]));
        let layer = Layer { centred: false, eps: 0.0, weight: &[1.0, 1.0], bias: &[0.0, 0.0] };
        forward(&layer, &[1.0, 7.0], &mut moments, crate::cpu::memory::as_output(&mut y));
        assert!((y[0] - 0.2).abs() < 1e-15 && (y[1] - 1.4).abs() < 1e-15, "{y:?}");
    }
}
