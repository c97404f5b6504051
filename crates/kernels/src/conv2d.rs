//! Convolution as one node of candle's graph.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor};
use half::bf16;

use crate::element::{Element, elements, tensor, with_elements, with_weight};
use crate::error::{activation, require_device, require_parameter_dtype, wrong_shape};
use crate::geometry::{ConvShape, Window};
use crate::{Error, Result, memory};

/// Cross-correlation of images with filters, as PyTorch's `conv2d` without bias, dilation or groups.
///
/// `y[n, p, q, o] = sum over i, r, s of x[n, p * stride + r - padding, q * stride + s - padding, i] * weight[o, i, r, s]`,
/// with zeros outside the image.
///
/// | argument | shape | meaning |
/// | --- | --- | --- |
/// | `x` | (N, H, W, I) | activations, channels last, bf16, f32 or f64 |
/// | `weight` | (O, I, Kh, Kw) | filters in PyTorch's order, same type as `x`, or f32 beside bf16 |
/// | `stride` | at least 1 | step of the window, both ways |
/// | `padding` | any | zeros on each side, both ways |
///
/// Returns (N, P, Q, O) with `P = (H + 2 * padding - Kh) / stride + 1`, rounded down, and `Q` likewise. Both arguments
/// get gradients; an argument that is not part of a graph, as the images of the first layer, costs nothing.
/// The result has the type of `x`, each gradient that of its argument; beside bf16 all sums are f32, rounded once.
/// How precisely f32 sums are formed is told by [`ConvAlgorithm`](crate::ConvAlgorithm).
///
/// # Errors
///
/// [`Error::Shape`], [`Error::DType`] or [`Error::Device`] naming the argument; [`Error::Argument`] for a stride of 0 or a
/// filter larger than the padded image.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// // A 1x3 image with one channel, and a filter that adds three neighbours.
/// let x = Tensor::new(&[[[[1f32], [2.], [3.]]]], &Device::Cpu)?;
/// let weight = Tensor::ones((1, 1, 1, 3), DType::F32, &Device::Cpu)?;
/// let y = lookahead_kernels::conv2d(&x, &weight, 1, 0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [6.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = checked("conv2d", x, weight, stride, padding)?;
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::cuda::conv2d(shape, &x, &weight);
    }
    #[cfg(feature = "metal")]
    if x.device().is_metal() {
        return Ok(crate::composed::conv2d(&shape, &x, &weight)?);
    }
    let filters = weight.detach();
    let y = match x.dtype() {
        DType::BF16 => x.apply_op2(&weight, Conv2d::<bf16> { shape, filters, element: PhantomData })?,
        DType::F64 => x.apply_op2(&weight, Conv2d::<f64> { shape, filters, element: PhantomData })?,
        _ => x.apply_op2(&weight, Conv2d::<f32> { shape, filters, element: PhantomData })?,
    };
    Ok(y)
}

/// Checks the arguments of a convolution and gives its extents.
pub(crate) fn checked(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<ConvShape> {
    let input = activation(op, "x", x)?;
    require_device(op, "weight", weight)?;
    require_parameter_dtype(op, "weight", weight, x.dtype())?;
    conv_shape(op, input, weight, stride, padding)
}

/// The extents of a convolution of activations with the extents `(batch, height, width, channels_in)`.
pub(crate) fn conv_shape(
    op: &'static str,
    (batch, height, width, channels_in): (usize, usize, usize, usize),
    weight: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<ConvShape> {
    let expected = || format!("(O, {channels_in}, Kh, Kw) to match x");
    let (channels_out, inputs, kernel_height, kernel_width) =
        weight.dims4().map_err(|_| wrong_shape(op, "weight", expected(), weight))?;
    if inputs != channels_in {
        return Err(wrong_shape(op, "weight", expected(), weight));
    }
    if channels_in == 0 || channels_out == 0 {
        let value = format!("{channels_in} in, {channels_out} out");
        return Err(Error::Argument { op, argument: "channels", rule: "at least 1", value });
    }
    let window = Window { kernel: (kernel_height, kernel_width), stride, padding };
    let output = window.output(op, (height, width))?;
    Ok(ConvShape { batch, input: (height, width), output, channels_in, channels_out, window })
}

struct Conv2d<T> {
    shape: ConvShape,
    /// The weight apart from the graph, of whichever type it is.
    filters: Tensor,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> CustomOp2 for Conv2d<T> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = &self.shape;
        let mut y = memory::uninit(shape.y_len());
        with_weight::<T, _>(&self.filters, |weight| {
            T::conv2d_forward(shape, elements(x, x_layout)?, weight, &mut y);
            Ok(())
        })?;
        // SAFETY: the forward kernel writes every element of its output.
        let y = unsafe { memory::assume_init(y) };
        Ok((T::to_cpu_storage_owned(y), (shape.batch, shape.output.0, shape.output.1, shape.channels_out).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        with_elements::<T, _>(&gradient, |dy| {
            let dx = if x.track_op() { Some(input_gradient(&self.shape, dy, weight)?) } else { None };
            let dw =
                weight.track_op().then(|| with_elements::<T, _>(x, |x| weight_gradient(&self.shape, x, dy, weight)));
            let dw = dw.transpose()?;
            Ok((dx, dw))
        })
    }
}

/// The gradient of a convolution's input.
pub(crate) fn input_gradient<T: Element>(shape: &ConvShape, dy: &[T], weight: &Tensor) -> candle_core::Result<Tensor> {
    with_weight::<T, _>(weight, |weight| {
        let mut dx = memory::uninit(shape.x_len());
        T::conv2d_backward_data(shape, dy, weight, false, &mut dx);
        // SAFETY: the kernel writes every element of its output.
        let dx = unsafe { memory::assume_init(dx) };
        Ok(tensor(dx, (shape.batch, shape.input.0, shape.input.1, shape.channels_in)))
    })
}

/// The gradient of a convolution's weight.
pub(crate) fn weight_gradient<T: Element>(
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    weight: &Tensor,
) -> candle_core::Result<Tensor> {
    let mut dw = memory::uninit(shape.weight_len());
    T::conv2d_backward_weight(shape, x, dy, &mut dw);
    // SAFETY: the kernel writes every element of its output.
    tensor(unsafe { memory::assume_init(dw) }, weight.shape()).to_dtype(weight.dtype())
}
