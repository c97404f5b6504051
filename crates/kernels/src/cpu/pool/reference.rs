//! The reference, for any element type.

use rayon::prelude::*;

use crate::cpu::element::Element;
use crate::cpu::memory::Buffer;
use crate::plan::PoolShape;

/// The largest value of each window, and its tap in reading order. Among equal values the first wins; NaN wins over
/// everything.
pub(crate) fn largest<T: Element>(shape: &PoolShape, x: &[T]) -> (Buffer<T>, Buffer<u8>) {
    let (rows, columns) = shape.output;
    let row_len = columns * shape.channels;
    let len = shape.batch * rows * row_len;
    let (mut y, mut winners) = (Buffer::take(len), Buffer::take(len));
    let image_len = shape.input.0 * shape.input.1 * shape.channels;
    let side = shape.window.kernel.0;
    y.par_chunks_mut(row_len).zip(winners.par_chunks_mut(row_len)).enumerate().for_each(|(row, (y, winners))| {
        let image = &x[row / rows * image_len..][..image_len];
        let pixels = y.chunks_mut(shape.channels).zip(winners.chunks_mut(shape.channels));
        for (column, (y, winners)) in pixels.enumerate() {
            for tap in 0..side * side {
                let values = at(shape, image, (row % rows, column), tap);
                if tap == 0 {
                    y.copy_from_slice(values);
                    winners.fill(0);
                    continue;
                }
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
    (y, winners)
}

/// The gradient of the pool's input: each window's goes to the tap that won, and zero everywhere else.
pub(crate) fn spread<T: Element>(shape: &PoolShape, dy: &[T], winners: &[u8]) -> Buffer<T> {
    let (columns, channels, side) = (shape.output.1, shape.channels, shape.window.kernel.0);
    let row_in = shape.input.1 * channels;
    let image_out = shape.output.0 * columns * channels;
    let mut dx = Buffer::take(shape.batch * shape.input.0 * row_in);
    dx.par_chunks_mut(row_in).enumerate().for_each(|(row, dx)| {
        let (image, y) = (row / shape.input.0, row % shape.input.0);
        // What no window covers.
        dx[columns * side * channels..].fill(T::zero());
        if y / side >= shape.output.0 {
            return dx.fill(T::zero());
        }
        let first = image * image_out + y / side * columns * channels;
        for (pixel, dx) in dx.chunks_mut(channels).take(columns * side).enumerate() {
            let tap = (y % side * side + pixel % side) as u8;
            let from = first + pixel / side * channels;
            let sources = dy[from..].iter().zip(&winners[from..]);
            for (dx, (&g, &winner)) in dx.iter_mut().zip(sources) {
                *dx = if winner == tap { g } else { T::zero() };
            }
        }
    });
    dx
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
        let (y, winners) = largest(&shape, &x);
        assert_eq!(y[..3], [3.0, 8.0, 5.0]);
        assert!(y[3].is_nan());
        assert_eq!(winners[..], [2, 0, 0, 2]);
        #[rustfmt::skip]
        let expected = [
            0.0, 2.0,  0.0, 0.0,  3.0, 0.0,  0.0, 0.0,  0.0, 0.0,
            1.0, 0.0,  0.0, 0.0,  0.0, 4.0,  0.0, 0.0,  0.0, 0.0,
            0.0, 0.0,  0.0, 0.0,  0.0, 0.0,  0.0, 0.0,  0.0, 0.0f32,
        ];
        // Memory that held something else before.
        drop(
            (0..4)
                .map(|_| {
                    let mut b = Buffer::<f32>::take(30);
                    b.fill(7.0);
                    b
                })
                .collect::<Vec<_>>(),
        );
        assert_eq!(spread(&shape, &[1.0, 2.0, 3.0, 4.0], &winners)[..], expected);
    }
}
