//! One direction of a convolution: cuDNN's proposals, and the first of them that runs.

use std::ffi::{c_int, c_void};
use std::fmt::Debug;

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::cudnn::result::{self, CudnnError};
use candle_core::cuda_backend::cudarc::cudnn::sys;

use super::Workspace;
use super::plan::{Plan, Proposal};
use super::trace::{described, say};
use crate::cuda::attempts::Attempts;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Convolution, Direction, Operands};

/// Maximum workspace of an algorithm in bytes. Not measured; PyTorch has no such limit, but requests only free memory.
const MOST_WORKSPACE: usize = 1 << 30;

/// Maximum number of proposals: more than cuDNN has algorithms for one direction.
const ALGORITHMS: usize = 16;

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
///
/// With them, whether this is the first call.
macro_rules! attempts {
    ($kept:expr, $convolution:expr, $math:expr, $ask:expr) => {
        match $kept {
            Some(attempts) => (attempts, false),
            none => {
                Plan::set_math($convolution, $math)?;
                let mut count: c_int = 0;
                // SAFETY: plain numbers, for which zeros are values of every field; cuDNN fills in `count` of them.
                let mut proposals = unsafe { [std::mem::zeroed(); ALGORITHMS] };
                $ask(&mut count, proposals.as_mut_ptr()).map_err(candle_core::Error::wrap)?;
                let mut ways = Vec::new();
                for p in &proposals[..(count.max(0) as usize).min(ALGORITHMS)] {
                    if p.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS && p.memory <= MOST_WORKSPACE {
                        let precise = $math == sys::cudnnMathType_t::CUDNN_FMA_MATH;
                        let math = if precise { $math } else { p.mathType };
                        ways.push(Proposal { algorithm: p.algo, workspace: p.memory, math });
                    } else {
                        say(|| format!("  left out: {:?}, workspace {} bytes, {:?}", p.algo, p.memory, p.status));
                    }
                }
                (none.insert(Attempts::new(ways)), true)
            }
        }
    };
}

/// What an algorithm runs with.
pub(super) struct Runner<'a> {
    pub(super) cudnn: sys::cudnnHandle_t,
    pub(super) device: &'a CudaDevice,
    pub(super) workspace: &'a mut Workspace,
    /// Whether an algorithm failed because memory was short. A later call may find more.
    pub(super) lacks_memory: bool,
}

impl Runner<'_> {
    /// Runs one direction on the device's stream.
    pub(super) fn run(&mut self, plan: &mut Plan, of: &Convolution, direction: Direction, at: Operands) -> Result<()> {
        let cudnn = self.cudnn;
        let (x, y, w, conv, math) = (plan.x, plan.y, plan.weight, plan.convolution, plan.math);
        let (input, weight, output) = (at.x.0 as *mut c_void, at.weight.0 as *mut c_void, at.y.0 as *mut c_void);
        let factors = Factors::new(of.element, direction == Direction::Data { add: true });
        let (one, there) = (factors.at(0), factors.at(1));
        let wanted = ALGORITHMS as c_int;
        if plan.is_new(direction) {
            say(|| format!("{}, asked for {math:?}", described(of, direction)));
        }
        // SAFETY, for all six calls: descriptors and handle live in this thread's table; cuDNN writes at most `wanted` proposals;
        // the addresses are of tensors with the extents and the type of the descriptors; the workspace has the size the algorithm
        // asked for; factors are read at once.
        match direction {
            Direction::Forward => {
                let attempts = attempts!(&mut plan.forward, conv, math, |count, to| {
                    // SAFETY: see above.
                    unsafe { result::get_convolution_forward_algorithm(cudnn, x, w, conv, y, wanted, count, to) }
                });
                self.first_that_works(attempts, conv, |algorithm, space, bytes| {
                    // SAFETY: see above.
                    unsafe {
                        result::convolution_forward(
                            cudnn, one, x, input, w, weight, conv, algorithm, space, bytes, there, y, output,
                        )
                    }
                })
            }
            Direction::Data { .. } => {
                let attempts = attempts!(&mut plan.data, conv, math, |count, to| {
                    // SAFETY: see above.
                    unsafe { result::get_convolution_backward_data_algorithm(cudnn, w, y, conv, x, wanted, count, to) }
                });
                self.first_that_works(attempts, conv, |algorithm, space, bytes| {
                    // SAFETY: see above.
                    unsafe {
                        result::convolution_backward_data(
                            cudnn, one, w, weight, y, output, conv, algorithm, space, bytes, there, x, input,
                        )
                    }
                })
            }
            Direction::Filter => {
                let attempts = attempts!(&mut plan.filter, conv, math, |count, to| {
                    // SAFETY: see above.
                    unsafe {
                        result::get_convolution_backward_filter_algorithm(cudnn, x, y, conv, w, wanted, count, to)
                    }
                });
                self.first_that_works(attempts, conv, |algorithm, space, bytes| {
                    // SAFETY: see above.
                    unsafe {
                        result::convolution_backward_filter(
                            cudnn, one, x, input, y, output, conv, algorithm, space, bytes, there, w, weight,
                        )
                    }
                })
            }
        }
    }

    /// `call` is given an algorithm, its workspace and the workspace's bytes. Traced are the first success, every refusal, and
    /// what ran instead.
    fn first_that_works<A: Copy + Debug>(
        &mut self,
        (attempts, first): (&mut Attempts<Proposal<A>>, bool),
        convolution: sys::cudnnConvolutionDescriptor_t,
        call: impl Fn(A, *mut c_void, usize) -> std::result::Result<(), CudnnError>,
    ) -> Result<()> {
        let mut traced = first;
        attempts.run(|Proposal { algorithm, workspace: bytes, math }| {
            let named = || format!("{algorithm:?}, workspace {bytes} bytes, {math:?}");
            let done = Plan::set_math(convolution, math).and_then(|()| {
                let space = self.workspace.at(self.device, bytes)?;
                call(algorithm, space, bytes).map_err(candle_core::Error::wrap)
            });
            match &done {
                Ok(()) if traced => say(|| format!("  runs: {}", named())),
                Ok(()) => {}
                Err(error) => {
                    traced = true;
                    let error = first_line(error);
                    self.lacks_memory |= lacks_memory(&error);
                    say(|| format!("  refused: {}, {error}", named()));
                }
            }
            done
        })
    }
}

/// An error without its backtrace.
pub(super) fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Whether the driver or cuDNN says that memory was short.
pub(super) fn lacks_memory(error: &str) -> bool {
    ["OUT_OF_MEMORY", "ALLOC"].iter().any(|word| error.contains(word))
}
