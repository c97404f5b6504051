//! Maximum over a sliding window; the gradient goes to the element that won.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

use crate::element::{Element, elements, tensor, with_elements};
use crate::error::activation;
use crate::geometry::{PoolShape, Window};
use crate::{Error, Result, memory};

/// The largest value of every `kernel` x `kernel` window.
///
/// `x` is (N, H, W, C), bf16, f32 or f64; the result is (N, P, Q, C) with `P = (H + 2 * padding - kernel) / stride + 1`, rounded
/// down. Padding never wins. Of equal values the first in reading order wins and gets the whole gradient, and NaN wins
/// over everything, as in PyTorch. (candle's own pool wants `kernel == stride` and scales the gradient by
/// `1 / kernel^2`.)
///
/// # Errors
///
/// [`Error::Argument`] for a kernel or stride of 0, a kernel larger than the padded image, or padding above half the kernel;
/// else as [`conv2d`](crate::conv2d()).
///
/// ```
/// use candle_core::{Device, Var};
///
/// let x = Var::new(&[[[[1f32], [5.], [2.]]]], &Device::Cpu)?;
/// let y = lookahead_kernels::max_pool2d(&x, 1, 2, 0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1., 2.]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?, [1., 0., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = pool_shape("max_pool2d", x, kernel, stride, padding)?;
    let x = x.contiguous()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::cuda::max_pool(shape, &x);
    }
    #[cfg(feature = "metal")]
    if x.device().is_metal() {
        return Ok(crate::composed::max_pool(&shape, &x)?);
    }
    Ok(match x.dtype() {
        DType::BF16 => x.apply_op1(MaxPool::<bf16>::new(shape))?,
        DType::F64 => x.apply_op1(MaxPool::<f64>::new(shape))?,
        _ => x.apply_op1(MaxPool::<f32>::new(shape))?,
    })
}

/// Checks the arguments of a pooling and gives its extents.
pub(crate) fn pool_shape(
    op: &'static str,
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<PoolShape> {
    let (batch, height, width, channels) = activation(op, "x", x)?;
    let window = Window { kernel: (kernel, kernel), stride, padding };
    let output = window.output(op, (height, width))?;
    if padding > kernel / 2 {
        let rule = "at most half the kernel, or a window could lie outside the image";
        return Err(Error::Argument { op, argument: "padding", rule, value: padding.to_string() });
    }
    if channels == 0 {
        return Err(Error::Argument { op, argument: "channels", rule: "at least 1", value: "0".into() });
    }
    Ok(PoolShape { batch, input: (height, width), output, channels, window })
}

struct MaxPool<T> {
    shape: PoolShape,
    /// Of every output element, the pixel of its image that won.
    winners: Mutex<Vec<u32>>,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> MaxPool<T> {
    fn new(shape: PoolShape) -> Self {
        Self { shape, winners: Mutex::new(Vec::new()), element: PhantomData }
    }
}

impl<T: Element> CustomOp1 for MaxPool<T> {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = &self.shape;
        let x = elements::<T>(x, layout)?;
        let (rows, columns) = shape.output;
        let len = shape.batch * rows * columns * shape.channels;
        let mut y: Vec<MaybeUninit<T>> = memory::uninit(len);
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
        *self.winners.lock().unwrap_or_else(PoisonError::into_inner) = winners;
        // SAFETY: `largest` writes every element of the pixel it is given, and every pixel was given.
        let y = unsafe { memory::assume_init(y) };
        Ok((T::to_cpu_storage_owned(y), (shape.batch, rows, columns, shape.channels).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let shape = &self.shape;
        let winners = self.winners.lock().unwrap_or_else(PoisonError::into_inner);
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

/// One output pixel: the largest value of each channel in the window, and where it stood.
fn largest<T: Element>(
    shape: &PoolShape,
    image: &[T],
    at: (usize, usize),
    y: &mut [MaybeUninit<T>],
    winners: &mut [u32],
) {
    let y = memory::fill(y, T::from_f64(f64::NEG_INFINITY));
    let mut first = true;
    let (rows, columns) = covered(shape, at);
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

/// The rows and columns of the image that the window at output `(oy, ox)` covers.
pub(crate) fn covered(shape: &PoolShape, (oy, ox): (usize, usize)) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let span = |out: usize, kernel: usize, extent: usize| {
        let start = out * shape.window.stride;
        let end = (start + kernel).saturating_sub(shape.window.padding).min(extent);
        start.saturating_sub(shape.window.padding).min(end)..end
    };
    (span(oy, shape.window.kernel.0, shape.input.0), span(ox, shape.window.kernel.1, shape.input.1))
}
