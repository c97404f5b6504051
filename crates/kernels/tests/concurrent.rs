//! Several backward passes over one graph at the same time: each gives what it gives alone, and none waits for another.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{After, BatchNorm, ConvBatchNorm, Mode, ResidualBlock, gradients_of};
use support::numbers;

/// Longer than any of this takes on a busy machine; a deadlock would last for ever.
const PATIENCE: Duration = Duration::from_secs(240);

fn layer(variables: &mut Vec<Var>, from: usize, to: usize, kernel: usize, stride: usize) -> Result<ConvBatchNorm> {
    let seed = (from * 100 + to * 10 + kernel) as u32;
    let weight = Var::from_tensor(&(numbers((to, from, kernel, kernel), seed)? * 0.2)?)?;
    let scale = Var::from_tensor(&(numbers(to, seed + 1)? + 1.5)?)?;
    let shift = Var::from_tensor(&numbers(to, seed + 2)?)?;
    let (mean, var) = (Var::zeros(to, DType::F32, &Device::Cpu)?, Var::ones(to, DType::F32, &Device::Cpu)?);
    let norm = BatchNorm::new(scale.as_tensor().clone(), shift.as_tensor().clone(), mean, var)?;
    variables.extend([weight.clone(), scale, shift]);
    Ok(ConvBatchNorm { weight: weight.as_tensor().clone(), stride, padding: kernel / 2, norm })
}

/// A trunk through every node that keeps something between its passes, and two losses on it.
struct Graph {
    variables: Vec<Var>,
    losses: [Tensor; 2],
}

impl Graph {
    fn new() -> Result<Self> {
        let mut variables = Vec::new();
        let stem = layer(&mut variables, 3, 16, 3, 1)?;
        let path = vec![layer(&mut variables, 16, 32, 3, 2)?, layer(&mut variables, 32, 32, 3, 1)?];
        let shortcut = Some(layer(&mut variables, 16, 32, 1, 2)?);
        let same = vec![layer(&mut variables, 32, 32, 3, 1)?];
        let blocks = [ResidualBlock { path, shortcut }, ResidualBlock { path: same, shortcut: None }];
        let last = layer(&mut variables, 32, 16, 1, 1)?;

        let x = numbers((9, 14, 13, 3), 1)?;
        let x = kernels::conv2d_batch_norm(&x, &stem.weight, 1, 1, &stem.norm, After::Relu, Mode::Train)?;
        let x = kernels::max_pool2d(&x, 3, 2, 1)?;
        let x = kernels::residual_blocks(&x, &blocks, Mode::Train)?;
        let y =
            kernels::batch_norm(&kernels::conv2d(&x, &last.weight, 1, 0)?, &last.norm, After::Nothing, Mode::Train)?;
        let logits = kernels::global_avg_pool(&kernels::relu(&y)?)?;
        let classes = |factor: u32| Tensor::from_iter((0..9u32).map(|i| i * factor % 16), &Device::Cpu);
        let first = kernels::cross_entropy_indices(&logits, &classes(7)?, 0.1)?;
        let second = (x * numbers((9, 4, 4, 32), 2)?)?.sum_all()?;
        let second = (second + kernels::cross_entropy_indices(&(logits * 3.0)?, &classes(5)?, 0.0)?)?;
        Ok(Self { variables, losses: [first, second] })
    }

    /// The gradients of one loss, as bits.
    fn gradients(&self, loss: usize) -> Result<Vec<Vec<u32>>> {
        let gradients = self.losses[loss].backward()?;
        self.variables
            .iter()
            .map(|variable| {
                let gradient = gradients.get(variable).ok_or_else(|| candle_core::Error::msg("no gradient"))?;
                Ok(gradient.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
            })
            .collect()
    }
}

/// Runs `work` on a thread of its own; panics if it is not done in time.
fn in_time(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    waiting.recv_timeout(PATIENCE).expect("a deadlock, or a panic in a backward pass")
}

#[test]
fn passes_that_a_pool_runs_side_by_side_give_what_they_give_alone() -> Result<()> {
    in_time(|| {
        for threads in [1, 2, 7] {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(candle_core::Error::wrap)?;
            pool.install(|| {
                let graph = Graph::new()?;
                let alone = [graph.gradients(0)?, graph.gradients(1)?];
                for round in 0..60 {
                    let (a, b) = rayon::join(|| graph.gradients(0), || graph.gradients(1));
                    assert!(a? == alone[0] && b? == alone[1], "round {round} of {threads} threads");
                    // Four at once, both losses twice: with them a thread is sure to take up one pass inside another.
                    let ((a, b), (c, d)) = rayon::join(
                        || rayon::join(|| graph.gradients(0), || graph.gradients(1)),
                        || rayon::join(|| graph.gradients(1), || graph.gradients(0)),
                    );
                    let same = a? == alone[0] && b? == alone[1] && c? == alone[1] && d? == alone[0];
                    assert!(same, "round {round} of {threads} threads, four passes");
                }
                Ok::<_, candle_core::Error>(())
            })?;
        }
        Ok(())
    })
}

#[test]
fn passes_on_threads_of_their_own_give_what_they_give_alone() -> Result<()> {
    in_time(|| {
        let graph = Graph::new()?;
        let alone = [graph.gradients(0)?, graph.gradients(1)?];
        std::thread::scope(|scope| {
            let passes: Vec<_> = (0..4)
                .map(|thread| {
                    let (graph, alone) = (&graph, &alone);
                    scope.spawn(move || -> Result<bool> {
                        let loss = thread % 2;
                        let mut same = true;
                        for _ in 0..40 {
                            same &= graph.gradients(loss)? == alone[loss];
                        }
                        Ok(same)
                    })
                })
                .collect();
            for pass in passes {
                let same = pass.join().map_err(|_| candle_core::Error::msg("a pass panicked"))??;
                assert!(same, "gradients of another pass");
            }
            Ok(())
        })
    })
}

/// A loss of one set of filters, with its gradient.
struct Filters {
    filters: Var,
    alone: Vec<u32>,
}

impl Filters {
    fn new(seed: u32) -> Result<Self> {
        let filters = Var::from_tensor(&(numbers((16, 16, 3, 3), seed)? * 0.2)?)?;
        let mut new = Self { filters, alone: Vec::new() };
        new.alone = new.of(&new.loss()?.backward()?)?;
        Ok(new)
    }

