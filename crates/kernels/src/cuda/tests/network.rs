//! Residual networks, and how many launches a step of one is.

use candle_core::{Result, Tensor, Var};

use crate::cuda::batch_norm::Parameters;
use crate::cuda::call::Pointer;
use crate::cuda::chain;
use crate::cuda::columns::Matrix;
use crate::cuda::filters::{Filters, from_cudnn, to_cudnn};
use crate::cuda::layer::Norm;
use crate::cuda::network::{Block, Layer, LayerGradients, Side};
use crate::cuda::source::ElementType;
use crate::cuda::stream::Stream;
use crate::cuda::tests::emulated::Emulated;
use crate::cuda::tests::memory::{Memory, assert_close, numbers, tensor};
use crate::plan::{ConvShape, Window};
use crate::{BatchNorm, ConvBatchNorm, Mode, ResidualBlock};

/// One layer on both sides.
struct Twin {
    shape: ConvShape,
    vars: [Var; 3],
    running: [Var; 2],
    kernel: ConvBatchNorm,
    /// Weight, scale, shift, running mean and variance, then the gradients of the first three.
    memory: [Memory; 8],
    turned: Memory,
    d_turned: Memory,
}

impl Twin {
    fn new(element: ElementType, shape: ConvShape, seed: u64) -> Result<Self> {
        let (outputs, (down, right)) = (shape.channels_out, shape.window.kernel);
        let filters = [outputs, shape.channels_in, down, right];
        let weight = numbers(filters.iter().product(), seed);
        let [scale, shift, mean] = [1, 2, 3].map(|more| numbers(outputs, seed + more));
        let var: Vec<f64> = numbers(outputs, seed + 4).iter().map(|v| v + 1.5).collect();
        let new = |values: &[f64], shape: &[usize]| Var::from_tensor(&tensor(values, shape)?);
        let vars = [new(&weight, &filters)?, new(&scale, &[outputs])?, new(&shift, &[outputs])?];
        let running = [new(&mean, &[outputs])?, new(&var, &[outputs])?];
        let [w, s, b] = vars.each_ref().map(|var| var.as_tensor().clone());
        let norm = BatchNorm::new(s, b, running[0].clone(), running[1].clone())?;
        let kernel = ConvBatchNorm { weight: w, stride: shape.window.stride, padding: shape.window.padding, norm };
        let parameter = if element == ElementType::Bf16 { ElementType::F32 } else { element };
        let of = |values: &Vec<f64>| Memory::of(parameter, values);
        let empty = |len| Memory::new(parameter, len);
        let memory = [
            of(&weight),
            of(&scale),
            of(&shift),
            of(&mean),
            of(&var),
            empty(weight.len()),
            empty(outputs),
            empty(outputs),
        ];
        let [turned, d_turned] = [(); 2].map(|()| Memory::new(element, weight.len()));
        Ok(Self { shape, vars, running, kernel, memory, turned, d_turned })
    }

    fn parameter(&self) -> ElementType {
        self.memory[0].stored
    }

    fn layer(&mut self, element: ElementType) -> Layer {
        let parameter = self.parameter();
        let rows = self.shape.batch * self.shape.output.0 * self.shape.output.1;
        let [_, weight, bias, running_mean, running_var, ..] = self.memory.each_mut().map(Memory::at);
        let matrix = Matrix { rows, channels: self.shape.channels_out, element, parameter };
        let parameters = Parameters { weight, bias, running_mean, running_var };
        let norm = Norm { matrix, parameters, eps: self.kernel.norm.eps, momentum: self.kernel.norm.momentum };
        Layer { shape: self.shape, filters: self.turned.at(), norm }
    }

    fn gradients(&mut self) -> LayerGradients {
        let [.., scale, shift] = self.memory.each_mut().map(Memory::at);
        LayerGradients { filters: self.d_turned.at(), scale, shift }
    }

    fn filters(&mut self, ours: usize, gradients: bool) -> Filters {
        let theirs = if gradients { self.d_turned.at() } else { self.turned.at() };
        Filters::of(&self.shape, self.memory[ours].at(), theirs)
    }
}

