//! Synchronisation of blocks on an open device.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use candle_core::Result;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, sys::CUdevice_attribute};
use candle_core::cuda_backend::{CudaDevice, DeviceId, WrapErr};

use crate::cuda::device::memory::pointer;
use crate::cuda::stream::Meeting;

/// Blocks that fit on a multiprocessor, the sources' `RESIDENT`.
const BLOCKS_A_PROCESSOR: usize = 4;

/// A device's gates, and the maximum number of blocks that use them.
struct Gates {
    memory: CudaSlice<u32>,
    blocks: usize,
}

/// The handle that stands for another stream in each thread, CUDA's `CU_STREAM_PER_THREAD`: that of candle's
/// `Device::new_cuda`.
const STREAM_OF_EACH_THREAD: usize = 2;

/// A device, and the thread if each one has another stream.
type StreamId = (DeviceId, Option<ThreadId>);

/// The gates of a stream, zero before its first launch. Launches of two streams must not share gates: they may run at the same
/// time.
pub(super) fn meeting(device: &CudaDevice) -> Result<Meeting> {
    static GATES: Mutex<Option<HashMap<StreamId, Gates>>> = Mutex::new(None);
    let is_per_thread = device.cuda_stream().cu_stream().addr() == STREAM_OF_EACH_THREAD;
    let stream = (device.id(), is_per_thread.then(|| std::thread::current().id()));
    let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
    let gates = match gates.get_or_insert_default().entry(stream) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
            let processors = device.cuda_stream().context().attribute(attribute).w()?;
            let blocks = BLOCKS_A_PROCESSOR * processors.max(1) as usize;
            entry.insert(Gates { memory: device.alloc_zeros::<u32>(2 * blocks)?, blocks })
        }
    };
    Ok(Meeting { gates: pointer(&gates.memory), blocks: gates.blocks })
}
