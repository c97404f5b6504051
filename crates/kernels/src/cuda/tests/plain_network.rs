//! Networks without shortcuts, and how many launches a step of the speed network is.

use candle_core::{Result, Tensor, Var};

use crate::cuda::batch_norm::Parameters;
use crate::cuda::call::Pointer;
use crate::cuda::chain;
use crate::cuda::columns::Matrix;
use crate::cuda::filters::{Filters, from_cudnn, to_cudnn};
use crate::cuda::layer::Norm;
use crate::cuda::plain_network::{Bias, Layer, LayerGradients};
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Stream};
use crate::cuda::tests::emulated::Emulated;
use crate::cuda::tests::memory::{Memory, assert_close, numbers, tensor};
use crate::plan::{ConvShape, PoolShape, Window};
use crate::{Activation, BatchNorm, Mode, PlainLayer};

/// A layer in short.
#[derive(Clone, Copy)]
struct Short {
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    bias: bool,
    pool: usize,
    norm: bool,
    after: Option<Activation>,
}

const PLAIN: Short =
    Short { outputs: 8, kernel: 3, stride: 1, padding: 1, bias: false, pool: 1, norm: false, after: None };

impl Short {
    /// The extents behind an image of `channels`, and those of the pool.
    fn shapes(&self, batch: usize, input: usize, channels: usize) -> Result<(ConvShape, Option<PoolShape>)> {
        let window = Window::dense((self.kernel, self.kernel), self.stride, self.padding);
        let output = window.output("test", (input, input))?;
        let (channels_in, channels_out, groups) = (channels, self.outputs, 1);
        let shape = ConvShape { batch, input: (input, input), output, channels_in, channels_out, groups, window };
        if self.pool == 1 {
            return Ok((shape, None));
        }
        let window = Window::dense((self.pool, self.pool), self.pool, 0);
        let pooled = window.output("test", output)?;
        Ok((shape, Some(PoolShape { batch, input: output, output: pooled, channels: channels_out, window })))
    }
}

/// One layer on both sides.
struct Twin {
    short: Short,
    shape: ConvShape,
    pool: Option<PoolShape>,
    /// Weight, bias or shift, and scale, each with the values and the gradient on the device.
    parameters: [(Var, Memory, Memory); 3],
    running: [(Var, Memory); 2],
    /// The filters as cuDNN has them, and their gradient.
    turned: [Memory; 2],
}

impl Twin {
    fn new(element: ElementType, short: Short, (batch, input, channels): (usize, usize, usize)) -> Result<Self> {
        let (shape, pool) = short.shapes(batch, input, channels)?;
        let seed = 10 * (input + channels) as u64;
        let filters = [short.outputs, channels, short.kernel, short.kernel];
        let parameter = |shape: &[usize], seed: u64| -> Result<(Var, Memory, Memory)> {
            let values = numbers(shape.iter().product(), seed);
            let var = Var::from_tensor(&tensor(&values, shape)?)?;
            Ok((var, Memory::of(element, &values), Memory::new(element, values.len())))
        };
        let running = |seed: u64, more: f64| -> Result<(Var, Memory)> {
            let values: Vec<f64> = numbers(short.outputs, seed).iter().map(|v| v + more).collect();
            Ok((Var::from_tensor(&tensor(&values, &[short.outputs])?)?, Memory::of(element, &values)))
        };
        let outputs = [short.outputs];
        let parameters = [parameter(&filters, seed)?, parameter(&outputs, seed + 1)?, parameter(&outputs, seed + 2)?];
        let running = [running(seed + 3, 0.0)?, running(seed + 4, 1.5)?];
        let turned = [(); 2].map(|()| Memory::new(element, shape.weight_len()));
        Ok(Self { short, shape, pool, parameters, running, turned })
    }

    fn output(&self) -> (usize, usize, usize) {
        (self.shape.batch, self.pool.map_or(self.shape.output, |pool| pool.output).0, self.short.outputs)
    }

    fn kernel(&self) -> Result<PlainLayer> {
        let [weight, shift, scale] = self.parameters.each_ref().map(|(var, ..)| var.as_tensor().clone());
        let [mean, variance] = self.running.each_ref().map(|(var, _)| var.clone());
        let Short { stride, padding, pool, after, .. } = self.short;
        let norm = if self.short.norm { Some(BatchNorm::new(scale, shift.clone(), mean, variance)?) } else { None };
        let bias = self.short.bias.then_some(shift);
        Ok(PlainLayer { weight, bias, stride, padding, pool, norm, activation: after })
    }

    fn layer(&mut self, element: ElementType) -> Layer {
        let (batch, side, channels) = self.output();
        let [_, (_, shift, _), (_, scale, _)] = &mut self.parameters;
        let [(_, mean), (_, variance)] = &mut self.running;
        let at =
            Parameters { weight: scale.at(), bias: shift.at(), running_mean: mean.at(), running_var: variance.at() };
        let matrix = Matrix { rows: batch * side * side, channels, element, parameter: element };
        Layer {
            shape: self.shape,
            filters: self.turned[0].at(),
            element,
            bias: self.short.bias.then_some(Bias { at: at.bias, parameter: element }),
            pool: self.pool,
            norm: self.short.norm.then_some(Norm { matrix, parameters: at, eps: 1e-5, momentum: 0.1 }),
            after: self.short.after,
        }
    }

