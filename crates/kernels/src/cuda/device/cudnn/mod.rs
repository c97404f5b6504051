//! cuDNN's convolutions: descriptors and algorithms, found once for each shape.

mod plan;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaStream;

use crate::cuda::attempts::Attempts;
use crate::cuda::device::libraries;
use crate::cuda::device::memory::Scratch;
use crate::cuda::device::precision::tf32;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Convolution, Direction, Operands};
use plan::{Plan, Proposal};

/// Maximum workspace of an algorithm in bytes. Not measured; PyTorch has no such limit, but requests only free memory.
const MOST_WORKSPACE: usize = 1 << 30;

/// Maximum number of proposals: more than cuDNN has algorithms for one direction.
const ALGORITHMS: usize = 16;

/// A GPU's handle, with the data kept between calls. A handle belongs to one thread.
struct Handle {
    handle: sys::cudnnHandle_t,
    /// The stream it works on, whose context must outlive it.
    stream: Arc<CudaStream>,
    /// By convolution, and whether TF32 is allowed.
    plans: HashMap<(Convolution, bool), Plan>,
    workspace: Workspace,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: created in `with_handle`, and dropped once. A failure has nobody to go to.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// A workspace as large as any algorithm so far required. A stream runs one convolution at a time, so all share it.
#[derive(Default)]
struct Workspace(Option<(Scratch, usize)>);

impl Workspace {
    /// Memory of at least `bytes` bytes.
    fn at(&mut self, device: &CudaDevice, bytes: usize) -> Result<*mut c_void> {
        if self.0.as_ref().is_none_or(|(_, size)| *size < bytes) {
            self.0 = None;
            self.0 = Some((Scratch::new(device, bytes)?, bytes));
        }
        Ok(self.0.as_ref().map_or(std::ptr::null_mut(), |(scratch, _)| scratch.at().0 as *mut c_void))
    }
}

thread_local! {
    /// By GPU index: a GPU has one context, however often it is opened.
    static HANDLES: RefCell<HashMap<usize, Handle>> = RefCell::new(HashMap::new());
}

/// Calls `f` with this thread's handle for the device's GPU, created at its first use, on the device's stream.
fn with_handle<R>(device: &CudaDevice, f: impl FnOnce(&mut Handle) -> Result<R>) -> Result<R> {
    let stream = device.cuda_stream();
    let on_stream = |handle| {
        // SAFETY: the handle lives, and so does the stream that is kept beside it.
        unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(candle_core::Error::wrap)
    };
    HANDLES.with(|handles| {
        let mut handles = handles.borrow_mut();
        let handle = match handles.entry(stream.context().ordinal()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                libraries::require_cudnn()?;
                stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
                let handle = result::create_handle().map_err(candle_core::Error::wrap)?;
                let (plans, workspace) = (HashMap::new(), Workspace::default());
                let handle = entry.insert(Handle { handle, stream: stream.clone(), plans, workspace });
                on_stream(handle.handle)?;
                handle
            }
        };
        if !Arc::ptr_eq(&handle.stream, &stream) {
            // The device was opened again: memory freed on one stream must not be written on the other.
            on_stream(handle.handle)?;
            (handle.stream, handle.workspace) = (stream.clone(), Workspace::default());
        }
        f(handle)
    })
}

/// The factors of the result and of the previous content: doubles for f64, floats for all other types.
struct Factors {
    floats: [f32; 2],
    doubles: [f64; 2],
    double: bool,
}

impl Factors {
    fn new(element: ElementType, add: bool) -> Self {
        let there = if add { 1.0 } else { 0.0 };
        Self { floats: [1.0, there as f32], doubles: [1.0, there], double: element == ElementType::F64 }
    }

    fn at(&self, index: usize) -> *const c_void {
        if self.double { (&raw const self.doubles[index]).cast() } else { (&raw const self.floats[index]).cast() }
    }
}

