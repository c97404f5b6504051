//! Matrix products literally as their formulas, summed in double precision.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::element::Element;
use crate::cpu::product::{OfColumns, Order, ProductShape};

/// `y = a b + bias`; the bias is added to every row.
pub(crate) fn product<T: Element>(
    shape: ProductShape,
    (a, b, order): (&[T], &[T], Order),
    bias: Option<&[T]>,
    y: &mut [MaybeUninit<T>],
) {
    let ProductShape { rows, inner, columns } = shape;
    assert!(a.len() == rows * inner && b.len() == inner * columns && y.len() == rows * columns, "lengths");
    y.par_chunks_mut(columns).zip(a.par_chunks(inner)).for_each_init(
        || vec![0.0; columns],
        |sums, (y, a)| {
            match bias {
                Some(bias) => sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum = bias.to_f64()),
                None => sums.fill(0.0),
            }
            match order {
                Order::Rows => {
                    for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
                        sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a.to_f64() * b.to_f64());
                    }
                }
                Order::Columns => {
                    for (sum, b) in sums.iter_mut().zip(b.chunks_exact(inner)) {
                        *sum += a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum::<f64>();
                    }
                }
            }
            for (y, sum) in y.iter_mut().zip(sums.iter()) {
                y.write(T::from_f64(*sum));
            }
        },
    );
}

/// `y = a^T b` for each of the products: (inner, rows) and (inner, columns) to (rows, columns).
pub(crate) fn product_of_columns<T: Element>(
    (rows, inner): (usize, usize),
    a: &[T],
    products: &mut [OfColumns<'_, T>],
) {
    assert!(a.len() == rows * inner, "lengths");
    for product in products {
        product.check(rows, inner);
        let OfColumns { b, columns, y } = product;
        if y.is_empty() {
            continue;
        }
        y.par_chunks_mut(*columns).enumerate().for_each_init(
            || vec![0.0; *columns],
            |sums, (row, y)| {
                sums.fill(0.0);
                let b = b.iter().flat_map(|piece| piece.chunks_exact(*columns));
                for (a, b) in a.chunks_exact(rows).zip(b) {
                    sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a[row].to_f64() * b.to_f64());
                }
                for (y, sum) in y.iter_mut().zip(sums.iter()) {
                    y.write(T::from_f64(*sum));
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::memory::as_output;

    #[test]
    fn values_worked_by_hand() {
        let shape = ProductShape { rows: 2, inner: 2, columns: 3 };
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 2.0, 0.0, 1.0, 3.0]);
        let expected = [1.0, 2.0, 8.0, 3.0, 4.0, 18.0];
        let mut y = [f64::NAN; 6];
        product(shape, (&a, &b, Order::Rows), None, as_output(&mut y));
        assert_eq!(y, expected);
        let columns = [1.0, 0.0, 0.0, 1.0, 2.0, 3.0];
        product(shape, (&a, &columns, Order::Columns), Some(&[10.0, 20.0, 30.0]), as_output(&mut y));
        assert_eq!(y, [11.0, 22.0, 38.0, 13.0, 24.0, 48.0]);
        let (first, second) = b.split_at(3);
        let of_columns = OfColumns { b: [first, second], columns: 3, y: as_output(&mut y) };
        product_of_columns((2, 2), &[1.0, 3.0, 2.0, 4.0], &mut [of_columns]);
        assert_eq!(y, expected);
    }
}
