//! The reference, for any element type.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::element::Element;
use crate::cpu::memory::fill;
use crate::plan::PoolShape;

/// The largest value of each window, and its tap in reading order. Among equal values the first wins; NaN wins over
/// everything.
pub(crate) fn largest<T: Element>(
    shape: &PoolShape,
    x: &[T],
    y: &mut [MaybeUninit<T>],
    winners: &mut [MaybeUninit<u8>],
) {
    assert!(x.len() == shape.x_len() && [y.len(), winners.len()] == [shape.y_len(); 2], "lengths");
    let (rows, columns) = shape.output;
    let row_len = columns * shape.channels;
    let image_len = shape.input.0 * shape.input.1 * shape.channels;
    let side = shape.window.kernel.0;
    y.par_chunks_mut(row_len).zip(winners.par_chunks_mut(row_len)).enumerate().for_each(|(row, (y, winners))| {
        let image = &x[row / rows * image_len..][..image_len];
        let pixels = y.chunks_mut(shape.channels).zip(winners.chunks_mut(shape.channels));
        for (column, (y, winners)) in pixels.enumerate() {
            let (y, winners) = (y.write_copy_of_slice(at(shape, image, (row % rows, column), 0)), fill(winners, 0));
            for tap in 1..side * side {
                let values = at(shape, image, (row % rows, column), tap);
                for ((best, winner), &value) in y.iter_mut().zip(winners.iter_mut()).zip(values) {
                    // A NaN compares unequal to itself; once it has won, nothing beats it.
                    #[allow(clippy::eq_op, reason = "the test for NaN that needs no trait")]
                    let wins = value > *best || value != value;
                    *best = if wins { value } else { *best };
                    *winner = if wins { tap as u8 } else { *winner };
                }
            }
        }
    });
}

/// The gradient of the pool's input: each window's goes to the tap that won, and zero everywhere else.
pub(crate) fn spread<T: Element>(shape: &PoolShape, dy: &[T], winners: &[u8], dx: &mut [MaybeUninit<T>]) {
    assert!(dx.len() == shape.x_len() && [dy.len(), winners.len()] == [shape.y_len(); 2], "lengths");
    let (columns, channels, side) = (shape.output.1, shape.channels, shape.window.kernel.0);
    let row_in = shape.input.1 * channels;
    let image_out = shape.output.0 * columns * channels;
    dx.par_chunks_mut(row_in).enumerate().for_each(|(row, dx)| {
        let (image, y) = (row / shape.input.0, row % shape.input.0);
        // What no window covers.
        fill(&mut dx[columns * side * channels..], T::zero());
        if y / side >= shape.output.0 {
            fill(dx, T::zero());
            return;
        }
        let first = image * image_out + y / side * columns * channels;
        for (pixel, dx) in dx.chunks_mut(channels).take(columns * side).enumerate() {
            let tap = (y % side * side + pixel % side) as u8;
            let from = first + pixel / side * channels;
            let sources = dy[from..].iter().zip(&winners[from..]);
            for (dx, (&g, &winner)) in dx.iter_mut().zip(sources) {
                dx.write(if winner == tap { g } else { T::zero() });
            }
        }
    });
}

/// The channels under one tap of the window at an output pixel.
fn at<'a, T>(shape: &PoolShape, image: &'a [T], (row, column): (usize, usize), tap: usize) -> &'a [T] {
    let side = shape.window.kernel.0;
    let pixel = (row * side + tap / side) * shape.input.1 + column * side + tap % side;
    &image[pixel * shape.channels..][..shape.channels]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::memory::as_output;
    use crate::plan::Window;

    /// Windows of 2x2 over 3x5 pixels of two channels; the last row and the last column are left over.
    #[test]
    fn windows_worked_by_hand() {
        let window = Window::dense((2, 2), 2, 0);
        let shape = PoolShape { batch: 1, input: (3, 5), output: (1, 2), channels: 2, window };
        let nan = f32::NAN;
        #[rustfmt::skip]
        let x = [
            1.0, 8.0,  2.0, 7.0,  5.0, 0.0,  5.0, 0.0,  9.0, 9.0,
            3.0, 6.0,  0.0, 8.0,  4.0, nan,  5.0, 1.0,  9.0, 9.0,
            9.0, 9.0,  9.0, 9.0,  9.0, 9.0,  9.0, 9.0,  9.0, 9.0f32,
        ];
        let (mut y, mut winners) = ([0.0; 4], [9; 4]);
        largest(&shape, &x, as_output(&mut y), as_output(&mut winners));
        assert_eq!(y[..3], [3.0, 8.0, 5.0]);
        assert!(y[3].is_nan());
        assert_eq!(winners, [2, 0, 0, 2]);
        #[rustfmt::skip]
        let expected = [
            0.0, 2.0,  0.0, 0.0,  3.0, 0.0,  0.0, 0.0,  0.0, 0.0,
            1.0, 0.0,  0.0, 0.0,  0.0, 4.0,  0.0, 0.0,  0.0, 0.0,
            0.0, 0.0,  0.0, 0.0,  0.0, 0.0,  0.0, 0.0,  0.0, 0.0f32,
        ];
        let mut dx = [7.0; 30];
        spread(&shape, &[1.0, 2.0, 3.0, 4.0], &winners, as_output(&mut dx));
        assert_eq!(dx, expected);
    }
}
