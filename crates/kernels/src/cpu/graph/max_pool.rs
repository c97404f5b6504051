//! The maximum of each sliding window; the gradient goes to the position of the maximum.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::cpu::choose::Kernels;
use crate::cpu::graph::kept::Kept;
use crate::cpu::memory::{Buffer, Place};
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements};
use crate::plan::PoolShape;

pub(crate) fn max_pool<T: Kernels>(shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    x.apply_op1(MaxPool::<T> { shape, winners: Kept::default(), element: PhantomData })
}

struct MaxPool<T> {
    shape: PoolShape,
    winners: Kept<Winners>,
    element: PhantomData<fn() -> T>,
}

/// The position of each output element's maximum.
enum Winners {
    /// The tap of its window, in reading order.
    Taps(Buffer<u8>),
    /// The pixel of its image.
    Pixels(Vec<u32>),
}

/// Whether the windows lie side by side; the kernels of `pool` are for these.
fn is_tiled(shape: &PoolShape) -> bool {
    let window = &shape.window;
    let side = window.kernel.0;
    window.kernel == (side, side) && window.stride == side && window.padding == 0 && side <= PoolShape::MOST_SIDE
}

impl<T: Kernels> CustomOp1 for MaxPool<T> {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = &self.shape;
        let x = elements::<T>(x, layout)?;
        let (y, winners) = if is_tiled(shape) {
            let (y, taps) = run::largest(shape, x, Place::Tensor);
            (y.into_vec(), Winners::Taps(taps))
        } else {
            let (y, pixels) = largest(shape, x);
            (y, Winners::Pixels(pixels))
        };
        self.winners.set(winners);
        let (rows, columns) = shape.output;
        Ok((T::to_cpu_storage_owned(y), (shape.batch, rows, columns, shape.channels).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Some(winners) = self.winners.get() else {
            candle_core::bail!("max_pool2d: backward without forward");
        };
        let dx = with_elements::<T, _>(&gradient.contiguous()?, |dy| {
            Ok(match &*winners {
                Winners::Taps(taps) => run::spread(&self.shape, dy, taps, Place::Tensor).into_vec(),
                Winners::Pixels(pixels) => spread(&self.shape, dy, pixels),
            })
        })?;
        Ok(Some(tensor(dx, x.shape())))
    }
}

/// The largest values, and their pixels, of windows that may overlap.
fn largest<T: Kernels>(shape: &PoolShape, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let (rows, columns) = shape.output;
    let (mut y, mut winners) = (vec![T::zero(); shape.y_len()], vec![0; shape.y_len()]);
    let image_len = shape.input.0 * shape.input.1 * shape.channels;
    let row_len = columns * shape.channels;
    y.par_chunks_mut(row_len).zip(winners.par_chunks_mut(row_len)).enumerate().for_each(|(row, (y, winners))| {
        let image = &x[row / rows * image_len..][..image_len];
        let pixels = y.chunks_mut(shape.channels).zip(winners.chunks_mut(shape.channels));
        for (column, (y, winners)) in pixels.enumerate() {
            largest_pixel(shape, image, (row % rows, column), y, winners);
        }
    });
    (y, winners)
}

/// The gradient of the input: that of each window added to the pixel that won.
fn spread<T: Kernels>(shape: &PoolShape, dy: &[T], winners: &[u32]) -> Vec<T> {
    let image_in = shape.input.0 * shape.input.1 * shape.channels;
    let image_out = shape.output.0 * shape.output.1 * shape.channels;
    let mut dx = vec![T::zero(); shape.x_len()];
    let images = dy.par_chunks(image_out).zip(winners.par_chunks(image_out));
    dx.par_chunks_mut(image_in).zip(images).for_each(|(dx, (dy, winners))| {
        T::accumulate(dx, |dx| {
            for (dy, winners) in dy.chunks(shape.channels).zip(winners.chunks(shape.channels)) {
                for (channel, (&g, &winner)) in dy.iter().zip(winners).enumerate() {
                    dx[winner as usize * shape.channels + channel] += g.widen();
                }
            }
        });
    });
    dx
}

/// One output pixel: the largest value of each channel in the window, and its position.
fn largest_pixel<T: Kernels>(shape: &PoolShape, image: &[T], at: (usize, usize), y: &mut [T], winners: &mut [u32]) {
    y.fill(T::from_f64(f64::NEG_INFINITY));
    let mut first = true;
    let (rows, columns) = shape.covered(at);
    for iy in rows {
        for ix in columns.clone() {
            let pixel = iy * shape.input.1 + ix;
            let values = &image[pixel * shape.channels..][..shape.channels];
            for ((best, winner), &value) in y.iter_mut().zip(winners.iter_mut()).zip(values) {
                // A NaN compares unequal to itself; once it has won, nothing beats it.
                #[allow(clippy::eq_op, reason = "the test for NaN that needs no trait")]
                if first || value > *best || value != value {
                    *best = value;
                    *winner = pixel as u32;
                }
            }
            first = false;
        }
    }
}
