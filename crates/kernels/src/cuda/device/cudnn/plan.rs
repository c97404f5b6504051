//! The descriptors of a convolution, and cuDNN's proposals for each direction.

use std::ffi::c_int;

use candle_core::cuda_backend::cudarc::cudnn::{result, sys};

use crate::cuda::attempts::Attempts;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Convolution, Direction, Order};

/// One of cuDNN's proposals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposal<A> {
    pub(super) algorithm: A,
    /// Bytes.
    pub(super) workspace: usize,
    pub(super) math: sys::cudnnMathType_t,
}

/// The descriptors of one convolution, and the proposals for each direction that was run.
pub(super) struct Plan {
    pub(super) x: sys::cudnnTensorDescriptor_t,
    pub(super) y: sys::cudnnTensorDescriptor_t,
    pub(super) weight: sys::cudnnFilterDescriptor_t,
    /// Strides and padding; the arithmetic is set before each use.
    pub(super) convolution: sys::cudnnConvolutionDescriptor_t,
    /// The arithmetic requested for proposals.
    pub(super) math: sys::cudnnMathType_t,
    pub(super) forward: Option<Attempts<Proposal<sys::cudnnConvolutionFwdAlgo_t>>>,
    pub(super) data: Option<Attempts<Proposal<sys::cudnnConvolutionBwdDataAlgo_t>>>,
    pub(super) filter: Option<Attempts<Proposal<sys::cudnnConvolutionBwdFilterAlgo_t>>>,
    /// Directions for which nothing ran, and why.
    refusals: Vec<(Direction, String)>,
}

impl Plan {
    /// Descriptors are leaked if creation fails half-way: cuDNN rejects a shape once, not at every step.
    pub(super) fn new(of: &Convolution, tf32: bool) -> Result<Self, result::CudnnError> {
        let (data_type, compute) = match of.element {
            ElementType::F32 => (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnDataType_t::CUDNN_DATA_FLOAT),
            ElementType::F64 => (sys::cudnnDataType_t::CUDNN_DATA_DOUBLE, sys::cudnnDataType_t::CUDNN_DATA_DOUBLE),
            ElementType::Bf16 => (sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16, sys::cudnnDataType_t::CUDNN_DATA_FLOAT),
        };
        let math = match of.element {
            // The default is TF32 on tensor cores.
            ElementType::F32 if !tf32 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            ElementType::F32 | ElementType::F64 => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            ElementType::Bf16 => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        };
        let order = match of.order {
            Order::ChannelsFirst => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW,
            Order::ChannelsLast => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
        };
        let shape = &of.shape;
        let [batch, inputs, outputs] = [shape.batch, shape.channels_in, shape.channels_out].map(|n| n as c_int);
        let [groups, group_inputs] = [shape.groups, shape.group_inputs()].map(|n| n as c_int);
        let image = |(height, width): (usize, usize)| (height as c_int, width as c_int);
        let ((height, width), (rows, columns)) = (image(shape.input), image(shape.output));
        let (kernel_height, kernel_width) = image(shape.window.kernel);
        let [padding, stride, dilation] =
            [shape.window.padding, shape.window.stride, shape.window.dilation].map(|n| n as c_int);
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        // SAFETY: every descriptor was created in the line before it is set.
        unsafe {
            let x = result::create_tensor_descriptor()?;
            result::set_tensor4d_descriptor(x, order, data_type, [batch, inputs, height, width])?;
            let y = result::create_tensor_descriptor()?;
            result::set_tensor4d_descriptor(y, order, data_type, [batch, outputs, rows, columns])?;
            let weight = result::create_filter_descriptor()?;
            let dims = [outputs, group_inputs, kernel_height, kernel_width];
            result::set_filter4d_descriptor(weight, data_type, order, dims)?;
            let convolution = result::create_convolution_descriptor()?;
            result::set_convolution2d_descriptor(
                convolution,
                padding,
                padding,
                stride,
                stride,
                dilation,
                dilation,
                mode,
                compute,
            )?;
            result::set_convolution_group_count(convolution, groups)?;
            let (forward, data, filter, refusals) = (None, None, None, Vec::new());
            Ok(Self { x, y, weight, convolution, math, forward, data, filter, refusals })
        }
    }

    /// Whether cuDNN was not asked yet.
    pub(super) fn is_new(&self, direction: Direction) -> bool {
        match direction {
            Direction::Forward => self.forward.is_none(),
            Direction::Data { .. } => self.data.is_none(),
            Direction::Filter => self.filter.is_none(),
        }
    }

    /// Why nothing runs this direction.
    pub(super) fn refusal(&self, direction: Direction) -> Option<&str> {
        self.refusals.iter().find(|(refused, _)| *refused == direction).map(|(_, why)| why.as_str())
    }

    pub(super) fn refuse(&mut self, direction: Direction, why: String) {
        self.refusals.push((direction, why));
    }

    /// Sets the arithmetic of the descriptor.
    pub(super) fn set_math(
        convolution: sys::cudnnConvolutionDescriptor_t,
        math: sys::cudnnMathType_t,
    ) -> candle_core::Result<()> {
        // SAFETY: the descriptor is a plan's, which lives.
        unsafe { result::set_convolution_math_type(convolution, math) }.map_err(candle_core::Error::wrap)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each was created in `new` and is destroyed once. A failure has nobody to go to.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.x);
            let _ = result::destroy_tensor_descriptor(self.y);
            let _ = result::destroy_filter_descriptor(self.weight);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}
