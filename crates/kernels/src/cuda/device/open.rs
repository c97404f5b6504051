//! Opening a device for training.

use candle_core::Device;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys;

use crate::cuda::device::libraries;
use crate::{Error, Result};

/// Opens CUDA device `ordinal` for training: with a separate stream, and with memory kept for the next step.
///
/// All work on the device goes through its one stream, in the order in which threads call. Do not use its tensors on another
/// stream.
///
/// candle's `Device::new_cuda` works too, **in one thread only**: it uses a different stream in each thread, and this crate does
/// not wait for the work of another stream, so a tensor that one thread computes and another one reads may hold anything. It
/// also returns all memory to the driver at every synchronisation, records two events per tensor, and panics if a library is
/// missing.
///
/// # Errors
///
/// [`Error::Library`] for the first CUDA library that the loader does not find; [`Error::Candle`] for an error of the
/// driver, such as an ordinal without a device.
///
/// ```no_run
/// let device = lookahead_kernels::cuda_device(0)?;
/// assert!(device.is_cuda());
/// # Ok::<(), lookahead_kernels::Error>(())
/// ```
pub fn cuda_device(ordinal: usize) -> Result<Device> {
    libraries::require_device()?;
    // A library that is too old and lacks a symbol still panics.
    let opened = std::panic::catch_unwind(|| Device::new_cuda_with_stream(ordinal));
    let device = opened.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map_or("CUDA could not be started", String::as_str);
        Error::Candle(candle_core::Error::Msg(text.to_owned()))
    })??;
    keep_freed_memory(&device)?;
    // SAFETY: events order work on several streams. Every tensor of this device is made, used and freed on its one stream.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    Ok(device)
}

/// Keeps freed memory in the memory pool when the host waits for the device, instead of returning it to the driver.
fn keep_freed_memory(device: &Device) -> Result<()> {
    let stream = device.as_cuda_device()?.cuda_stream();
    if !stream.context().has_async_alloc() {
        return Ok(());
    }
    let mut pool = std::ptr::null_mut();
    let mut all = u64::MAX;
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is open, and both calls read and write only the locals they are given.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, stream.context().cu_device()).result().w()?;
        sys::cuMemPoolSetAttribute(pool, threshold, std::ptr::from_mut(&mut all).cast()).result().w()?;
    }
    Ok(())
}
