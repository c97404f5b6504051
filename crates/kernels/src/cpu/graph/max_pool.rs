//! The maximum of each sliding window; the gradient goes to the position of the maximum.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::cpu::choose::Kernels;
use crate::cpu::graph::kept::Kept;
use crate::cpu::tensors::{elements, tensor, with_elements};
use crate::plan::PoolShape;

pub(crate) fn max_pool<T: Kernels>(shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    x.apply_op1(MaxPool::<T> { shape, winners: Kept::default(), element: PhantomData })
}

struct MaxPool<T> {
    shape: PoolShape,
    /// The position of each output element's maximum: a pixel of its image.
    winners: Kept<Vec<u32>>,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> CustomOp1 for MaxPool<T> {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = &self.shape;
        let x = elements::<T>(x, layout)?;
        let (rows, columns) = shape.output;
        let len = shape.batch * rows * columns * shape.channels;
        let mut y = vec![T::zero(); len];
        let mut winners = vec![0u32; len];
        let image_len = shape.input.0 * shape.input.1 * shape.channels;
        let row_len = columns * shape.channels;
        y.par_chunks_mut(row_len).zip(winners.par_chunks_mut(row_len)).enumerate().for_each(|(row, (y, winners))| {
            let image = &x[row / rows * image_len..][..image_len];
            let pixels = y.chunks_mut(shape.channels).zip(winners.chunks_mut(shape.channels));
            for (column, (y, winners)) in pixels.enumerate() {
                largest(shape, image, (row % rows, column), y, winners);
            }
        });
        self.winners.set(winners);
        Ok((T::to_cpu_storage_owned(y), (shape.batch, rows, columns, shape.channels).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let shape = &self.shape;
        let Some(winners) = self.winners.get() else {
            candle_core::bail!("max_pool2d: backward without forward");
        };
        let gradient = gradient.contiguous()?;
        let image_in = shape.input.0 * shape.input.1 * shape.channels;
        let image_out = shape.output.0 * shape.output.1 * shape.channels;
        let mut dx = vec![T::zero(); shape.batch * image_in];
        with_elements::<T, _>(&gradient, |dy| {
            let images = dy.par_chunks(image_out).zip(winners.par_chunks(image_out));
            dx.par_chunks_mut(image_in).zip(images).for_each(|(dx, (dy, winners))| {
                T::accumulate(dx, |dx| {
                    for (at, (&g, &winner)) in dy.iter().zip(winners).enumerate() {
                        dx[winner as usize * shape.channels + at % shape.channels] += g.widen();
                    }
                });
            });
            Ok(())
        })?;
        Ok(Some(tensor(dx, x.shape())))
    }
}

/// One output pixel: the largest value of each channel in the window, and its position.
fn largest<T: Kernels>(shape: &PoolShape, image: &[T], at: (usize, usize), y: &mut [T], winners: &mut [u32]) {
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
