//! Any small extents, channels, windows and strides, zeros among them: a call is an error or right, and never a panic. Right
//! is what the definition says: the same call in f64, whose kernels are the plain ones; for pools, whose kernels may be the
//! same, the formula.

mod support;

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{After, BatchNorm, ConvAlgorithm, InstructionSet, Mode};
use proptest::prelude::*;

/// Numbers in [-1, 1) without a pattern.
fn numbers(shape: &[usize], seed: u32, dtype: DType) -> Result<Var> {
    Var::from_tensor(&support::numbers(shape, seed)?.to_dtype(dtype)?)
}

/// A result and the gradients of `inputs`, under a loss that weighs every element differently.
fn all(y: &Tensor, inputs: &[&Var]) -> Result<Vec<Tensor>> {
    let weigh = numbers(y.dims(), 99, y.dtype())?;
    let gradients = (y * weigh.as_detached_tensor())?.sum_all()?.backward()?;
    let mut all = vec![y.detach()];
    for input in inputs {
        all.push(gradients.get(input).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"))?);
    }
    Ok(all)
}

/// Both are errors of the same words, or all tensors agree: errors are shares of the largest element.
fn agree(narrow: Result<Vec<Tensor>>, wide: Result<Vec<Tensor>>, tolerance: f64) -> std::result::Result<(), String> {
    let (narrow, wide) = match (narrow, wide) {
        (Ok(narrow), Ok(wide)) => (narrow, wide),
        (Err(narrow), Err(wide)) => {
            // The first line is the message; a backtrace may follow, where the environment asks for one.
            let message = |error: candle_core::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
            let (narrow, wide) = (message(narrow), message(wide));
            return if narrow == wide { Ok(()) } else { Err(format!("{narrow:?} and {wide:?}")) };
        }
        (narrow, wide) => return Err(format!("f32 {:?}, f64 {:?}", narrow.err(), wide.err())),
    };
    for (index, (narrow, wide)) in narrow.iter().zip(&wide).enumerate() {
        let values = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
        let both = values(narrow).and_then(|narrow| Ok((narrow, values(wide)?)));
        let (narrow, wide) = both.map_err(|error| error.to_string())?;
        let largest = wide.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
        for (at, (got, expected)) in narrow.iter().zip(&wide).enumerate() {
            if (got - expected).abs() > tolerance * largest || got.is_nan() != expected.is_nan() {
                return Err(format!("tensor {index}, element {at}: {got} instead of {expected}"));
            }
        }
    }
    Ok(())
}

fn channels() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0usize, 1, 2, 3, 16, 17, 32, 48])
}

/// Mostly small, now and then absurd.
fn padding() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0usize..5, 1 => prop::sample::select(vec![1025, 1 << 40, usize::MAX / 2 + 1, usize::MAX])]
}

fn stride() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0usize..5, 1 => prop::sample::select(vec![1 << 40, usize::MAX])]
}

/// Any way of computing: every set gives the same to rounding, so it does not matter which of the tests chose last.
fn way() -> impl Strategy<Value = (InstructionSet, ConvAlgorithm)> {
    let sets = [
        InstructionSet::Reference,
        InstructionSet::Portable,
        InstructionSet::Avx2,
        InstructionSet::Avx512,
        InstructionSet::Neon,
    ];
    let sets: Vec<InstructionSet> = sets.into_iter().filter(|set| set.is_available()).collect();
    let algorithms = vec![ConvAlgorithm::Winograd4, ConvAlgorithm::Winograd2, ConvAlgorithm::Direct];
    (prop::sample::select(sets), prop::sample::select(algorithms))
}

#[derive(Debug)]
struct Pool {
    kernel: usize,
    stride: usize,
    padding: usize,
    largest: bool,
}

impl Pool {
    /// Whether the operation is an error where no window fits, and elsewhere what the formula says.
    fn agrees(&self, shape: [usize; 4]) -> Result<std::result::Result<(), String>> {
        let &Self { kernel, stride, padding, largest } = self;
        // Few different values, so that many are equal.
        let x = Var::from_tensor(&((numbers(&shape, 1, DType::F32)?.as_tensor() * 4.0)?.round()? / 4.0)?)?;
        let pool = if largest { kernels::max_pool2d } else { kernels::avg_pool2d };
        let [_, height, width, channels] = shape;
        let reaches = |side: usize| side > 0 && kernel <= side + 2 * padding;
        let fits =
            kernel > 0 && stride > 0 && padding <= kernel / 2 && reaches(height) && reaches(width) && channels > 0;
        match pool(&x, kernel, stride, padding) {
            Ok(y) if fits => {
                let expected = self.formula(&x, y.dims())?;
                Ok(agree(all(&y, &[&x]), Ok(expected), 1e-6))
            }
            Err(_) if !fits => Ok(Ok(())),
            result => Ok(Err(format!("{:?}", result.map(|y| y.dims().to_vec())))),
        }
    }