/// The attempts of a direction: at the first call, cuDNN's proposals, best first, without those that do not work or need too
/// much memory. Without TF32, a proposal runs with the requested arithmetic, not the proposed one.
macro_rules! attempts {
    ($kept:expr, $convolution:expr, $math:expr, $precise:expr, $ask:expr) => {
        match $kept {
            Some(attempts) => attempts,
            none => {
                Plan::set_math($convolution, $math)?;
                let mut count: c_int = 0;
                // SAFETY: plain numbers, for which zeros are values of every field; cuDNN fills in `count` of them.
                let mut proposals = unsafe { [std::mem::zeroed(); ALGORITHMS] };
                $ask(&mut count, proposals.as_mut_ptr()).map_err(candle_core::Error::wrap)?;
                let ways = proposals[..(count.max(0) as usize).min(ALGORITHMS)]
                    .iter()
                    .filter(|p| p.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS && p.memory <= MOST_WORKSPACE)
                    .map(|p| {
                        let math = if $precise { $math } else { p.mathType };
                        Proposal { algorithm: p.algo, workspace: p.memory, math }
                    });
                none.insert(Attempts::new(ways.collect()))
            }
        }
    };
}

/// Runs one direction on the device's stream.
pub(super) fn convolve(device: &CudaDevice, of: &Convolution, direction: Direction, at: Operands) -> Result<()> {
    let tf32 = tf32();
    with_handle(device, |handle| {
        let Handle { handle: cudnn, plans, workspace, .. } = handle;
        let cudnn = *cudnn;
        let plan = match plans.entry((*of, tf32)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Plan::new(of, tf32).map_err(candle_core::Error::wrap)?),
        };
        let (x, y, w, conv, math) = (plan.x, plan.y, plan.weight, plan.convolution, plan.math);
        let precise = math == sys::cudnnMathType_t::CUDNN_FMA_MATH;
        let (input, weight, output) = (at.x.0 as *mut c_void, at.weight.0 as *mut c_void, at.y.0 as *mut c_void);
        let factors = Factors::new(of.element, direction == Direction::Data { add: true });
        let (one, there) = (factors.at(0), factors.at(1));
        let wanted = ALGORITHMS as c_int;
        // SAFETY, for all six calls: descriptors and handle live in this thread's table; cuDNN writes at most `wanted` proposals;
        // the addresses are of tensors with the extents and the type of the descriptors; the workspace has the size the algorithm
        // asked for; factors are read at once.
        let outcome = match direction {
            Direction::Forward => {
                let attempts = attempts!(&mut plan.forward, conv, math, precise, |count, to| {
                    // SAFETY: see above.
                    unsafe { result::get_convolution_forward_algorithm(cudnn, x, w, conv, y, wanted, count, to) }
                });
                attempts.run(|Proposal { algorithm, workspace: bytes, math }| {
                    Plan::set_math(conv, math)?;
                    let space = workspace.at(device, bytes)?;
                    // SAFETY: see above.
                    let done = unsafe {
                        result::convolution_forward(
                            cudnn, one, x, input, w, weight, conv, algorithm, space, bytes, there, y, output,
                        )
                    };
                    done.map_err(candle_core::Error::wrap)
                })
            }
            Direction::Data { .. } => {
                let attempts = attempts!(&mut plan.data, conv, math, precise, |count, to| {
                    // SAFETY: see above.
                    unsafe { result::get_convolution_backward_data_algorithm(cudnn, w, y, conv, x, wanted, count, to) }
                });
                attempts.run(|Proposal { algorithm, workspace: bytes, math }| {
                    Plan::set_math(conv, math)?;
                    let space = workspace.at(device, bytes)?;
                    // SAFETY: see above.
                    let done = unsafe {
                        result::convolution_backward_data(
                            cudnn, one, w, weight, y, output, conv, algorithm, space, bytes, there, x, input,
                        )
                    };
                    done.map_err(candle_core::Error::wrap)
                })
            }
            Direction::Filter => {
                let attempts = attempts!(&mut plan.filter, conv, math, precise, |count, to| {
                    // SAFETY: see above.
                    unsafe {
                        result::get_convolution_backward_filter_algorithm(cudnn, x, y, conv, w, wanted, count, to)
                    }
                });
                attempts.run(|Proposal { algorithm, workspace: bytes, math }| {
                    Plan::set_math(conv, math)?;
                    let space = workspace.at(device, bytes)?;
                    // SAFETY: see above.
                    let done = unsafe {
                        result::convolution_backward_filter(
                            cudnn, one, x, input, y, output, conv, algorithm, space, bytes, there, w, weight,
                        )
                    };
                    done.map_err(candle_core::Error::wrap)
                })
            }
        };
        outcome.map_err(|error| candle_core::Error::msg(format!("cuDNN, {direction:?} of {of:?}: {error}")))
    })
}
