//! Newton-Schulz: brings the singular values of a matrix near 1.

use crate::Result;
use crate::error::{in_range, not_negative};
use candle_core::Tensor;

/// How Muon brings the singular values of an update near 1, without computing them.
///
/// After division by its norm (at least `epsilon`), each of `steps` iterations maps the matrix `X` to `a X + (b A + c A^2) X` with
/// `A = X X^T`, which maps each singular value `s` to `a s + b s^3 + c s^5`.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `coefficients` | 3.4445, -4.775, 2.0315 | finite |
/// | `steps` | 5 | `[1, 100)` |
/// | `epsilon` | 1e-7 | `[0, inf)`; at 0, a gradient of zeros gives NaN |
///
/// The default coefficients rise steeply from 0 and do not converge: the singular values end between about 0.7 and 1.2.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct NewtonSchulz {
    /// `a`, `b` and `c`.
    #[doc(alias = "ns_coefficients")]
    pub coefficients: [f64; 3],
    /// Iterations.
    #[doc(alias = "ns_steps")]
    pub steps: usize,
    /// Lower bound of the norm.
    pub epsilon: f64,
}

impl Default for NewtonSchulz {
    fn default() -> Self {
        Self { coefficients: [3.4445, -4.775, 2.0315], steps: 5, epsilon: 1e-7 }
    }
}

impl NewtonSchulz {
    pub(super) fn validate(&self) -> Result<()> {
        for coefficient in self.coefficients {
            in_range(coefficient.is_finite(), "coefficients", coefficient, "(-inf, inf)")?;
        }
        in_range((1..100).contains(&self.steps), "steps", self.steps as f64, "[1, 100)")?;
        not_negative("epsilon", self.epsilon)
    }

    /// Applies it to a matrix of rank 2, in the matrix's dtype.
    pub(super) fn apply(&self, matrix: &Tensor) -> Result<Tensor> {
        let [a, b, c] = self.coefficients;
        let (rows, columns) = matrix.dims2()?;
        // The products below are as large as the shorter side.
        let tall = rows > columns;
        let matrix = if tall { matrix.t()?.contiguous()? } else { matrix.clone() };
        let norm = matrix.sqr()?.sum_all()?.sqrt()?.maximum(self.epsilon)?;
        let mut x = matrix.broadcast_div(&norm)?;
        for _ in 0..self.steps {
            let gram = x.matmul(&x.t()?)?;
            let polynomial = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
            x = ((&x * a)? + polynomial.matmul(&x)?)?;
        }
        Ok(if tall { x.t()?.contiguous()? } else { x })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn singular_values_go_through_the_polynomial() {
        // A diagonal matrix stays diagonal; wide, tall and square ones have the same values.
        let schulz = NewtonSchulz { coefficients: [2.0, -1.5, 0.5], steps: 2, epsilon: 0.0 };
        let mut expected = [0.6f64, 0.8];
        for _ in 0..2 {
            expected = expected.map(|s| 2.0 * s - 1.5 * s.powi(3) + 0.5 * s.powi(5));
        }
        for (shape, at) in [((2, 2), [0, 3]), ((2, 3), [0, 4]), ((3, 2), [0, 3])] {
            let mut values = vec![0f64; shape.0 * shape.1];
            (values[at[0]], values[at[1]]) = (3.0, 4.0); // norm 5
            let found = schulz.apply(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
            assert_eq!(found.dims2().unwrap(), shape);
            let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (i, value) in found.iter().enumerate() {
                let expected = at.iter().position(|&k| k == i).map_or(0.0, |k| expected[k]);
                assert!((value - expected).abs() < 1e-15, "{shape:?}: {found:?}");
            }
        }
    }

    #[test]
    fn the_zero_matrix_stays_zero_and_a_random_one_becomes_nearly_orthogonal() {
        let schulz = NewtonSchulz::default();
        let zero = Tensor::zeros((3, 4), candle_core::DType::F64, &Device::Cpu).unwrap();
        assert_eq!(schulz.apply(&zero).unwrap().to_vec2::<f64>().unwrap(), vec![vec![0.0; 4]; 3]);
        let matrix: Vec<f64> = (0..32).map(|i| f64::from(i * i % 17) - 8.0).collect();
        let x = schulz.apply(&Tensor::from_vec(matrix, (4, 8), &Device::Cpu).unwrap()).unwrap();
        let gram = x.matmul(&x.t().unwrap()).unwrap().to_vec2::<f64>().unwrap();
        for (i, row) in gram.iter().enumerate() {
            assert!((0.4..1.5).contains(&row[i]), "{gram:?}");
        }
    }
}
