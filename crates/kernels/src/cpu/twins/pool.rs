//! Max pools against their definition: ties, NaN, what no window covers, channels that leave a tail.

use half::bf16;

use super::{SMALL, numbers, run, sets};
use crate::cpu::memory::as_output;
use crate::cpu::pool::{reference, vectors};
use crate::cpu::simd::Stored;
use crate::plan::{PoolShape, Window};

/// Batch, extents, channels and side of the window.
const SHAPES: &[(usize, (usize, usize), usize, usize)] = if SMALL {
    &[(1, (3, 5), 17, 2)]
} else {
    &[
        (3, (31, 31), 64, 2),
        (2, (3, 5), 1, 2),
        (1, (8, 7), 24, 3),
        (2, (5, 5), 100, 5),
        (1, (2, 2), 33, 1),
        (1, (16, 16), 3, 16),
    ]
};

fn check<S: Stored>(of: fn(f32) -> S) {
    for &(batch, input, channels, side) in SHAPES {
        let window = Window::dense((side, side), side, 0);
        let output = (input.0 / side, input.1 / side);
        let shape = PoolShape { batch, input, output, channels, window };
        // Few different values, so that many are equal; infinities and NaN among them.
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0];
        let x = numbers(batch * input.0 * input.1 * channels, 1).into_iter().enumerate();
        let x: Vec<S> = x.map(|(at, x)| of(if at % 7 == 3 { odd[at % 5] } else { (x * 4.0).round() / 4.0 })).collect();
        let dy: Vec<S> = numbers(batch * output.0 * output.1 * channels, 2).into_iter().map(of).collect();
        let bits = |values: &[S]| values.iter().map(|value| value.to_f32().to_bits()).collect::<Vec<_>>();
        let poison = of(7.0);
        let mut winners = vec![255; shape.y_len()];
        let y = run(shape.y_len(), poison, |y| reference::largest(&shape, &x, y, as_output(&mut winners)));
        let dx = run(shape.x_len(), poison, |dx| reference::spread(&shape, &dy, &winners, dx));
        for set in sets() {
            for threads in [1, 2, 7] {
                let name = format!("{set:?} {shape:?} {threads} threads");
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut fast_winners = vec![255; shape.y_len()];
                let fast_y = pool.install(|| {
                    let winners = as_output(&mut fast_winners);
                    run(shape.y_len(), poison, |y| vectors::largest(set, &shape, &x, y, winners))
                });
                assert_eq!(winners, fast_winners, "{name}");
                assert_eq!(bits(&y), bits(&fast_y), "{name}");
                let fast_dx =
                    pool.install(|| run(shape.x_len(), poison, |dx| vectors::spread(set, &shape, &dy, &winners, dx)));
                assert_eq!(bits(&dx), bits(&fast_dx), "{name}");
            }
        }
    }
}

#[test]
fn pools_agree_with_the_definition() {
    check::<f32>(|value| value);
    check::<bf16>(bf16::from_f32);
}
