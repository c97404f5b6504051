//! Convolution and its two gradients as sums over taps, the output channel innermost.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::conv::Epilogue;
use crate::cpu::element::Element;
use crate::cpu::memory::{assume_init_mut, fill};
use crate::plan::ConvShape;

/// Maximum number of partial sums of a weight gradient, each over some of the images: enough for 32 threads. It depends
/// only on the problem, so that the order of additions does not depend on the number of threads.
const WEIGHT_PARTS: usize = 32;
/// Maximum number of elements of all partial sums together.
const SUM_ELEMENTS: usize = 1 << 22;

/// Partial sums of a weight gradient.
fn weight_parts(shape: &ConvShape) -> usize {
    shape.batch.min(SUM_ELEMENTS / shape.weight_len()).clamp(1, WEIGHT_PARTS)
}

/// Weights from (O, I, Kh, Kw) to (tap, I, O), the order the forward pass and the weight gradient read; I are those of a group.
fn by_tap<T: Element>(shape: &ConvShape, weight: &[T]) -> Vec<T> {
    let (taps, inputs, outputs) = (shape.taps(), shape.group_inputs(), shape.channels_out);
    let mut packed = vec![T::zero(); shape.weight_len()];
    for o in 0..outputs {
        for i in 0..inputs {
            for tap in 0..taps {
                packed[(tap * inputs + i) * outputs + o] = weight[(o * inputs + i) * taps + tap];
            }
        }
    }
    packed
}

/// `y[n, oy, ox, o] = bias[o] + sum over taps and i of x[n, oy*stride + r*dilation - padding, .., i] * w[o, i, r, s]`, `i`
/// running over the inputs of `o`'s group; then the residual is added, and the rectifier applied.
pub(crate) fn forward<T: Element>(
    shape: &ConvShape,
    x: &[T],
    weight: &[T::Accumulator],
    epilogue: Epilogue<'_, T>,
    y: &mut [MaybeUninit<T>],
) {
    let (width, outputs) = (shape.output.1, shape.channels_out);
    let (group_inputs, group_outputs) = (shape.group_inputs(), shape.group_outputs());
    if y.is_empty() {
        return;
    }
    let packed = by_tap(shape, weight);
    y.par_chunks_mut(width * outputs).enumerate().for_each(|(row, y_row)| {
        let y_row = fill(y_row, T::zero());
        let (image, oy) = (row / shape.output.0, row % shape.output.0);
        T::accumulate(y_row, |y_row| {
            for (ox, y_pixel) in y_row.chunks_mut(outputs).enumerate() {
                if let Some(bias) = epilogue.bias {
                    y_pixel.copy_from_slice(bias);
                }
                for tap in 0..shape.taps() {
                    let Some(x_pixel) = input_pixel(shape, x, image, (oy, ox), tap) else { continue };
                    for (i, &value) in x_pixel.iter().enumerate() {
                        let group = i / group_inputs * group_outputs..(i / group_inputs + 1) * group_outputs;
                        let w = &packed[(tap * group_inputs + i % group_inputs) * outputs..][group.clone()];
                        for (sum, &w) in y_pixel[group].iter_mut().zip(w) {
                            *sum += value.widen() * w;
                        }
                    }
                }
            }
            if let Some(residual) = epilogue.residual {
                let residual = &residual[row * width * outputs..];
                y_row.iter_mut().zip(residual).for_each(|(sum, residual)| *sum += residual.widen());
            }
            if epilogue.relu {
                // A comparison, false for NaN, which stays.
                let zero = T::zero().widen();
                y_row.iter_mut().filter(|sum| **sum < zero).for_each(|sum| *sum = zero);
            }
        });
    });
}

