//! cuDNN's convolutions of channels-last tensors: descriptors and algorithms, found once for each shape.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::cuda_backend::{CudaDevice, DeviceId};

use crate::cuda::call::Pointer;
use crate::cuda::device::libraries;
use crate::cuda::device::memory::Scratch;
use crate::cuda::source::ElementType;
use crate::plan::ConvShape;

/// The most memory an algorithm may ask for. Not measured; PyTorch has no such limit, but asks only for what is free.
const MOST_WORKSPACE: usize = 1 << 30;

/// As many as cuDNN has algorithms for one direction, and some to spare.
const ALGORITHMS: usize = 16;

/// One device's handle, with everything worth keeping between calls. Handles belong to one thread.
struct Handle {
    handle: sys::cudnnHandle_t,
    /// The stream it works on, whose context must outlive it.
    _stream: Arc<CudaStream>,
    plans: HashMap<(ConvShape, ElementType), Plan>,
    /// Grown to what the greediest algorithm wants. One stream runs one convolution at a time, so all share it.
    workspace: Option<(Scratch, usize)>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: created in `with_handle`, and dropped once. A failure has nobody to go to.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

thread_local! {
    static HANDLES: RefCell<HashMap<DeviceId, Handle>> = RefCell::new(HashMap::new());
}

/// Calls `f` with this thread's handle for the device, made at its first use.
fn with_handle<R>(device: &CudaDevice, f: impl FnOnce(&mut Handle) -> Result<R>) -> Result<R> {
    HANDLES.with(|handles| {
        let mut handles = handles.borrow_mut();
        let handle = match handles.entry(device.id()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                libraries::require_cudnn()?;
                let stream = device.cuda_stream();
                stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
                let handle = result::create_handle().map_err(candle_core::Error::wrap)?;
                let handle =
                    entry.insert(Handle { handle, _stream: stream.clone(), plans: HashMap::new(), workspace: None });
                // SAFETY: both were made a moment ago and live as long as the device.
                unsafe { result::set_stream(handle.handle, stream.cu_stream().cast()) }
                    .map_err(candle_core::Error::wrap)?;
                handle
            }
        };
        f(handle)
    })
}

impl Handle {
    /// Memory of at least `bytes` bytes.
    fn workspace(&mut self, device: &CudaDevice, bytes: usize) -> Result<Pointer> {
        match &self.workspace {
            Some((scratch, size)) if *size >= bytes => Ok(scratch.at()),
            _ => {
                self.workspace = None;
                let scratch = Scratch::new(device, bytes)?;
                let at = scratch.at();
                self.workspace = Some((scratch, bytes));
                Ok(at)
            }
        }
    }
}

/// The descriptors of one shape, and what was chosen for each direction.
struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    /// One a direction, as the choice of arithmetic is written into it.
    forward: sys::cudnnConvolutionDescriptor_t,
    data: sys::cudnnConvolutionDescriptor_t,
    filter: sys::cudnnConvolutionDescriptor_t,
    forward_choice: Option<(sys::cudnnConvolutionFwdAlgo_t, usize)>,
    data_choice: Option<(sys::cudnnConvolutionBwdDataAlgo_t, usize)>,
    filter_choice: Option<(sys::cudnnConvolutionBwdFilterAlgo_t, usize)>,
}

