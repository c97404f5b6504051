//! Means over windows and over whole images.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, WithDType};
use half::bf16;
use rayon::prelude::*;

use crate::element::{Element, elements, tensor, with_elements};
use crate::error::activation;
use crate::geometry::{PoolShape, Window};
use crate::max_pool::{covered, pool_shape};
use crate::{Error, Result};

/// The mean of every `kernel` x `kernel` window, zeros of the padding included (PyTorch's `count_include_pad`).
///
/// Shapes, types and errors are those of [`max_pool2d`](crate::max_pool2d()).
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[[[1f32], [3.]], [[5.], [7.]]]], &Device::Cpu)?;
/// let y = lookahead_kernels::avg_pool2d(&x, 2, 2, 0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [4.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = pool_shape("avg_pool2d", x, kernel, stride, padding)?;
    mean("avg_pool2d", x, shape)
}

/// The mean of every image and channel: (N, H, W, C) to (N, C).
///
/// # Errors
///
/// [`Error::Argument`] for images without pixels; else as [`conv2d`](crate::conv2d()).
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[[[1f32, 10.], [3., 20.]]]], &Device::Cpu)?;
/// assert_eq!(lookahead_kernels::global_avg_pool(&x)?.to_vec2::<f32>()?, [[2., 15.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let op = "global_avg_pool";
    let (batch, height, width, channels) = activation(op, "x", x)?;
    if height * width * channels == 0 {
        let value = format!("{height} x {width} x {channels}");
        return Err(Error::Argument { op, argument: "image", rule: "of at least one pixel and channel", value });
    }
    let window = Window { kernel: (height, width), stride: 1, padding: 0 };
    let shape = PoolShape { batch, input: (height, width), output: (1, 1), channels, window };
    Ok(mean(op, x, shape)?.reshape((batch, channels))?)
}

fn mean(op: &'static str, x: &Tensor, shape: PoolShape) -> Result<Tensor> {
    let x = x.contiguous()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::cuda::avg_pool(op, shape, &x);
    }
    #[cfg(feature = "metal")]
    if x.device().is_metal() {
        return Ok(crate::composed::avg_pool(&shape, &x)?);
    }
    Ok(match x.dtype() {
        DType::BF16 => x.apply_op1(AvgPool::<bf16> { op, shape, element: PhantomData })?,
        DType::F64 => x.apply_op1(AvgPool::<f64> { op, shape, element: PhantomData })?,
        _ => x.apply_op1(AvgPool::<f32> { op, shape, element: PhantomData })?,
    })
}

struct AvgPool<T> {
    op: &'static str,
    shape: PoolShape,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> AvgPool<T> {
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

impl<T: Element> CustomOp1 for AvgPool<T> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (shape, share) = (&self.shape, self.share());
        let x = elements::<T>(x, layout)?;
        let (rows, columns) = shape.output;
        let (image_in, image_out) = self.image_lens();
        let mut y = vec![T::zero(); shape.batch * image_out];
        y.par_chunks_mut(image_out).zip(x.par_chunks(image_in)).for_each(|(y, x)| {
            T::accumulate(y, |y| {
                for (pixel, y) in y.chunks_mut(shape.channels).enumerate() {
                    let (rows, pixels) = covered(shape, (pixel / columns, pixel % columns));
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

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (shape, share) = (&self.shape, self.share());
        let (image_in, image_out) = self.image_lens();
        let gradient = gradient.contiguous()?;
        let mut dx = vec![T::zero(); shape.batch * image_in];
        with_elements::<T, _>(&gradient, |dy| {
            dx.par_chunks_mut(image_in).zip(dy.par_chunks(image_out)).for_each(|(dx, dy)| {
                T::accumulate(dx, |dx| {
                    for (pixel, dy) in dy.chunks(shape.channels).enumerate() {
                        let (rows, pixels) = covered(shape, (pixel / shape.output.1, pixel % shape.output.1));
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