    /// The result, of extents `y`, and the gradient of `x` under the loss of [`all`].
    fn formula(&self, x: &Tensor, y: &[usize]) -> Result<Vec<Tensor>> {
        let &Self { kernel, stride, padding, largest } = self;
        let dy: Vec<f64> = numbers(y, 99, DType::F32)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let (_, height, width, channels) = x.dims4()?;
        let values: Vec<f64> = x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let (mut result, mut dx) = (Vec::new(), vec![0.0; values.len()]);
        for (at, dy) in dy.iter().enumerate() {
            let (pixel, channel) = (at / channels, at % channels);
            let (image, row, column) = (pixel / (y[1] * y[2]), pixel / y[2] % y[1], pixel % y[2]);
            // The elements under the window, in reading order.
            let mut window = Vec::new();
            for tap in 0..kernel * kernel {
                let (down, right) = (row * stride + tap / kernel, column * stride + tap % kernel);
                if (padding..padding + height).contains(&down) && (padding..padding + width).contains(&right) {
                    let pixel = (image * height + down - padding) * width + right - padding;
                    window.push(pixel * channels + channel);
                }
            }
            if largest {
                let winner =
                    window.iter().fold(window[0], |best, &next| if values[next] > values[best] { next } else { best });
                result.push(values[winner]);
                dx[winner] += dy;
            } else {
                let share = 1.0 / (kernel * kernel) as f64;
                result.push(window.iter().map(|&element| values[element]).sum::<f64>() * share);
                window.iter().for_each(|&element| dx[element] += dy * share);
            }
        }
        Ok(vec![Tensor::from_vec(result, y, &Device::Cpu)?, Tensor::from_vec(dx, x.shape(), &Device::Cpu)?])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conv2d(
        batch in 0usize..4, image in (0usize..10, 0usize..10), from in channels(), to in channels(),
        kernel in (0usize..5, 0usize..5), stride in stride(), padding in padding(), (set, algorithm) in way(),
    ) {
        kernels::set_conv_algorithm(algorithm);
        prop_assert!(kernels::set_instruction_set(set).is_ok());
        let run = |dtype| {
            let x = numbers(&[batch, image.0, image.1, from], 1, dtype)?;
            let weight = numbers(&[to, from, kernel.0, kernel.1], 2, dtype)?;
            all(&kernels::conv2d(&x, &weight, stride, padding)?, &[&x, &weight])
        };
        // Winograd's 4x4 tiles multiply rounding by their constants.
        let agreed = agree(run(DType::F32), run(DType::F64), 1e-4);
        prop_assert!(agreed.is_ok(), "{}", agreed.unwrap_err());
    }

    #[test]
    fn pools(
        batch in 0usize..4, image in (0usize..10, 0usize..10), channels in channels(), kernel in 0usize..6,
        (stride, padding) in prop_oneof![(stride().prop_map(Some), padding()), Just((None, 0))], largest in any::<bool>(),
        (set, _) in way(),
    ) {
        prop_assert!(kernels::set_instruction_set(set).is_ok());
        // Windows side by side have kernels of their own.
        let pool = Pool { kernel, stride: stride.unwrap_or(kernel), padding, largest };
        let agreed = pool.agrees([batch, image.0, image.1, channels]);
        prop_assert!(matches!(agreed, Ok(Ok(()))), "{agreed:?}");
    }

    #[test]
    fn batch_norm(
        batch in 0usize..4, image in (0usize..10, 0usize..10), channels in channels(), after in 0usize..3,
        train in any::<bool>(), (set, _) in way(),
    ) {
        prop_assert!(kernels::set_instruction_set(set).is_ok());
        let run = |dtype| {
            let shape = [batch, image.0, image.1, channels];
            let (x, residual) = (numbers(&shape, 1, dtype)?, numbers(&shape, 2, dtype)?);
            let vector = |seed| numbers(&[channels], seed, dtype);
            let (weight, bias, mean) = (vector(3)?, vector(4)?, vector(5)?);
            let var = Var::from_tensor(&(vector(6)?.as_tensor() + 2.0)?)?;
            let (scale, shift) = (weight.as_tensor().clone(), bias.as_tensor().clone());
            // Not `new`, which would refuse the layer before the operation can.
            let norm = BatchNorm { weight: scale, bias: shift, running_mean: mean, running_var: var, momentum: 0.1, eps: 1e-5 };
            let after = [After::Nothing, After::Relu, After::AddRelu(&residual)][after];
            let mode = if train { Mode::Train } else { Mode::Eval };
            let mut inputs = vec![&x, &weight, &bias];
            if let After::AddRelu(_) = after {
                inputs.push(&residual);
            }
            let y = kernels::batch_norm(&x, &norm, after, mode)?;
            let mut tensors = all(&y, &inputs)?;
            tensors.extend([norm.running_mean.detach(), norm.running_var.detach()]);
            Ok(tensors)
        };
        // Two near values divided by their small spread: rounding of the input grows by its reciprocal.
        let agreed = agree(run(DType::F32), run(DType::F64), 2e-3);
        prop_assert!(agreed.is_ok(), "{}", agreed.unwrap_err());
    }
}
