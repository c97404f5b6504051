//! What the device tests compare, on which devices, and how far those may be off.

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
#[cfg(feature = "cuda")]
use lookahead_kernels as kernels;
use lookahead_kernels::{BatchNorm, ConvBatchNorm};

use crate::support::{largest, numbers};

/// A device, and the arithmetic it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    device: Device,
    dtype: DType,
    /// Whether f32 convolutions may round to TF32.
    tf32: bool,
}

/// What an operation does, which decides how far a device may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Elements,
    Convolutions,
    /// Convolutions one after the other.
    Network,
}

/// The CPU always, and what else the build has code for and the machine has; what is missing is printed, or fails where
/// `LOOKAHEAD_NEEDS_GPU` is 1. Opened once a process, so that kernels are compiled once.
pub(crate) fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<std::result::Result<Vec<Kind>, String>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let (gpu, missing) = on_gpus();
        if gpu.is_empty() && std::env::var_os("LOOKAHEAD_NEEDS_GPU").is_some_and(|value| value == "1") {
            return Err(missing);
        }
        if gpu.is_empty() {
            eprintln!("skipped: {missing}");
        }
        let on_cpu = [DType::F32, DType::BF16].map(|dtype| Kind { device: Device::Cpu, dtype, tf32: false });
        Ok(on_cpu.into_iter().chain(gpu).collect())
    });
    kinds.as_deref().unwrap_or_else(|missing| panic!("LOOKAHEAD_NEEDS_GPU is 1, but {missing}"))
}

/// Those of GPUs, or why there are none.
#[cfg_attr(not(any(feature = "cuda", feature = "metal")), allow(unused_mut, reason = "only those builds add any"))]
fn on_gpus() -> (Vec<Kind>, String) {
    let (mut kinds, mut missing) = (Vec::new(), "this build has no code for a GPU".to_owned());
    #[cfg(feature = "cuda")]
    match kernels::cuda_device(0) {
        Ok(device) => {
            let kind = |dtype, tf32| Kind { device: device.clone(), dtype, tf32 };
            kinds.extend([DType::F32, DType::F64, DType::BF16].map(|dtype| kind(dtype, false)));
            kinds.push(kind(DType::F32, true));
        }
        Err(error) => missing = format!("there is no CUDA device: {error}"),
    }
    // candle panics where there is none.
    #[cfg(feature = "metal")]
    match std::panic::catch_unwind(|| Device::new_metal(0)) {
        Ok(Ok(device)) => kinds.push(Kind { device, dtype: DType::F32, tf32: false }),
        Ok(Err(error)) => missing = format!("there is no Metal device: {error}"),
        Err(_) => missing = "there is no Metal device".to_owned(),
    }
    (kinds, missing)
}

impl Kind {
    /// How far `got` is from `expected`, and how far it may be.
    ///
    /// Where every number is rounded finely, the largest difference counts, as a share of the largest element: sums of some hundred
    /// terms. bf16 and TF32 round so coarsely that values near 0 land on the other side of a rectifier, and with them a gradient
    /// comes or goes; no bound on single elements holds there. Their root mean square bounds what share of them did, while a
    /// layout or an index that is wrong makes it 1.
    pub(crate) fn distance(&self, work: Work, got: &Tensor, expected: &Tensor) -> Result<(f64, f64)> {
        let off = (got - expected)?;
        let power = |t: &Tensor| t.sqr()?.sum_all()?.to_scalar::<f64>();
        if self.dtype == DType::BF16 || self.tf32 {
            // On a GPU, a convolution with a bias is rounded before and after the bias is added, and a network passes that on: with
            // this arithmetic, done on a CPU, the plain network of the device tests was off by 0.102.
            let rounds_more = self.dtype == DType::BF16 && work == Work::Network && !self.device.is_cpu();
            return Ok(((power(&off)? / power(expected)?).sqrt(), if rounds_more { 0.2 } else { 0.1 }));
        }
        let share = match self.dtype {
            DType::F64 => 1e-12,
            // cuDNN may choose a Winograd transform, which rounds more coarsely than a plain sum.
            _ if work != Work::Elements && self.device.is_cuda() => 2e-4,
            _ => 2e-5,
        };
        Ok((largest(&off)? / largest(expected)?, share))
    }

    pub(crate) fn name(&self) -> String {
        format!("{:?} {:?}{}", self.device.location(), self.dtype, if self.tf32 { " with TF32" } else { "" })
    }
}

/// One side of a comparison: the same numbers on some device in some type.
pub(crate) struct Side {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
    /// Whether numbers are ones that bf16 has.
    pub(crate) rounded: bool,
}