fn shape(batch: usize, input: usize, channels: (usize, usize), kernel: usize, stride: usize) -> ConvShape {
    let window = Window::dense((kernel, kernel), stride, kernel / 2);
    let output = (input + 2 * window.padding - kernel) / stride + 1;
    let (input, output) = ((input, input), (output, output));
    ConvShape { batch, input, output, channels_in: channels.0, channels_out: channels.1, groups: 1, window }
}

/// A stem, a block that keeps its shape and one that changes it, against the CPU's node.
fn case(element: ElementType, mode: Mode) -> Result<()> {
    let shapes = [
        shape(3, 7, (3, 8), 3, 1),
        shape(3, 7, (8, 8), 3, 1),
        shape(3, 7, (8, 8), 3, 1),
        shape(3, 7, (8, 16), 3, 2),
        shape(3, 4, (16, 16), 3, 1),
        shape(3, 7, (8, 16), 1, 2),
    ];
    let mut twins = Vec::new();
    for (index, shape) in shapes.into_iter().enumerate() {
        twins.push(Twin::new(element, shape, 10 * index as u64 + 1)?);
    }
    let x = numbers(shapes[0].x_len(), 7);
    let x_var = Var::from_tensor(&tensor(&x, &[3, 7, 7, 3])?)?;
    let of = |index: usize| twins[index].kernel.clone();
    let blocks = [
        ResidualBlock { path: vec![of(1), of(2)], shortcut: None },
        ResidualBlock { path: vec![of(3), of(4)], shortcut: Some(of(5)) },
    ];
    let expected = crate::residual_network(&x_var, &of(0), &blocks, mode)?;
    let dy = numbers(expected.elem_count(), 8);
    let gradients = (&expected * tensor(&dy, expected.dims())?)?.sum_all()?.backward()?;

    let device = Emulated::default();
    let [mut x, mut dy] = [x, dy].map(|values| Memory::of(element, &values));
    let [mut y, mut dx] = [dy.len, x.len].map(|len| Memory::new(element, len));
    let parameter = twins[0].parameter();
    let filters: Vec<Filters> = twins.iter_mut().map(|twin| twin.filters(0, false)).collect();
    let there: Vec<Layer> = twins.iter_mut().map(|twin| twin.layer(element)).collect();
    let to: Vec<LayerGradients> = twins.iter_mut().map(Twin::gradients).collect();
    let blocks = [
        Block { path: vec![there[0]], side: Side::Nothing },
        Block { path: vec![there[1], there[2]], side: Side::Identity },
        Block { path: vec![there[3], there[4]], side: Side::Projection(there[5]) },
    ];
    let gradients_to = [vec![to[0]], vec![to[1], to[2]], vec![to[3], to[4], to[5]]];
    for call in to_cudnn(element, parameter, &filters) {
        device.launch(&call)?;
    }
    let saved = chain::forward(&device, &blocks, mode, true, (x.at(), y.at()))?;
    if device.skips() {
        return Ok(());
    }
    chain::backward(&device, &blocks, mode, &saved, (x.at(), y.at()), (dy.at(), dx.at()), &gradients_to)?;
    let filters: Vec<Filters> = twins.iter_mut().map(|twin| twin.filters(5, true)).collect();
    for call in from_cudnn(element, parameter, &filters) {
        device.launch(&call)?;
    }

    let close = |name: &str, got: &Memory, expected: &Tensor| assert_close(name, got.stored, &got.values(), expected);
    let gradient = |var: &Var| gradients.get(var).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"));
    close("y", &y, &expected)?;
    close("dx", &dx, &gradient(&x_var)?)?;
    for (number, twin) in twins.iter().enumerate() {
        for (index, var) in twin.vars.iter().enumerate() {
            close(&format!("gradient {index} of layer {number}"), &twin.memory[5 + index], &gradient(var)?)?;
        }
        for (index, var) in twin.running.iter().enumerate() {
            close(&format!("running {index} of layer {number}"), &twin.memory[3 + index], var.as_tensor())?;
        }
    }
    // Without a backward pass nothing is kept, and the output is the same.
    let mut again = Memory::new(element, y.len);
    assert!(chain::forward(&device, &blocks, mode, false, (x.at(), again.at()))?.is_empty());
    assert_eq!(again.values(), y.values());
    Ok(())
}

