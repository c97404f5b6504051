//! Every operation on each device of the build, in each element type, against the CPU in f64: values, gradients and running
//! statistics, for several images, stride 2 and odd extents.

mod support;

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{
    Activation, After, BatchNorm, ConvBatchNorm, LayerNorm, Mode, PlainLayer, ResidualBlock, RmsNorm,
};
use support::largest;

/// A device, and the arithmetic it is asked for.
#[derive(Debug, Clone)]
struct Kind {
    device: Device,
    dtype: DType,
    /// Whether f32 convolutions may round to TF32.
    tf32: bool,
}

/// The CPU always, and what else the build has code for and the machine has; what is missing is printed. Opened once a
/// process, so that kernels are compiled once.
#[cfg_attr(not(any(feature = "cuda", feature = "metal")), allow(unused_mut, reason = "only those builds add any"))]
fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let kind = |device: &Device, dtype, tf32| Kind { device: device.clone(), dtype, tf32 };
        let mut kinds = vec![kind(&Device::Cpu, DType::F32, false), kind(&Device::Cpu, DType::BF16, false)];
        #[cfg(feature = "cuda")]
        match kernels::cuda_device(0) {
            Ok(device) => {
                kinds.extend([DType::F32, DType::F64, DType::BF16].map(|dtype| kind(&device, dtype, false)));
                kinds.push(kind(&device, DType::F32, true));
            }
            Err(error) => eprintln!("skipped: no CUDA device: {error}"),
        }
        // candle panics where there is none.
        #[cfg(feature = "metal")]
        match std::panic::catch_unwind(|| Device::new_metal(0)) {
            Ok(Ok(device)) => kinds.push(kind(&device, DType::F32, false)),
            Ok(Err(error)) => eprintln!("skipped: no Metal device: {error}"),
            Err(_) => eprintln!("skipped: no Metal device"),
        }
        kinds
    })
}

impl Kind {
    /// How far `got` is from `expected`, and how far it may be.
    ///
    /// Where every number is rounded finely, the largest difference counts, as a share of the largest element: sums of some hundred
    /// terms. bf16 and TF32 round so coarsely that values near 0 land on the other side of a rectifier, and with them a gradient
    /// comes or goes; no bound on single elements holds there. Their root mean square bounds what share of them did, while a
    /// layout or an index that is wrong makes it 1.
    fn distance(&self, convolves: bool, got: &Tensor, expected: &Tensor) -> Result<(f64, f64)> {
        let off = (got - expected)?;
        let power = |t: &Tensor| t.sqr()?.sum_all()?.to_scalar::<f64>();
        if self.dtype == DType::BF16 || self.tf32 {
            return Ok(((power(&off)? / power(expected)?).sqrt(), 0.1));
        }
        let share = match self.dtype {
            DType::F64 => 1e-12,
            // cuDNN may choose a Winograd transform, which rounds more coarsely than a plain sum.
            _ if convolves && self.device.is_cuda() => 2e-4,
            _ => 2e-5,
        };
        Ok((largest(&off)? / largest(expected)?, share))
    }
}

/// One side of a comparison: the same numbers on some device in some type.
struct Side {
    device: Device,
    dtype: DType,
    /// Whether numbers are ones that bf16 has.
    rounded: bool,
}

impl Side {
    fn numbers(&self, shape: impl Into<candle_core::Shape>, seed: u32) -> Result<Var> {
        self.filled(shape, seed, self.dtype, |x| x)
    }

    /// Numbers of the type that parameters have beside these activations.
    fn parameters(&self, shape: impl Into<candle_core::Shape>, seed: u32) -> Result<Var> {
        self.filled(shape, seed, self.wide(), |x| x)
    }

    fn wide(&self) -> DType {
        if self.dtype == DType::BF16 { DType::F32 } else { self.dtype }
    }

