//! cuDNN's convolutions: descriptors and algorithms, found once for each shape.

mod plan;
mod run;
mod trace;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaStream;

use crate::cuda::device::libraries;
use crate::cuda::device::memory::Scratch;
use crate::cuda::device::precision::tf32;
use crate::cuda::stream::{Convolution, Direction, Operands};
use plan::Plan;
use run::{Runner, first_line, lacks_memory};
use trace::{described, say};

/// A GPU's handle, with the data kept between calls. A handle belongs to one thread.
struct Handle {
    handle: sys::cudnnHandle_t,
    /// The stream it works on, whose context must outlive it.
    stream: Arc<CudaStream>,
    /// By convolution, and whether TF32 is allowed; or why there is none.
    plans: HashMap<(Convolution, bool), std::result::Result<Plan, String>>,
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
                say(|| format!("cuDNN {}, built with CUDA {}", result::get_version(), result::get_cudart_version()));
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

/// Runs one direction on the device's stream.
pub(super) fn convolve(device: &CudaDevice, of: &Convolution, direction: Direction, at: Operands) -> Result<()> {
    let tf32 = tf32();
    // cuDNN's status comes first: a shape is long, and whoever shows the message may cut it off.
    let failure = |error: &str| format!("cuDNN: {error}; {}", described(of, direction));
    with_handle(device, |handle| {
        let Handle { handle: cudnn, plans, workspace, .. } = handle;
        let plan = plans.entry((*of, tf32)).or_insert_with(|| {
            Plan::new(of, tf32).map_err(|error| error.to_string()).inspect_err(|error| say(|| failure(error)))
        });
        let plan = plan.as_mut().map_err(|error| candle_core::Error::Msg(failure(error)))?;
        if let Some(error) = plan.refusal(direction) {
            return Err(candle_core::Error::Msg(failure(error)));
        }
        let mut runner = Runner { cudnn: *cudnn, device, workspace, lacks_memory: false };
        runner.run(plan, of, direction, at).map_err(|error| {
            let error = first_line(&error);
            say(|| failure(&error));
            let message = candle_core::Error::Msg(failure(&error));
            // The caller has another order for what cuDNN cannot do in this one, and does it at every step: this is not tried again.
            // With more memory free, it might run.
            if !runner.lacks_memory && !lacks_memory(&error) {
                plan.refuse(direction, error);
            }
            message
        })
    })
}