impl Plan {
    /// Descriptors that fail half-way are lost; cuDNN refuses a shape once, not at every step.
    fn new(shape: &ConvShape, stored: ElementType) -> std::result::Result<Self, result::CudnnError> {
        let (data_type, compute) = match stored {
            ElementType::F32 => (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnDataType_t::CUDNN_DATA_FLOAT),
            ElementType::F64 => (sys::cudnnDataType_t::CUDNN_DATA_DOUBLE, sys::cudnnDataType_t::CUDNN_DATA_DOUBLE),
            ElementType::Bf16 => (sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16, sys::cudnnDataType_t::CUDNN_DATA_FLOAT),
        };
        let channels_last = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let [batch, inputs, outputs] = [shape.batch, shape.channels_in, shape.channels_out].map(|n| n as c_int);
        let [groups, group_inputs] = [shape.groups, shape.group_inputs()].map(|n| n as c_int);
        let image = |(height, width): (usize, usize)| (height as c_int, width as c_int);
        let ((height, width), (rows, columns)) = (image(shape.input), image(shape.output));
        let (kernel_height, kernel_width) = image(shape.window.kernel);
        // SAFETY: every descriptor was created in the line before it is set.
        unsafe {
            let x = result::create_tensor_descriptor()?;
            result::set_tensor4d_descriptor(x, channels_last, data_type, [batch, inputs, height, width])?;
            let y = result::create_tensor_descriptor()?;
            result::set_tensor4d_descriptor(y, channels_last, data_type, [batch, outputs, rows, columns])?;
            let weight = result::create_filter_descriptor()?;
            let dims = [outputs, group_inputs, kernel_height, kernel_width];
            result::set_filter4d_descriptor(weight, data_type, channels_last, dims)?;
            let convolution = || {
                let [padding, stride, dilation] =
                    [shape.window.padding, shape.window.stride, shape.window.dilation].map(|n| n as c_int);
                let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
                let descriptor = result::create_convolution_descriptor()?;
                result::set_convolution2d_descriptor(
                    descriptor, padding, padding, stride, stride, dilation, dilation, mode, compute,
                )?;
                result::set_convolution_group_count(descriptor, groups)?;
                // The default arithmetic allows TF32 for f32, as PyTorch does; bf16 is what tensor cores are for.
                if stored == ElementType::Bf16 {
                    result::set_convolution_math_type(descriptor, sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH)?;
                }
                Ok(descriptor)
            };
            let (forward, data, filter) = (convolution()?, convolution()?, convolution()?);
            let (forward_choice, data_choice, filter_choice) = (None, None, None);
            Ok(Self { x, y, weight, forward, data, filter, forward_choice, data_choice, filter_choice })
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each was created in `new` and is destroyed once. A failure has nobody to go to.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.x);
            let _ = result::destroy_tensor_descriptor(self.y);
            let _ = result::destroy_filter_descriptor(self.weight);
            for descriptor in [self.forward, self.data, self.filter] {
                let _ = result::destroy_convolution_descriptor(descriptor);
            }
        }
    }
}

/// The first of cuDNN's proposals, best first, that works and is modest; its arithmetic goes into the descriptor.
macro_rules! choose {
    ($chosen:expr, $descriptor:expr, $what:literal, $shape:expr, $ask:expr) => {
        match $chosen {
            Some(choice) => choice,
            None => {
                let mut count: c_int = 0;
                // SAFETY: plain numbers, for which zeros are values of every field; cuDNN fills in `count` of them.
                let mut proposals = unsafe { [std::mem::zeroed(); ALGORITHMS] };
                $ask(&mut count, proposals.as_mut_ptr()).map_err(candle_core::Error::wrap)?;
                let fits = proposals[..(count.max(0) as usize).min(ALGORITHMS)].iter().find(|proposal| {
                    proposal.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS && proposal.memory <= MOST_WORKSPACE
                });
                let Some(proposal) = fits else {
                    candle_core::bail!("cuDNN has no algorithm for the {} of {:?}", $what, $shape)
                };
                // SAFETY: the descriptor lives in the plan.
                unsafe { result::set_convolution_math_type($descriptor, proposal.mathType) }
                    .map_err(candle_core::Error::wrap)?;
                *$chosen.insert((proposal.algo, proposal.memory))
            }
        }
    };
}

/// Where the three tensors of a convolution are: x and dy (or y), channels last, and filters (O, Kh, Kw, I).
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub(super) x: Pointer,
    pub(super) weight: Pointer,
    pub(super) y: Pointer,
}