    /// `f` of numbers in [-1, 1).
    fn filled(
        &self,
        shape: impl Into<candle_core::Shape>,
        seed: u32,
        dtype: DType,
        f: impl Fn(f32) -> f32,
    ) -> Result<Var> {
        let shape = shape.into();
        let values: Vec<f32> = (0..shape.elem_count() as u32)
            .map(|i| {
                ((i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503_977))) >> 8) as f32 / 8_388_608.0
                    - 1.0
            })
            .map(f)
            .collect();
        let mut tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        if self.rounded {
            tensor = tensor.to_dtype(DType::BF16)?;
        }
        Var::from_tensor(&tensor.to_dtype(dtype)?.to_device(&self.device)?)
    }

    fn layer(&self, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Result<(Vec<Var>, ConvBatchNorm)> {
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
    fn all(&self, y: &Tensor, variables: &[&Var]) -> Result<Vec<Tensor>> {
        let weights = self.filled(y.shape().clone(), 99, y.dtype(), |x| x)?;
        let gradients: GradStore = (y * weights.as_detached_tensor())?.sum_all()?.backward()?;
        let mut all = vec![y.detach()];
        for variable in variables {
            all.push(gradients.get(variable).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"))?);
        }
        Ok(all)
    }
}

/// Runs `f` on each device in each type and compares everything it gives with the CPU in f64.
fn agrees(name: &str, convolves: bool, f: impl Fn(&Side) -> Result<Vec<Tensor>>) -> Result<()> {
    // The arithmetic is the process's, so one comparison runs at a time.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in kinds() {
        #[cfg(feature = "cuda")]
        kernels::set_tf32(kind.tf32);
        let rounded = kind.dtype == DType::BF16;
        let expected = f(&Side { device: Device::Cpu, dtype: DType::F64, rounded })?;
        let got = f(&Side { device: kind.device.clone(), dtype: kind.dtype, rounded })?;
        assert_eq!(got.len(), expected.len());
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.dims(), expected.dims(), "{name} {index}");
            let got = got.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
            let (off, most) = kind.distance(convolves, &got, expected)?;
            // NaN fails this, and would pass the opposite of `off > most`.
            assert!(off <= most, "{name} {index}, {kind:?}: {off} instead of at most {most}");
        }
    }
    Ok(())
}

#[test]
fn an_element_left_out_shows() -> Result<()> {
    let (got, expected) =
        (Tensor::new(&[1.0, f64::NAN, 3.0], &Device::Cpu)?, Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?);
    for kind in kinds() {
        assert!(kind.distance(false, &got, &expected)?.0.is_nan(), "{kind:?}");
    }
    Ok(())
}

#[test]
fn convolutions() -> Result<()> {
    for (kernel, stride, padding, inputs, outputs) in
        [(3, 1, 1, 16, 32), (3, 2, 1, 8, 16), (1, 2, 0, 16, 8), (7, 2, 3, 3, 16), (3, 1, 1, 5, 7)]
    {
        agrees("conv2d", true, |side| {
            let (x, weight) =
                (side.numbers((3, 13, 11, inputs), 1)?, side.parameters((outputs, inputs, kernel, kernel), 2)?);
            side.all(&kernels::conv2d(&x, &weight, stride, padding)?, &[&x, &weight])
        })?;
    }
    agrees("conv2d_with", true, |side| {
        let (x, weight, bias) =
            (side.numbers((3, 13, 11, 8), 1)?, side.parameters((12, 8, 3, 3), 2)?, side.parameters(12, 3)?);
        let options = kernels::Conv2dOptions { padding: 1, ..kernels::Conv2dOptions::default() };
        side.all(&kernels::conv2d_with(&x, &weight, Some(&bias), options)?, &[&x, &weight, &bias])
    })
}