#[test]
fn a_network_is_that_of_the_cpu() -> Result<()> {
    case(ElementType::F64, Mode::Train)?;
    case(ElementType::F64, Mode::Eval)?;
    case(ElementType::F32, Mode::Train)
}

/// ResNet-20 for 32 x 32 images at batch 128, with the numbers of layers and the extents that count.
fn resnet20() -> (Vec<ConvShape>, Vec<Block>) {
    let (mut shapes, mut blocks) = (Vec::new(), Vec::new());
    let mut layer = |input, channels: (usize, usize), kernel, stride| {
        let shape = shape(128, input, channels, kernel, stride);
        shapes.push(shape);
        let rows = 128 * shape.output.0 * shape.output.1;
        let (element, parameter) = (ElementType::F32, ElementType::F32);
        let matrix = Matrix { rows, channels: channels.1, element, parameter };
        let at = Pointer(4096);
        let parameters = Parameters { weight: at, bias: at, running_mean: at, running_var: at };
        Layer { shape, filters: at, norm: Norm { matrix, parameters, eps: 1e-5, momentum: 0.1 } }
    };
    blocks.push(Block { path: vec![layer(32, (3, 16), 3, 1)], side: Side::Nothing });
    let (mut extent, mut channels) = (32, 16);
    for stage in 0..3 {
        for index in 0..3 {
            let (outputs, stride) = if stage > 0 && index == 0 { (2 * channels, 2) } else { (channels, 1) };
            let path =
                vec![layer(extent, (channels, outputs), 3, stride), layer(extent / stride, (outputs, outputs), 3, 1)];
            let side = match stride {
                1 => Side::Identity,
                _ => Side::Projection(layer(extent, (channels, outputs), 1, stride)),
            };
            blocks.push(Block { path, side });
            (extent, channels) = (extent / stride, outputs);
        }
    }
    (shapes, blocks)
}

/// What the host asks for in a step: every launch, every call of cuDNN, and what candle adds.
#[test]
fn a_step_of_resnet20_is_at_most_150_launches() -> Result<()> {
    let device = Emulated::counting();
    let (shapes, blocks) = resnet20();
    let at = Pointer(4096);
    let filters: Vec<Filters> =
        shapes.iter().filter(|shape| shape.taps() > 1).map(|shape| Filters::of(shape, at, at)).collect();
    let to = LayerGradients { filters: at, scale: at, shift: at };
    let gradients: Vec<_> = blocks.iter().map(|block| vec![to; block.path.len() + 1]).collect();
    for call in to_cudnn(ElementType::F32, ElementType::F32, &filters) {
        device.launch(&call)?;
    }
    let saved = chain::forward(&device, &blocks, Mode::Train, true, (at, at))?;
    chain::backward(&device, &blocks, Mode::Train, &saved, (at, at), (at, Pointer::NULL), &gradients)?;
    for call in from_cudnn(ElementType::F32, ElementType::F32, &filters) {
        device.launch(&call)?;
    }
    let (own, cudnn) = (device.launches.borrow().len(), device.convolutions.borrow().len());
    // 21 layers: a forward and a backward kernel each; filters turned, and their gradients turned back.
    assert_eq!(own, 2 * 21 + 2);
    // Forward, filters, and data but for the stem's.
    assert_eq!(cudnn, 21 + 21 + 20);
    let (pool, loss, optimizer) = (2, 2, 1);
    // What candle 0.11.1 adds, counted in its source: a gradient is cleared and added to (2), so those of the token, the logits, the
    // features, and inside the linear layer of product, broadcast bias, bias, transposed weight, weight and pooled features.
    let gradients = 2 * 9;
    // The loss's gradient is filled, the linear layer multiplies thrice, adds, and sums for its bias; extents of four kernels that
    // take strides are uploaded.
    let candle = gradients + 1 + 3 + 1 + 1 + 4;
    let all = own + cudnn + pool + loss + optimizer + candle;
    println!("{own} own, {cudnn} of cuDNN, {all} in all");
    assert!(all <= 150, "{all}");
    Ok(())
}
