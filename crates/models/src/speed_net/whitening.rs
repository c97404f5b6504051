//! Filters that make the 2x2 patches of images uncorrelated.

use candle_core::{DType, Tensor};

use crate::Result;

/// Values of a patch: three channels of 2x2 pixels.
pub(super) const PATCH: usize = 12;

type Matrix = [[f64; PATCH]; PATCH];

/// The whitening filters (24, 3, 2, 2) of normalised `images` (N, 3, H, W): the eigenvectors of the patches' second moments over the root of
/// eigenvalue plus `eps`, the largest eigenvalue first, then the same twelve negated. Sums are f64.
///
/// An eigenvector's sign is arbitrary: here its entry of largest magnitude is positive.
pub(super) fn filters(images: &Tensor, eps: f64) -> Result<Tensor> {
    let (values, vectors) = eigen(second_moments(images)?);
    let mut order: Vec<usize> = (0..PATCH).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut filters = Vec::with_capacity(2 * PATCH * PATCH);
    for sign in [1.0, -1.0] {
        for &column in &order {
            let vector = vectors.map(|row| row[column]);
            let largest =
                vector.into_iter().fold(0.0, |best: f64, value| if value.abs() > best.abs() { value } else { best });
            let scale = sign * largest.signum() / (values[column] + eps).sqrt();
            filters.extend(vector.map(|value| scale * value));
        }
    }
    Ok(Tensor::from_vec(filters, (2 * PATCH, 3, 2, 2), images.device())?)
}

/// The mean of `p p^T` over all 2x2 patches `p`, whose entries run over channel, row and column.
fn second_moments(images: &Tensor) -> Result<Matrix> {
    let (count, channels, height, width) = images.dims4()?;
    let (rows, columns) = (height - 1, width - 1);
    let mut sums = [[0.0; PATCH]; PATCH];
    for image in 0..count {
        let pixels = images.get(image)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        for y in 0..rows {
            // Row `y` of the twelve planes of shifted pixels.
            let mut planes: [&[f64]; PATCH] = [&[]; PATCH];
            for (entry, plane) in planes.iter_mut().enumerate() {
                let (channel, row, column) = (entry / 4 % channels, entry / 2 % 2, entry % 2);
                *plane = &pixels[(channel * height + y + row) * width + column..][..columns];
            }
            for i in 0..PATCH {
                for j in i..PATCH {
                    sums[i][j] += planes[i].iter().zip(planes[j]).map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
    }
    let patches = (count * rows * columns) as f64;
    let mut moments = [[0.0; PATCH]; PATCH];
    for i in 0..PATCH {
        for j in i..PATCH {
            moments[i][j] = sums[i][j] / patches;
            moments[j][i] = moments[i][j];
        }
    }
    Ok(moments)
}

/// Eigenvalues of a symmetric matrix and, in the columns, its orthonormal eigenvectors, by Jacobi's rotations.
///
/// A sweep rotates every pair of axes so that their entry becomes zero; the off-diagonal entries then shrink quadratically. Twelve rows
/// need about seven sweeps; Golub and Van Loan, *Matrix Computations*, section 8.5.
fn eigen(mut a: Matrix) -> ([f64; PATCH], Matrix) {
    let mut vectors = [[0.0; PATCH]; PATCH];
    (0..PATCH).for_each(|i| vectors[i][i] = 1.0);
    for _ in 0..32 {
        let off: f64 = (0..PATCH).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j].powi(2)).sum();
        let on: f64 = (0..PATCH).map(|i| a[i][i].powi(2)).sum();
        if off <= f64::EPSILON.powi(2) * on {
            break;
        }
        for p in 0..PATCH {
            for q in p + 1..PATCH {
                if a[p][q] != 0.0 {
                    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                    let cosine = 1.0 / tangent.hypot(1.0);
                    rotate(&mut a, &mut vectors, (p, q), cosine, tangent * cosine);
                }
            }
        }
    }
    (std::array::from_fn(|i| a[i][i]), vectors)
}

/// `a <- J^T a J` and `vectors <- vectors J` with the rotation `J` in the plane of axes `p` and `q`.
fn rotate(a: &mut Matrix, vectors: &mut Matrix, (p, q): (usize, usize), cosine: f64, sine: f64) {
    for row in a.iter_mut().chain(vectors) {
        let (x, y) = (row[p], row[q]);
        row[p] = cosine * x - sine * y;
        row[q] = sine * x + cosine * y;
    }
    let (above, below) = a.split_at_mut(q);
    for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// The matrix with 2 on the diagonal and 1 next to it has the eigenvalues `2 + 2 cos(k pi / 13)`.
    #[test]
    fn eigenvalues_are_those_of_a_known_matrix() {
        let mut a = [[0.0; PATCH]; PATCH];
        for i in 0..PATCH {
            a[i][i] = 2.0;
            if i > 0 {
                (a[i][i - 1], a[i - 1][i]) = (1.0, 1.0);
            }
        }
        let (mut values, vectors) = eigen(a);
        for column in 0..PATCH {
            for row in 0..PATCH {
                let product: f64 = (0..PATCH).map(|k| a[row][k] * vectors[k][column]).sum();
                assert!((product - values[column] * vectors[row][column]).abs() < 1e-13);
            }
        }
        values.sort_by(|x, y| y.total_cmp(x));
        for (k, value) in values.iter().enumerate() {
            let expected = 2.0 + 2.0 * ((k + 1) as f64 * std::f64::consts::PI / 13.0).cos();
            assert!((value - expected).abs() < 1e-13, "{value} against {expected}");
        }
    }

    /// A single patch: its second moments are its own products.
    #[test]
    fn entries_run_over_channel_row_and_column() {
        let patch: Vec<f64> = (1..=12).map(f64::from).collect();
        let image = Tensor::from_vec(patch.clone(), (1, 3, 2, 2), &Device::Cpu).unwrap();
        let moments = second_moments(&image).unwrap();
        for i in 0..PATCH {
            for j in 0..PATCH {
                assert_eq!(moments[i][j], patch[i] * patch[j]);
            }
        }
    }

    /// Applied to the images they were computed from, the filters give second moments `lambda / (lambda + eps)`: nearly one, and zero
    /// between two of the first twelve filters.
    #[test]
    fn responses_are_white() {
        let images = Tensor::randn(0f64, 1.0, (4, 3, 9, 8), &Device::Cpu).unwrap();
        // Neighbouring pixels resemble each other, as in photographs.
        let images = (images.narrow(3, 0, 7).unwrap() + images.narrow(3, 1, 7).unwrap()).unwrap();
        let filters = filters(&images, 1e-9).unwrap();
        let responses = images.conv2d(&filters.narrow(0, 0, 12).unwrap(), 0, 1, 1, 1).unwrap();
        let responses = responses.transpose(0, 1).unwrap().flatten_from(1).unwrap();
        let count = responses.dim(1).unwrap() as f64;
        let moments = (responses.matmul(&responses.t().unwrap()).unwrap() / count).unwrap().to_vec2::<f64>().unwrap();
        for (i, row) in moments.iter().enumerate() {
            for (j, moment) in row.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((moment - expected).abs() < 1e-6, "{i} {j}: {moment}");
            }
        }
    }
}