#[test]
fn batch_norm_with_what_follows() -> Result<()> {
    for (channels, mode) in [(16, Mode::Train), (7, Mode::Train), (16, Mode::Eval), (130, Mode::Train)] {
        for after in 0..3 {
            agrees("batch_norm", false, |side| {
                let (x, residual) = (side.numbers((3, 5, 7, channels), 1)?, side.numbers((3, 5, 7, channels), 2)?);
                let (variables, layer) = side.layer(1, channels, 1, 1)?;
                let mut wanted = vec![&x, &variables[1], &variables[2]];
                let after = match after {
                    0 => After::Nothing,
                    1 => After::Relu,
                    _ => After::AddRelu(&residual),
                };
                if matches!(after, After::AddRelu(_)) {
                    wanted.push(&residual);
                }
                let mut all = side.all(&kernels::batch_norm(&x, &layer.norm, after, mode)?, &wanted)?;
                all.extend([layer.norm.running_mean.as_detached_tensor(), layer.norm.running_var.as_detached_tensor()]);
                Ok(all)
            })?;
        }
    }
    Ok(())
}

#[test]
fn residual_blocks_and_their_layers() -> Result<()> {
    agrees("residual_blocks", true, |side| {
        let x = side.numbers((4, 9, 9, 16), 1)?;
        let parts = [side.layer(16, 32, 3, 2)?, side.layer(32, 32, 3, 1)?, side.layer(16, 32, 1, 2)?];
        let [first, second, shortcut] = parts.each_ref().map(|(_, layer)| layer.clone());
        let running = second.norm.running_var.clone();
        let block = ResidualBlock { path: vec![first, second], shortcut: Some(shortcut) };
        let variables: Vec<&Var> = std::iter::once(&x).chain(parts.iter().flat_map(|(vars, _)| vars)).collect();
        let mut all = side.all(&kernels::residual_blocks(&x, &[block], Mode::Train)?, &variables)?;
        all.push(running.as_detached_tensor());
        Ok(all)
    })?;
    agrees("conv2d_batch_norm", true, |side| {
        let (images, (variables, layer)) = (side.numbers((2, 3, 9, 8), 1)?, side.layer(3, 16, 3, 1)?);
        let x = kernels::to_channels_last(&images)?;
        let y = kernels::conv2d_batch_norm(&x, &layer.weight, 1, 1, &layer.norm, After::Relu, Mode::Train)?;
        let y = kernels::to_channels_first(&y)?;
        side.all(&y, &[&images, &variables[0], &variables[1], &variables[2]])
    })
}

/// The first three layers of the speed network: its whitening, whose filters are not trained, and a group.
#[test]
fn a_plain_network() -> Result<()> {
    agrees("plain_network", true, |side| {
        let x = side.numbers((4, 14, 13, 3), 1)?;
        let (whitening, bias) = (side.parameters((24, 3, 2, 2), 2)?, side.parameters(24, 3)?);
        let parts = [side.layer(24, 32, 3, 1)?, side.layer(32, 32, 3, 1)?];
        let running = parts[0].1.norm.running_var.clone();
        let mut layers = vec![PlainLayer {
            bias: Some(bias.as_tensor().clone()),
            activation: Some(Activation::Gelu),
            ..PlainLayer::new(whitening.as_detached_tensor())
        }];
        for ((_, part), pool) in parts.iter().zip([2, 1]) {
            let (norm, activation) = (Some(part.norm.clone()), Some(Activation::Gelu));
            layers.push(PlainLayer { padding: 1, pool, norm, activation, ..PlainLayer::new(part.weight.clone()) });
        }
        let variables: Vec<&Var> = [&x, &bias].into_iter().chain(parts.iter().flat_map(|(vars, _)| vars)).collect();
        let mut all = side.all(&kernels::plain_network(&x, &layers, Mode::Train)?, &variables)?;
        all.push(running.as_detached_tensor());
        Ok(all)
    })
}

#[test]
fn pools_and_the_rectifier() -> Result<()> {
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1)] {
        agrees("pools", false, |side| {
            let x = side.numbers((2, 9, 7, 5), 1)?;
            let mut all = side.all(&kernels::max_pool2d(&x, kernel, stride, padding)?, &[&x])?;
            all.extend(side.all(&kernels::avg_pool2d(&x, kernel, stride, padding)?, &[&x])?);
            all.extend(side.all(&kernels::global_avg_pool(&x)?, &[&x])?);
            all.extend(side.all(&kernels::relu(&x)?, &[&x])?);
            Ok(all)
        })?;
    }
    Ok(())
}