impl Side {
    pub(crate) fn numbers(&self, shape: impl Into<candle_core::Shape>, seed: u32) -> Result<Var> {
        self.filled(shape, seed, self.dtype, |x| x)
    }

    /// Numbers of the type that parameters have beside these activations.
    pub(crate) fn parameters(&self, shape: impl Into<candle_core::Shape>, seed: u32) -> Result<Var> {
        self.filled(shape, seed, self.wide(), |x| x)
    }

    pub(crate) fn wide(&self) -> DType {
        if self.dtype == DType::BF16 { DType::F32 } else { self.dtype }
    }

    /// `f` of numbers in [-1, 1).
    pub(crate) fn filled(
        &self,
        shape: impl Into<candle_core::Shape>,
        seed: u32,
        dtype: DType,
        f: impl Fn(f32) -> f32,
    ) -> Result<Var> {
        let drawn = numbers(shape, seed)?;
        let values: Vec<f32> = drawn.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f).collect();
        let mut tensor = Tensor::from_vec(values, drawn.shape(), &Device::Cpu)?;
        if self.rounded {
            tensor = tensor.to_dtype(DType::BF16)?;
        }
        Var::from_tensor(&tensor.to_dtype(dtype)?.to_device(&self.device)?)
    }

    pub(crate) fn layer(
        &self,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<(Vec<Var>, ConvBatchNorm)> {
        let seed = (inputs * 100 + outputs * 10 + kernel) as u32;
        let weight = self.parameters((outputs, inputs, kernel, kernel), seed)?;
        let (scale, shift) = (self.parameters(outputs, seed + 1)?, self.parameters(outputs, seed + 2)?);
        let var = self.filled(outputs, seed + 4, self.wide(), |x| x + 1.5)?;
        let mean = self.parameters(outputs, seed + 3)?;
        let norm = BatchNorm::new(scale.as_tensor().clone(), shift.as_tensor().clone(), mean, var)?;
        let tensor = weight.as_tensor().clone();
        Ok((vec![weight, scale, shift], ConvBatchNorm { weight: tensor, stride, padding: kernel / 2, norm }))
    }

    /// `y`, and the gradients of the variables under a loss that weighs every element of `y` differently.
    pub(crate) fn all(&self, y: &Tensor, variables: &[&Var]) -> Result<Vec<Tensor>> {
        let weights = self.filled(y.shape().clone(), 99, y.dtype(), |x| x)?;
        // Flat, since candle's sum of a scalar asks CUDA for memory of no bytes, which fails.
        let gradients: GradStore = (y * weights.as_detached_tensor())?.flatten_all()?.sum_all()?.backward()?;
        let mut all = vec![y.detach()];
        for variable in variables {
            all.push(gradients.get(variable).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"))?);
        }
        Ok(all)
    }
}

/// What was wrong in a test. It is said at the end, so that one failure does not hide the rest.
#[derive(Default)]
pub(crate) struct Failures(Vec<String>);

impl Failures {
    /// Runs `f` on each device in each type and compares everything it gives with the CPU in f64.
    pub(crate) fn compare(&mut self, name: &str, work: Work, f: impl Fn(&Side) -> Result<Vec<Tensor>>) {
        // The arithmetic is the process's, so one comparison runs at a time.
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds() {
            #[cfg(feature = "cuda")]
            kernels::set_tf32(kind.tf32);
            match differences(kind, work, &f) {
                Ok(found) => self.0.extend(found.iter().map(|what| format!("{name}, {}: {what}", kind.name()))),
                Err(error) => self.0.push(format!("{name}, {}: {error}", kind.name())),
            }
        }
    }

    /// Fails if anything was wrong.
    pub(crate) fn report(self) {
        assert!(self.0.is_empty(), "{} comparisons failed:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// The results that are too far off.
fn differences(kind: &Kind, work: Work, f: &impl Fn(&Side) -> Result<Vec<Tensor>>) -> Result<Vec<String>> {
    let rounded = kind.dtype == DType::BF16;
    let expected = f(&Side { device: Device::Cpu, dtype: DType::F64, rounded })?;
    let got = f(&Side { device: kind.device.clone(), dtype: kind.dtype, rounded })?;
    if got.len() != expected.len() {
        return Ok(vec![format!("{} results instead of {}", got.len(), expected.len())]);
    }
    let mut found = Vec::new();
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        if got.dims() != expected.dims() {
            found.push(format!("result {index} has shape {:?} instead of {:?}", got.dims(), expected.dims()));
            continue;
        }
        let got = got.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let (off, most) = kind.distance(work, &got, expected)?;
        // Of NaN this is false, and so is the opposite.
        let fine = off <= most;
        if !fine {
            found.push(format!("result {index} is off by {off} instead of at most {most}"));
        }
    }
    Ok(found)
}