    fn gradients(&mut self) -> LayerGradients {
        let [_, (.., shift), (.., scale)] = &mut self.parameters;
        let (shift, scale) = (shift.at(), scale.at());
        LayerGradients { filters: self.turned[1].at(), bias: shift, scale, shift }
    }

    fn filters(&mut self, gradients: bool) -> Filters {
        let (_, weight, d_weight) = &mut self.parameters[0];
        let ours = if gradients { d_weight.at() } else { weight.at() };
        Filters::of(&self.shape, ours, self.turned[usize::from(gradients)].at())
    }
}

/// These layers on images of 3 x 13 x 13 x 3, against the CPU's node.
fn case(element: ElementType, mode: Mode, shorts: &[Short]) -> Result<()> {
    let (mut twins, mut extents) = (Vec::<Twin>::new(), (3, 13, 3));
    for short in shorts {
        twins.push(Twin::new(element, *short, extents)?);
        extents = twins[twins.len() - 1].output();
    }
    let x = numbers(3 * 13 * 13 * 3, 7);
    let x_var = Var::from_tensor(&tensor(&x, &[3, 13, 13, 3])?)?;
    let kernels = twins.iter().map(Twin::kernel).collect::<Result<Vec<_>>>()?;
    let expected = crate::plain_network(&x_var, &kernels, mode)?;
    let dy = numbers(expected.elem_count(), 8);
    let gradients = (&expected * tensor(&dy, expected.dims())?)?.sum_all()?.backward()?;

    let device = Emulated::default();
    let [mut x, mut dy] = [x, dy].map(|values| Memory::of(element, &values));
    let [mut y, mut dx] = [dy.len, x.len].map(|len| Memory::new(element, len));
    let layers: Vec<Layer> = twins.iter_mut().map(|twin| twin.layer(element)).collect();
    let to: Vec<LayerGradients> = twins.iter_mut().map(Twin::gradients).collect();
    let filters: Vec<Filters> = twins.iter_mut().map(|twin| twin.filters(false)).collect();
    for call in to_cudnn(element, element, &filters) {
        device.launch(&call)?;
    }
    let saved = chain::forward(&device, &layers, mode, true, (x.at(), y.at()))?;
    if device.skips() {
        return Ok(());
    }
    chain::backward(&device, &layers, mode, &saved, (x.at(), y.at()), (dy.at(), dx.at()), &to)?;
    let filters: Vec<Filters> = twins.iter_mut().map(|twin| twin.filters(true)).collect();
    for call in from_cudnn(element, element, &filters) {
        device.launch(&call)?;
    }

    let close = |name: &str, got: &Memory, expected: &Tensor| assert_close(name, got.stored, &got.values(), expected);
    let gradient = |var: &Var| gradients.get(var).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"));
    close("y", &y, &expected)?;
    close("dx", &dx, &gradient(&x_var)?)?;
    for (number, twin) in twins.iter().enumerate() {
        let Short { bias, norm, .. } = twin.short;
        for (index, is_there) in [true, bias || norm, norm].into_iter().enumerate() {
            let (var, _, got) = &twin.parameters[index];
            if is_there {
                close(&format!("gradient {index} of layer {number}"), got, &gradient(var)?)?;
            }
        }
        for (index, (var, got)) in twin.running.iter().enumerate() {
            close(&format!("running {index} of layer {number}"), got, var.as_tensor())?;
        }
    }
    // Where the first layer is not trained, the others' gradients are the same, and nothing is written below them.
    let before: Vec<Vec<f64>> = twins.iter().map(|twin| twin.turned[1].values()).collect();
    for twin in &mut twins {
        let of_parameters = twin.parameters.iter_mut().map(|(.., gradient)| gradient);
        of_parameters.chain([&mut twin.turned[1]]).for_each(|gradient| *gradient = Memory::new(element, gradient.len));
    }
    let to: Vec<LayerGradients> = twins[1..].iter_mut().map(Twin::gradients).collect();
    let slopes = (dy.at(), Pointer::NULL);
    chain::backward(&device, &layers, mode, &saved, (x.at(), y.at()), slopes, &to)?;
    assert!(twins[1..].iter().zip(&before[1..]).all(|(twin, before)| twin.turned[1].values() == *before));
    let below = twins[0].parameters.iter().map(|(.., gradient)| gradient).chain([&twins[0].turned[1]]);
    assert!(below.flat_map(Memory::values).all(|value| value.is_nan()));
    // Without a backward pass nothing is kept, and the output is the same, but for the running statistics that moved.
    if mode == Mode::Train {
        let mut again = Memory::new(element, y.len);
        assert!(chain::forward(&device, &layers, mode, false, (x.at(), again.at()))?.is_empty());
        assert_eq!(again.values(), y.values());
    }
    Ok(())
}