/// `dx`: distributes the gradient of every output pixel to the input pixels that its window covered, added to the content
/// of `dx` if `add`.
pub(crate) fn backward_data<T: Element>(
    shape: &ConvShape,
    dy: &[T],
    weight: &[T::Accumulator],
    add: bool,
    dx: &mut [MaybeUninit<T>],
) {
    let (inputs, outputs, taps) = (shape.channels_in, shape.channels_out, shape.taps());
    let (group_inputs, group_outputs) = (shape.group_inputs(), shape.group_outputs());
    let image_len = shape.input.0 * shape.input.1 * inputs;
    if dx.is_empty() {
        return;
    }
    // (tap, O, I): the input channel innermost.
    let mut packed = vec![T::zero().widen(); shape.weight_len()];
    for o in 0..outputs {
        for i in 0..group_inputs {
            for tap in 0..taps {
                packed[(tap * outputs + o) * group_inputs + i] = weight[(o * group_inputs + i) * taps + tap];
            }
        }
    }
    dx.par_chunks_mut(image_len).enumerate().for_each(|(image, dx_image)| {
        let dx_image = if add {
            // SAFETY: with `add` the caller has written every element, as the trait's contract demands.
            unsafe { assume_init_mut(dx_image) }
        } else {
            fill(dx_image, T::zero())
        };
        T::accumulate(dx_image, |dx_image| {
            for oy in 0..shape.output.0 {
                for ox in 0..shape.output.1 {
                    let dy_pixel = &dy[((image * shape.output.0 + oy) * shape.output.1 + ox) * outputs..][..outputs];
                    for tap in 0..taps {
                        let Some((iy, ix)) = input_position(shape, (oy, ox), tap) else { continue };
                        let dx_pixel = &mut dx_image[(iy * shape.input.1 + ix) * inputs..][..inputs];
                        for (o, &value) in dy_pixel.iter().enumerate() {
                            let w = &packed[(tap * outputs + o) * group_inputs..][..group_inputs];
                            let first = o / group_outputs * group_inputs;
                            for (sum, &w) in dx_pixel[first..].iter_mut().zip(w) {
                                *sum += value.widen() * w;
                            }
                        }
                    }
                }
            }
        });
    });
}

/// `dw[o, i, r, s] = sum over n, oy, ox of dy[n, oy, ox, o] * x[...]`, in a fixed number of partial sums over images.
pub(crate) fn backward_weight<T: Element>(
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    dw: &mut [MaybeUninit<T::Accumulator>],
) {
    let (inputs, outputs, taps) = (shape.group_inputs(), shape.channels_out, shape.taps());
    let group_outputs = shape.group_outputs();
    let parts = weight_parts(shape);
    let partials: Vec<Vec<T::Accumulator>> = (0..parts)
        .into_par_iter()
        .with_max_len(1)
        .map(|part| {
            let mut sums = vec![T::zero().widen(); shape.weight_len()];
            let images = shape.batch * part / parts..shape.batch * (part + 1) / parts;
            for image in images {
                for oy in 0..shape.output.0 {
                    for ox in 0..shape.output.1 {
                        let pixel = (image * shape.output.0 + oy) * shape.output.1 + ox;
                        let dy_pixel = &dy[pixel * outputs..][..outputs];
                        for tap in 0..taps {
                            let Some(x_pixel) = input_pixel(shape, x, image, (oy, ox), tap) else { continue };
                            for (i, &value) in x_pixel.iter().enumerate() {
                                let group = i / inputs * group_outputs..(i / inputs + 1) * group_outputs;
                                let row = &mut sums[(tap * inputs + i % inputs) * outputs..][group.clone()];
                                for (sum, &g) in row.iter_mut().zip(&dy_pixel[group]) {
                                    *sum += value.widen() * g.widen();
                                }
                            }
                        }
                    }
                }
            }
            sums
        })
        .collect();
    for o in 0..outputs {
        for i in 0..inputs {
            for tap in 0..taps {
                let at = (tap * inputs + i) * outputs + o;
                let mut sum = T::zero().widen();
                for partial in &partials {
                    sum += partial[at];
                }
                dw[(o * inputs + i) * taps + tap].write(sum);
            }
        }
    }
}

/// The position in the image of tap `tap` of the window at output `(oy, ox)`; `None` in the padding.
fn input_position(shape: &ConvShape, (oy, ox): (usize, usize), tap: usize) -> Option<(usize, usize)> {
    let window = shape.window;
    let (r, s) = (tap / window.kernel.1 * window.dilation, tap % window.kernel.1 * window.dilation);
    let iy = (oy * window.stride + r).checked_sub(window.padding)?;
    let ix = (ox * window.stride + s).checked_sub(window.padding)?;
    (iy < shape.input.0 && ix < shape.input.1).then_some((iy, ix))
}

fn input_pixel<'a, T>(shape: &ConvShape, x: &'a [T], image: usize, at: (usize, usize), tap: usize) -> Option<&'a [T]> {
    let (iy, ix) = input_position(shape, at, tap)?;
    let pixel = (image * shape.input.0 + iy) * shape.input.1 + ix;
    Some(&x[pixel * shape.channels_in..][..shape.channels_in])
}
