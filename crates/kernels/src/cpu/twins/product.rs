//! Products against their definition: extents on both sides of every tile, block and panel.

use super::{SMALL, error, in_pools, numbers, run, sets, wide};
use crate::cpu::product::{self, Order, ProductShape};

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
        // `a` transposed: (inner, rows).
        let expected = run(rows * columns, f64::NAN, |y| {
            product::reference::product_of_columns(shape, &wide_a, &wide_b, y);
        });
        for set in sets() {
            let kernel = || run(rows * columns, f32::NAN, |y| product::product_of_columns(set, shape, &a, &b, y));
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
        assert_eq!(run(6, f32::NAN, |y| product::product_of_columns(set, shape, &[], &[], y)), [0.0; 6]);
    }
}