    fn loss(&self) -> Result<Tensor> {
        let x = numbers((9, 14, 13, 16), 1)?;
        let y = kernels::conv2d(&kernels::relu(&kernels::conv2d(&x, &self.filters, 1, 1)?)?, &self.filters, 2, 1)?;
        y.sqr()?.sum_all()
    }

    /// The gradient in a store, as bits.
    fn of(&self, gradients: &GradStore) -> Result<Vec<u32>> {
        let gradient = gradients.get(&self.filters).ok_or_else(|| candle_core::Error::msg("no gradient"))?;
        Ok(gradient.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
    }

    fn is_alone(&self, gradients: &GradStore) -> Result<bool> {
        Ok(self.of(gradients)? == self.alone)
    }
}

/// The identity; its backward pass does what a thread may do that waits for a parallel loop: it starts other work.
struct Waits<F>(F);

impl<F: Fn() -> Result<()> + Send + Sync> CustomOp1 for Waits<F> {
    fn name(&self) -> &'static str {
        "waits"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((x.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        (self.0)()?;
        Ok(Some(gradient.clone()))
    }
}

/// No gradient goes to another pass: it is right, or an error where nobody can tell whose loss is computed.
#[test]
fn a_pass_inside_another_keeps_its_gradients() -> Result<()> {
    let (outer, inner) = (Filters::new(1)?, Filters::new(2)?);
    // While the outer loss is computed.
    let (_, gradients) = gradients_of(|| {
        let loss = outer.loss()?;
        let (_, of_inner) = gradients_of(|| inner.loss())?;
        assert!(inner.is_alone(&of_inner)? && of_inner.get(&outer.filters).is_none());
        let message = inner.loss()?.backward().unwrap_err().to_string();
        assert!(message.contains("by gradients_of"), "{message}");
        Ok::<_, candle_core::Error>(loss)
    })?;
    assert!(outer.is_alone(&gradients)? && gradients.get(&inner.filters).is_none());
    // While its backward pass runs.
    let other = Filters::new(2)?;
    let waits = Waits(move || {
        let (_, direct) = gradients_of(|| other.loss())?;
        let plain = other.loss()?.backward()?;
        assert!(other.is_alone(&direct)? && other.is_alone(&plain)?);
        Ok(())
    });
    let (_, gradients) = gradients_of(|| outer.loss()?.apply_op1(waits))?;
    assert!(outer.is_alone(&gradients)? && gradients.get(&inner.filters).is_none());
    Ok(())
}

#[test]
fn passes_in_gradients_of_that_a_pool_runs_side_by_side_give_what_they_give_alone() -> Result<()> {
    in_time(|| {
        let (a, b) = (Filters::new(1)?, Filters::new(2)?);
        let direct = |of: &Filters| of.is_alone(&gradients_of(|| of.loss())?.1);
        // Beside passes in gradients_of, one outside may be refused.
        let plain = |of: &Filters| match of.loss().and_then(|loss| loss.backward()) {
            Ok(gradients) => of.is_alone(&gradients),
            Err(error) => Ok(error.to_string().contains("by gradients_of")),
        };
        for threads in [1, 2, 7] {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(candle_core::Error::wrap)?;
            for round in 0..30 {
                let ((first, second), (third, fourth)) = pool.install(|| {
                    rayon::join(
                        || rayon::join(|| direct(&a), || direct(&b)),
                        || rayon::join(|| direct(&b), || plain(&a)),
                    )
                });
                assert!(first? && second? && third? && fourth?, "round {round} of {threads} threads");
            }
        }
        Ok(())
    })
}
