//! Products against their definition: extents on both sides of every tile, block and panel.

use super::{SMALL, error, in_pools, numbers, run, sets, wide};
use crate::cpu::memory::as_output;
use crate::cpu::product::{self, OfColumns, Order, ProductShape};

#[test]
fn products_agree_with_the_definition() {
    let shapes: &[(usize, usize, usize)] = if SMALL {
        &[(3, 5, 21)]
    } else {
        &[
            (1, 1, 1),
            (1, 300, 7),
            (12, 16, 32),
            (13, 257, 33),
            (20, 200, 800),
            (193, 70, 45),
            (700, 513, 67),
            (3, 1025, 49),
        ]
    };
    for &(rows, inner, columns) in shapes {
        let shape = ProductShape { rows, inner, columns };
        let (a, b, bias) = (numbers(rows * inner, 1), numbers(inner * columns, 2), numbers(columns, 3));
        let (wide_a, wide_b, wide_bias) = (wide(&a), wide(&b), wide(&bias));
        for order in [Order::Rows, Order::Columns] {
            for with in [true, false] {
                let (bias, wide_bias) = (with.then_some(&bias[..]), with.then_some(&wide_bias[..]));
                let expected = run(rows * columns, f64::NAN, |y| {
                    product::reference::product(shape, (&wide_a, &wide_b, order), wide_bias, y);
                });
                for set in sets() {
                    let kernel =
                        || run(rows * columns, f32::NAN, |y| product::product(set, shape, (&a, &b, order), bias, y));
                    let off = error(&in_pools(kernel), &expected);
                    assert!(off < 5e-6, "{shape:?} {order:?} {set:?}: {off:e}");
                }
            }
        }
        // `a` transposed: (inner, rows). A second product with the same `a` has a column less, and its factor comes in pieces.
        let (others, cut) = (inner * (columns - 1), inner / 3 * (columns - 1));
        let definition = |b: [&[f64]; 2], columns| {
            run(rows * columns, f64::NAN, |y| {
                product::reference::product_of_columns((rows, inner), &wide_a, &mut [OfColumns { b, columns, y }]);
            })
        };
        let expected =
            [definition([&wide_b, &[]], columns), definition([&wide_b[..cut], &wide_b[cut..others]], columns - 1)]
                .concat();
        for set in sets() {
            let kernel = || {
                let mut all = vec![f32::NAN; rows * columns + rows * (columns - 1)];
                let (y, z) = as_output(&mut all).split_at_mut(rows * columns);
                let first = OfColumns { b: [&b, &[]], columns, y };
                let second = OfColumns { b: [&b[..cut], &b[cut..others]], columns: columns - 1, y: z };
                product::product_of_columns(set, (rows, inner), &a, &mut [first, second]);
                all
            };
            let off = error(&in_pools(kernel), &expected);
            assert!(off < 5e-6, "{shape:?} of columns {set:?}: {off:e}");
        }
    }
}

#[test]
fn a_product_over_nothing_is_the_bias() {
    let shape = ProductShape { rows: 2, inner: 0, columns: 3 };
    for set in sets() {
        let y = run(6, f32::NAN, |y| product::product(set, shape, (&[], &[], Order::Rows), Some(&[1.0, 2.0, 3.0]), y));
        assert_eq!(y, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        let y = run(6, f32::NAN, |y| {
            product::product_of_columns(set, (2, 0), &[], &mut [OfColumns { b: [&[], &[]], columns: 3, y }]);
        });
        assert_eq!(y, [0.0; 6]);
    }
}
