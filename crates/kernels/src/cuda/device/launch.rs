//! Compiles sources for the device and launches their kernels.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Result;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaModule, result as driver};
use candle_core::cuda_backend::cudarc::nvrtc::{Ptx, result, sys};
use candle_core::cuda_backend::{CudaDevice, WrapErr};

use crate::cuda::call::{Argument, Call, THREADS};
use crate::cuda::device::libraries;
use crate::cuda::source::Source;

/// Compiled sources, by GPU index: a GPU has one context, however often it is opened.
#[derive(Default)]
struct Compiled {
    modules: HashMap<(usize, Source), Arc<CudaModule>>,
    functions: HashMap<(usize, Source, &'static str), CudaFunction>,
}

/// Launches on the device's stream; a source is compiled when one of its kernels is first used.
pub(super) fn launch<'a>(device: &CudaDevice, calls: impl IntoIterator<Item = &'a Call>) -> Result<()> {
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    for call in calls {
        let function = function(device, call.source, call.kernel)?;
        let mut words: Vec<Vec<u64>> = call.arguments.iter().map(Argument::words).collect();
        let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
        let block = (THREADS as u32, 1, 1);
        // SAFETY: number and types of the arguments are those of the kernel's signature, which the tests compare. Addresses
        // are of live allocations of the extents in the call, and what is freed later is freed in the order of this stream.
        // Blocks that wait for one another are launched as such: the driver refuses more than run at once.
        unsafe {
            let launch = if call.together { driver::launch_cooperative_kernel } else { driver::launch_kernel };
            launch(function.cu_function(), call.grid, block, 0, stream.cu_stream(), &mut pointers).w()?;
        }
    }
    Ok(())
}

fn function(device: &CudaDevice, source: Source, kernel: &'static str) -> Result<CudaFunction> {
    static COMPILED: Mutex<Option<Compiled>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    let stream = device.cuda_stream();
    let ordinal = stream.context().ordinal();
    let key = (ordinal, source, kernel);
    if let Some(function) = compiled.functions.get(&key) {
        return Ok(function.clone());
    }
    let module = match compiled.modules.get(&(ordinal, source)) {
        Some(module) => module.clone(),
        None => {
            let (major, minor) = stream.context().compute_capability().w()?;
            let code = compile(&source.text(), major, minor)?;
            let module = stream.context().load_module(Ptx::from_binary(code)).w()?;
            compiled.modules.insert((ordinal, source), module.clone());
            module
        }
    };
    let function = module.load_function(kernel).w()?;
    compiled.functions.insert(key, function.clone());
    Ok(function)
}

/// Machine code for one architecture: the driver need not compile it, so it may be older than the compiler.
fn compile(text: &str, major: i32, minor: i32) -> Result<Vec<u8>> {
    libraries::require_compiler()?;
    let text = CString::new(text).map_err(candle_core::Error::wrap)?;
    let options = [format!("--gpu-architecture=sm_{major}{minor}")];
    let program = result::create_program(&text, None).map_err(candle_core::Error::wrap)?;
    // SAFETY: the program lives until it is destroyed below, and the code's buffer is of the size that was asked for.
    unsafe {
        let code = match result::compile_program(program, &options) {
            Ok(()) => {
                let mut size = 0;
                let sized = sys::nvrtcGetCUBINSize(program, &mut size).result();
                let mut code = vec![0u8; size];
                let fetched = sized.and_then(|()| sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result());
                fetched.map(|()| code).map_err(candle_core::Error::wrap)
            }
            Err(error) => Err(candle_core::Error::msg(format!("{error:?}: {}", log(program)))),
        };
        result::destroy_program(program).map_err(candle_core::Error::wrap)?;
        code
    }
}

/// The compiler's log.
fn log(program: sys::nvrtcProgram) -> String {
    // SAFETY: the program lives, and the log ends with a zero.
    unsafe {
        result::get_program_log(program).map_or_else(
            |error| format!("{error:?}"),
            |log| CStr::from_ptr(log.as_ptr()).to_string_lossy().into_owned(),
        )
    }
}
