//! The stream of an open device.

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;

use crate::cuda::call::{Call, Pointer};
use crate::cuda::device::cudnn;
use crate::cuda::device::gates::meeting;
use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::Scratch;
use crate::cuda::stream::{Convolution, Direction, Meeting, Operands, Stream};

impl Stream for CudaDevice {
    type Memory = Scratch;

    fn memory(&self, bytes: usize) -> Result<Scratch> {
        Scratch::new(self, bytes)
    }

    fn address(memory: &Scratch) -> Pointer {
        memory.at()
    }

    fn launch(&self, call: &Call) -> Result<()> {
        launch(self, [call])
    }

    fn meeting(&self) -> Result<Meeting> {
        meeting(self)
    }

    fn convolve(&self, convolution: &Convolution, direction: Direction, at: Operands) -> Result<()> {
        cudnn::convolve(self, convolution, direction, at)
    }
}
