//! Means over windows.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::cpu::choose::Kernels;
use crate::cpu::tensors::{elements, tensor, with_elements};
use crate::plan::PoolShape;

pub(crate) fn avg_pool<T: Kernels>(op: &'static str, shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    x.apply_op1(AvgPool::<T> { op, shape, element: PhantomData })
}

struct AvgPool<T> {
    op: &'static str,
    shape: PoolShape,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> AvgPool<T> {
    fn share(&self) -> T::Accumulator {
        let kernel = self.shape.window.kernel;
        T::Accumulator::from_f64(1.0 / (kernel.0 * kernel.1) as f64)
    }

    /// Elements of one image on the input and the output side.
    fn image_lens(&self) -> (usize, usize) {
        let extent = |(height, width): (usize, usize)| height * width * self.shape.channels;
        (extent(self.shape.input), extent(self.shape.output))
    }
}

impl<T: Kernels> CustomOp1 for AvgPool<T> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (shape, share) = (&self.shape, self.share());
        let x = elements::<T>(x, layout)?;
        let (rows, columns) = shape.output;
        let (image_in, image_out) = self.image_lens();
        let mut y = vec![T::zero(); shape.batch * image_out];
        y.par_chunks_mut(image_out).zip(x.par_chunks(image_in)).for_each(|(y, x)| {
            T::accumulate(y, |y| {
                for (pixel, y) in y.chunks_mut(shape.channels).enumerate() {
                    let (rows, pixels) = shape.covered((pixel / columns, pixel % columns));
                    for iy in rows {
                        for ix in pixels.clone() {
                            let x = &x[(iy * shape.input.1 + ix) * shape.channels..];
                            for (sum, &x) in y.iter_mut().zip(x) {
                                *sum += x.widen();
                            }
                        }
                    }
                    for sum in y {
                        *sum *= share;
                    }
                }
            });
        });
        Ok((T::to_cpu_storage_owned(y), (shape.batch, rows, columns, shape.channels).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (shape, share) = (&self.shape, self.share());
        let (image_in, image_out) = self.image_lens();
        let gradient = gradient.contiguous()?;
        let mut dx = vec![T::zero(); shape.batch * image_in];
        with_elements::<T, _>(&gradient, |dy| {
            dx.par_chunks_mut(image_in).zip(dy.par_chunks(image_out)).for_each(|(dx, dy)| {
                T::accumulate(dx, |dx| {
                    for (pixel, dy) in dy.chunks(shape.channels).enumerate() {
                        let (rows, pixels) = shape.covered((pixel / shape.output.1, pixel % shape.output.1));
                        for iy in rows {
                            for ix in pixels.clone() {
                                let dx = &mut dx[(iy * shape.input.1 + ix) * shape.channels..];
                                for (sum, &g) in dx.iter_mut().zip(dy) {
                                    *sum += g.widen() * share;
                                }
                            }
                        }
                    }
                });
            });
            Ok(())
        })?;
        Ok(Some(tensor(dx, x.shape())))
    }
}