/// Which of the three is computed from the other two.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
    Forward,
    /// x's gradient, added to what is there if `add`.
    Data {
        add: bool,
    },
    Filter,
}

/// The factors before the result and before what is there; doubles for f64, floats for everything else.
struct Factors {
    floats: [f32; 2],
    doubles: [f64; 2],
    double: bool,
}

impl Factors {
    fn new(stored: ElementType, add: bool) -> Self {
        let there = if add { 1.0 } else { 0.0 };
        Self { floats: [1.0, there as f32], doubles: [1.0, there], double: stored == ElementType::F64 }
    }

    fn at(&self, index: usize) -> *const c_void {
        if self.double { (&raw const self.doubles[index]).cast() } else { (&raw const self.floats[index]).cast() }
    }
}

/// Runs one direction on the device's stream.
pub(super) fn convolve(
    device: &CudaDevice,
    stored: ElementType,
    shape: &ConvShape,
    direction: Direction,
    at: Operands,
) -> Result<()> {
    with_handle(device, |handle| {
        let cudnn = handle.handle;
        let plan = match handle.plans.entry((*shape, stored)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Plan::new(shape, stored).map_err(candle_core::Error::wrap)?),
        };
        let (x, y, w) = (plan.x, plan.y, plan.weight);
        let (input, weight, output) = (at.x.0 as *mut c_void, at.weight.0 as *mut c_void, at.y.0 as *mut c_void);
        let factors = Factors::new(stored, direction == Direction::Data { add: true });
        let (one, there) = (factors.at(0), factors.at(1));
        let wanted = ALGORITHMS as c_int;
        // SAFETY, for all three: descriptors and handle live in this thread's table; the addresses are of tensors with the
        // extents and the type of the descriptors; the workspace has the size the algorithm asked for; factors are read at once.
        match direction {
            Direction::Forward => {
                let conv = plan.forward;
                let (algorithm, bytes) =
                    choose!(plan.forward_choice, conv, "forward pass", shape, |count, proposals| {
                        // SAFETY: see above; cuDNN writes at most `wanted` proposals.
                        unsafe {
                            result::get_convolution_forward_algorithm(cudnn, x, w, conv, y, wanted, count, proposals)
                        }
                    });
                let space = handle.workspace(device, bytes)?.0 as *mut c_void;
                // SAFETY: see above.
                unsafe {
                    result::convolution_forward(
                        cudnn, one, x, input, w, weight, conv, algorithm, space, bytes, there, y, output,
                    )
                }
            }
            Direction::Data { .. } => {
                let conv = plan.data;
                let (algorithm, bytes) =
                    choose!(plan.data_choice, conv, "input gradient", shape, |count, proposals| {
                        // SAFETY: see above; cuDNN writes at most `wanted` proposals.
                        unsafe {
                            result::get_convolution_backward_data_algorithm(
                                cudnn, w, y, conv, x, wanted, count, proposals,
                            )
                        }
                    });
                let space = handle.workspace(device, bytes)?.0 as *mut c_void;
                // SAFETY: see above.
                unsafe {
                    result::convolution_backward_data(
                        cudnn, one, w, weight, y, output, conv, algorithm, space, bytes, there, x, input,
                    )
                }
            }
            Direction::Filter => {
                let conv = plan.filter;
                let (algorithm, bytes) =
                    choose!(plan.filter_choice, conv, "filter gradient", shape, |count, proposals| {
                        // SAFETY: see above; cuDNN writes at most `wanted` proposals.
                        unsafe {
                            result::get_convolution_backward_filter_algorithm(
                                cudnn, x, y, conv, w, wanted, count, proposals,
                            )
                        }
                    });
                let space = handle.workspace(device, bytes)?.0 as *mut c_void;
                // SAFETY: see above.
                unsafe {
                    result::convolution_backward_filter(
                        cudnn, one, x, input, y, output, conv, algorithm, space, bytes, there, w, weight,
                    )
                }
            }
        }
        .map_err(candle_core::Error::wrap)
    })
}