#[test]
fn activations() -> Result<()> {
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        agrees("activate", false, |side| {
            let x = side.filled((9, 35), 1, side.dtype, |x| 5.0 * x)?;
            side.all(&kernels::activate(&x, activation)?, &[&x])
        })?;
    }
    Ok(())
}

#[test]
fn norms_over_rows() -> Result<()> {
    for width in [7, 300] {
        agrees("layer_norm", false, |side| {
            let (x, weight, bias) =
                (side.numbers((70, width), 1)?, side.parameters(width, 2)?, side.parameters(width, 3)?);
            let (scale, shift) = (Some(weight.as_tensor().clone()), Some(bias.as_tensor().clone()));
            let norm = LayerNorm { weight: scale.clone(), bias: shift, ..LayerNorm::default() };
            let mut all = side.all(&kernels::layer_norm(&x, &norm)?, &[&x, &weight, &bias])?;
            let norm = RmsNorm { weight: scale, ..RmsNorm::default() };
            all.extend(side.all(&kernels::rms_norm(&x, &norm)?, &[&x, &weight])?);
            Ok(all)
        })?;
    }
    Ok(())
}

#[test]
fn losses() -> Result<()> {
    for (classes, smoothing) in [(10, 0.0), (10, 0.1), (300, 0.1)] {
        agrees("cross_entropy", false, |side| {
            let (logits, targets) = (side.numbers((7, classes), 1)?, side.numbers((7, classes), 2)?.abs()?);
            let loss = kernels::cross_entropy(&logits, &targets, smoothing)?;
            assert_eq!(loss.dtype(), side.wide(), "a loss is summed, and given, in f32 at least");
            let mut all = side.all(&loss, &[&logits])?;
            let indices = Tensor::from_iter((0..7u32).map(|row| row * 3 % classes as u32), &side.device)?;
            all.extend(side.all(&kernels::cross_entropy_indices(&logits, &indices, smoothing)?, &[&logits])?);
            Ok(all)
        })?;
    }
    Ok(())
}

#[test]
fn layers_of_language_models() -> Result<()> {
    agrees("lstm", false, |side| {
        // bf16 is refused; on the other side of that comparison there is nothing to compare either.
        if side.rounded {
            return Ok(Vec::new());
        }
        let (x, ih, hh) = (side.numbers((4, 3, 5), 1)?, side.numbers((28, 5), 2)?, side.numbers((28, 7), 3)?);
        let (hidden, cell) = (side.numbers((3, 7), 4)?, side.numbers((3, 7), 5)?);
        let tensor = |var: &Var| var.as_tensor().clone();
        let layer = kernels::Lstm { weight_ih: tensor(&ih), weight_hh: tensor(&hh), biases: None };
        let state = kernels::LstmState { hidden: tensor(&hidden), cell: tensor(&cell) };
        let (y, _) = kernels::lstm(&x, &layer, &state)?;
        let mut all = side.all(&y, &[&x, &ih, &hh, &hidden, &cell])?;
        let ids = Tensor::from_iter((0..12u32).map(|at| at * 5 % 28), &side.device)?;
        all.extend(side.all(&kernels::embedding(&ih, &ids)?, &[&ih])?);
        let mask = side.numbers((12, 5), 6)?.as_detached_tensor();
        all.extend(side.all(&kernels::masked_embedding(&ih, &ids, &mask)?, &[&ih])?);
        all.extend(side.all(&kernels::linear_cross_entropy(&y, &hh, None, &ids, 0.1)?, &[&x, &hh])?);
        let mask = side.numbers((1, 3, 7), 8)?.as_detached_tensor();
        let loss = kernels::masked_linear_cross_entropy(&y, &mask, &hh, None, &ids, 0.1)?;
        all.extend(side.all(&loss, &[&x, &hh])?);
        Ok(all)
    })
}