#[test]
fn a_network_is_that_of_the_cpu() -> Result<()> {
    let gelu = Some(Activation::Gelu);
    // As in the speed network, then what it has not: the rectifier in and behind a norm, a bias alone, and each of the parts last.
    let whitening = Short { outputs: 12, kernel: 2, padding: 0, bias: true, after: gelu, ..PLAIN };
    let pooled = Short { pool: 2, norm: true, after: gelu, ..PLAIN };
    let speed = [whitening, pooled, Short { pool: 1, ..pooled }];
    let rectified = Short { norm: true, after: Some(Activation::Relu), ..PLAIN };
    let biased = Short { bias: true, ..PLAIN };
    let others = [
        Short { bias: true, after: Some(Activation::Relu), ..PLAIN },
        rectified,
        Short { stride: 2, norm: true, ..PLAIN },
        Short { pool: 3, bias: true, ..PLAIN },
    ];
    case(ElementType::F64, Mode::Train, &speed)?;
    case(ElementType::F64, Mode::Eval, &speed)?;
    case(ElementType::F32, Mode::Train, &speed)?;
    case(ElementType::F64, Mode::Train, &others)?;
    case(ElementType::F64, Mode::Train, &[pooled, biased])?;
    case(ElementType::F64, Mode::Train, &[PLAIN, Short { pool: 2, after: gelu, ..PLAIN }, rectified])
}

/// The speed network for 32 x 32 images at batch 1,024, whose filters of the first layer nobody trains.
fn speed_network() -> Result<(Vec<Layer>, Vec<LayerGradients>)> {
    let (gelu, at) = (Some(Activation::Gelu), Pointer(4096));
    let mut shorts = vec![Short { outputs: 24, kernel: 2, padding: 0, bias: true, after: gelu, ..PLAIN }];
    for outputs in [64, 256, 256] {
        shorts.push(Short { outputs, pool: 2, norm: true, after: gelu, ..PLAIN });
        shorts.push(Short { outputs, norm: true, after: gelu, ..PLAIN });
    }
    let (mut layers, mut side, mut channels) = (Vec::new(), 32, 3);
    for short in shorts {
        let (shape, pool) = short.shapes(1024, side, channels)?;
        (side, channels) = (pool.map_or(shape.output, |pool| pool.output).0, short.outputs);
        let (element, parameter) = (ElementType::F32, ElementType::F32);
        let matrix = Matrix { rows: 1024 * side * side, channels, element, parameter };
        let parameters = Parameters { weight: at, bias: at, running_mean: at, running_var: at };
        let norm = short.norm.then_some(Norm { matrix, parameters, eps: 1e-12, momentum: 0.4 });
        let bias = short.bias.then_some(Bias { at, parameter });
        layers.push(Layer { shape, filters: at, element, bias, pool, norm, after: short.after });
    }
    assert_eq!((side, channels), (3, 256));
    let mut gradients = vec![LayerGradients { filters: at, bias: at, scale: at, shift: at }; layers.len()];
    gradients[0].filters = Pointer::NULL;
    Ok((layers, gradients))
}

/// What the host asks for in a step: every launch, every call of cuDNN, and what candle adds.
#[test]
fn a_step_of_the_speed_network_is_at_most_90_launches() -> Result<()> {
    let device = Emulated::counting();
    let (layers, gradients) = speed_network()?;
    let at = Pointer(4096);
    let filters: Vec<Filters> = layers.iter().map(|layer| Filters::of(&layer.shape, at, at)).collect();
    for call in to_cudnn(ElementType::F32, ElementType::F32, &filters) {
        device.launch(&call)?;
    }
    let saved = chain::forward(&device, &layers, Mode::Train, true, (at, at))?;
    let ends = ((at, at), (at, Pointer::NULL));
    chain::backward(&device, &layers, Mode::Train, &saved, ends.0, ends.1, &gradients)?;
    for call in from_cudnn(ElementType::F32, ElementType::F32, &filters[1..]) {
        device.launch(&call)?;
    }
    let (own, convolutions) = (device.launches.borrow().len(), device.convolutions.borrow());
    // Each way: six norms, seven functions, three pools and a bias; filters turned, and their gradients turned back.
    assert_eq!(own, 2 * (6 + 7 + 3 + 1) + 2);
    // Forward, filters but for the frozen ones, and data but for the images'.
    let of = |direction| convolutions.iter().filter(|(_, of)| *of == direction).count();
    assert_eq!([of(Direction::Forward), of(Direction::Filter), of(Direction::Data { add: false })], [7, 6, 6]);
    let (pool, loss, optimizer) = (2, 2, 1);
    // What candle 0.11.1 adds, counted in its source: a gradient is cleared and added to (2), so those of the token, the logits and
    // their product, transposed weight and weight, and of the features, as they are multiplied, pooled and not pooled.
    let gradients = 2 * 8;
    // The loss's gradient is filled, the last layer multiplies thrice and scales twice; the extents of one kernel that takes strides
    // are uploaded.
    let candle = gradients + 1 + 3 + 2 + 1;
    let all = own + convolutions.len() + pool + loss + optimizer + candle;
    println!("{own} own, {} of cuDNN, {all} in all", convolutions.len());
    assert!(all <= 90, "{all}");
    Ok(())
}
