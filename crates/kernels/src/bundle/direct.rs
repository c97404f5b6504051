//! Passes parameter gradients directly from the node that computes them to the gradient store.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};

/// A call of [`gradients_of`].
struct Pass {
    number: u64,
    /// Whether its backward pass has begun.
    backward: bool,
    /// Parameters and their gradients so far.
    formed: Vec<(Tensor, Tensor)>,
}

thread_local! {
    /// This thread's innermost call of [`gradients_of`].
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

/// Calls of [`gradients_of`] so far.
static PASSES: AtomicU64 = AtomicU64::new(0);

/// Runs `loss` and its backward pass. Returns the loss and its gradients, which equal those of `loss()?.backward()?`,
/// with less work.
///
/// candle's own backward pass adds each parameter's gradient to a tensor of zeros: three passes over all parameters, and
/// two launches per parameter on a GPU. Operations of this crate that run inside `loss` pass the gradients of variables
/// to the store directly. Everything else, including parameters computed from variables and operations that a device
/// composes of candle's, takes candle's path.
///
/// Use the gradients returned here. A second backward pass of the returned loss is an error. Calls may be nested; each
/// differentiates what ran inside it.
///
/// Passes may run side by side on one rayon pool if all of them use this function, or none: a thread that waits for a
/// parallel loop inside `loss` may start another pass, and if that one calls `backward` itself, it is an error.
///
/// # Errors
///
/// Errors of `loss` and of the backward pass.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use lookahead_kernels::{conv2d, gradients_of};
///
/// let x = Tensor::ones((1, 2, 2, 1), candle_core::DType::F32, &Device::Cpu)?;
/// let weight = Var::new(&[[[[3f32]]]], &Device::Cpu)?;
/// let (loss, gradients) = gradients_of(|| conv2d(&x, &weight, 1, 0)?.sum_all())?;
/// assert_eq!(loss.to_scalar::<f32>()?, 12.0);
/// assert_eq!(gradients.get(&weight).unwrap().flatten_all()?.to_vec1::<f32>()?, [4.0]);
/// assert!(loss.backward().is_err());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn gradients_of<E: From<candle_core::Error>>(
    loss: impl FnOnce() -> std::result::Result<Tensor, E>,
) -> std::result::Result<(Tensor, GradStore), E> {
    let open = Open::new();
    let loss = loss()?;
    PASS.with_borrow_mut(|pass| pass.iter_mut().for_each(|pass| pass.backward = true));
    let mut store = loss.backward()?;
    let formed = PASS.take().map_or_else(Vec::new, |pass| pass.formed);
    drop(open);
    for (parameter, gradient) in formed {
        let gradient = match store.remove(&parameter) {
            Some(before) => (before + gradient)?,
            None => gradient,
        };
        store.insert(&parameter, gradient);
    }
    for token in tokens().iter() {
        store.remove(token);
    }
    Ok((loss, store))
}

/// A call of [`gradients_of`], ended when dropped; calls may be nested.
struct Open {
    outer: Option<Pass>,
}

impl Open {
    fn new() -> Self {
        let number = PASSES.fetch_add(1, Ordering::Relaxed);
        Self { outer: PASS.replace(Some(Pass { number, backward: false, formed: Vec::new() })) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        PASS.set(self.outer.take());
    }
}

/// Parameters whose gradients go to the store of the pass that their node was made in.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    pass: u64,
    parameters: Vec<Tensor>,
}

impl Direct {
    /// For a node made inside [`gradients_of`] whose parameters are all variables or constants; otherwise `None`. A node
    /// made while the backward pass runs belongs to another pass, which this thread started while it waited.
    pub(super) fn new(parameters: &[&Tensor]) -> Option<Self> {
        let pass = PASS.with_borrow(|pass| pass.as_ref().filter(|pass| !pass.backward).map(|pass| pass.number))?;
        let mut tracked = parameters.iter().filter(|parameter| parameter.track_op()).peekable();
        tracked.peek()?;
        let parameters = parameters.iter().map(|&parameter| parameter.clone()).collect();
        tracked.all(|parameter| parameter.is_variable()).then_some(Self { pass, parameters })
    }

    /// The node's input in place of a bundle.
    pub(super) fn token(&self) -> Result<Tensor> {
        token_on(self.parameters[0].device())
    }

    /// Stores the gradients that the node computed; an error if its pass is not the one that runs.
    pub(super) fn put(&self, gradients: Vec<Option<Tensor>>) -> Result<()> {
        PASS.with_borrow_mut(|pass| {
            let Some(pass) = pass.as_mut().filter(|pass| pass.number == self.pass && pass.backward) else {
                candle_core::bail!(
                    "lookahead-kernels: a loss computed inside gradients_of cannot be differentiated again or by another pass: use the gradients it returned, and on one rayon pool compute all gradients by gradients_of"
                );
            };
            let pairs = self.parameters.iter().zip(gradients).filter(|(parameter, _)| parameter.track_op());
            pass.formed.extend(pairs.filter_map(|(parameter, gradient)| Some((parameter.clone(), gradient?))));
            Ok(())
        })
    }
}

/// A variable holding one zero, shared by all nodes on a device: candle's traversal ends there.
fn token_on(device: &Device) -> Result<Tensor> {
    let mut tokens = tokens();
    if let Some(token) = tokens.iter().find(|token| token.device().same_device(device)) {
        return Ok(token.as_tensor().clone());
    }
    let token = Var::zeros(1, DType::F32, device)?;
    tokens.push(token.clone());
    Ok(token.as_tensor().clone())
}

fn tokens() -> std::sync::MutexGuard<'static, Vec<Var>> {
    static TOKENS: Mutex<Vec<Var>> = Mutex::new(Vec::new());
    TOKENS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{After, BatchNorm, ConvBatchNorm, Mode, ResidualBlock, batch_norm, conv2d_batch_norm, residual_blocks};

    fn var(shape: &[usize], seed: usize) -> Result<Var> {
        let numbers = (0..shape.iter().product()).map(|i| ((i * 7 + seed * 5) % 13) as f32 / 6.5 - 0.9);
        Var::from_tensor(&Tensor::from_iter(numbers, &Device::Cpu)?.reshape(shape)?)
    }

    struct Network {
        filters: Var,
        /// Those of a residual block.
        inner: Var,
        scale: Var,
        shift: Var,
        /// A scale is computed from it.
        root: Var,
    }

    impl Network {
        fn new() -> Result<Self> {
            let (filters, inner) = (var(&[4, 3, 3, 3], 1)?, var(&[4, 4, 3, 3], 5)?);
            Ok(Self { filters, inner, scale: var(&[4], 2)?, shift: var(&[4], 3)?, root: var(&[4], 4)? })
        }

        /// Layers and a block that share a shift, and a layer whose scale is no variable.
        fn loss(&self, x: &Tensor) -> crate::Result<Tensor> {
            let norm = |weight: &Tensor| -> crate::Result<BatchNorm> {
                let (mean, one) = (Var::zeros(4, DType::F32, &Device::Cpu)?, Var::ones(4, DType::F32, &Device::Cpu)?);
                BatchNorm::new(weight.clone(), self.shift.as_tensor().clone(), mean, one)
            };
            let y = conv2d_batch_norm(x, &self.filters, 1, 1, &norm(&self.scale)?, After::Relu, Mode::Train)?;
            let y = batch_norm(&y, &norm(&self.scale)?, After::Nothing, Mode::Train)?;
            let inner = self.inner.as_tensor().clone();
            let layer = || -> crate::Result<_> {
                Ok(ConvBatchNorm { weight: inner.clone(), stride: 1, padding: 1, norm: norm(&self.scale)? })
            };
            let block = ResidualBlock { path: vec![layer()?, layer()?], shortcut: None };
            let y = residual_blocks(&y, &[block], Mode::Train)?;
            let y = batch_norm(&y, &norm(&self.root.sqr()?)?, After::Relu, Mode::Train)?;
            Ok((&y * var(y.dims(), 3)?.as_tensor())?.sum_all()?)
        }
    }

    #[test]
    fn gradients_are_those_of_candles_backward_pass() -> crate::Result<()> {
        let (x, network) = (var(&[2, 5, 4, 3], 0)?, Network::new()?);
        let expected = network.loss(&x)?.backward()?;
        let (loss, got) = gradients_of(|| network.loss(&x))?;
        assert_eq!(loss.to_scalar::<f32>()?, network.loss(&x)?.to_scalar::<f32>()?);
        for var in [&x, &network.filters, &network.inner, &network.scale, &network.shift, &network.root] {
            let values = |store: &GradStore| store.get(var).map(|gradient| gradient.flatten_all()?.to_vec1::<f32>());
            let (expected, got) = (values(&expected).transpose()?, values(&got).transpose()?);
            let (Some(expected), Some(got)) = (expected, got) else { panic!("no gradient") };
            // Shared variables add up in another order.
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + a.abs());
            assert!(expected.iter().zip(&got).all(close), "{expected:?} {got:?}");
        }
        Ok(())
    }

    /// Every operation with parameters: the gradients are candle's, and none of them went through candle.
    #[test]
    fn every_operation_stores_its_gradients_itself() -> crate::Result<()> {
        use crate::{Conv2dOptions, LayerNorm, PlainLayer, RmsNorm};
        type Loss<'a> = (&'a str, Box<dyn Fn(&Tensor, &Tensor) -> crate::Result<Tensor> + 'a>, Var, Var);
        let x = var(&[2, 3, 3, 4], 1)?;
        let vector = |seed| var(&[4], seed);
        let (ids, indices) = (Tensor::new(&[1u32, 0], &Device::Cpu)?, Tensor::zeros(18, DType::U32, &Device::Cpu)?);
        let clone = |tensor: &Tensor| Some(tensor.clone());
        let losses: Vec<Loss<'_>> = vec![
            ("conv2d", Box::new(|w, _| crate::conv2d(&x, w, 1, 1)), var(&[4, 4, 3, 3], 2)?, vector(3)?),
            (
                "conv2d_with",
                Box::new(|w, b| crate::conv2d_with(&x, w, Some(b), Conv2dOptions::default())),
                var(&[4, 4, 3, 3], 2)?,
                vector(3)?,
            ),
            (
                "layer_norm",
                Box::new(|w, b| {
                    crate::layer_norm(&x, &LayerNorm { weight: clone(w), bias: clone(b), ..LayerNorm::default() })
                }),
                vector(2)?,
                vector(3)?,
            ),
            (
                "a shift alone",
                Box::new(|_, b| crate::layer_norm(&x, &LayerNorm { bias: clone(b), ..LayerNorm::default() })),
                vector(2)?,
                vector(3)?,
            ),
            (
                "rms_norm",
                Box::new(|w, _| crate::rms_norm(&x, &RmsNorm { weight: clone(w), ..RmsNorm::default() })),
                vector(2)?,
                vector(3)?,
            ),
            (
                "plain_network",
                Box::new(|w, b| {
                    let layer = PlainLayer { bias: clone(b), ..PlainLayer::new(w.clone()) };
                    crate::plain_network(&x, &[layer], Mode::Eval)
                }),
                var(&[4, 4, 1, 1], 2)?,
                vector(3)?,
            ),
            ("linear", Box::new(|w, b| crate::linear(&x, w, Some(b))), var(&[4, 4], 2)?, vector(3)?),
            (
                "linear_cross_entropy",
                Box::new(|w, b| crate::linear_cross_entropy(&x, w, Some(b), &indices, 0.1)),
                var(&[4, 4], 2)?,
                vector(3)?,
            ),
            ("embedding", Box::new(|w, _| crate::embedding(w, &ids)), var(&[4, 4], 2)?, vector(3)?),
        ];
        for (name, operation, first, second) in losses {
            let loss = || Ok::<_, crate::Error>(operation(&first, &second)?.sqr()?.sum_all()?);
            let (expected, (again, got)) = (loss()?.backward()?, gradients_of(loss)?);
            assert!([&first, &second].iter().any(|parameter| got.get(parameter).is_some()), "{name}");
            for parameter in [&x, &first, &second] {
                let values =
                    |store: &GradStore| store.get(parameter).map(|gradient| gradient.flatten_all()?.to_vec1::<f32>());
                assert_eq!(values(&got).transpose()?, values(&expected).transpose()?, "{name}");
            }
            assert!(again.backward().is_err(), "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_loss_that_is_taken_backward_later_is_an_error() -> crate::Result<()> {
        let (x, network) = (var(&[2, 5, 4, 3], 0)?, Network::new()?);
        let (loss, _) = gradients_of(|| network.loss(&x))?;
        let message = loss.backward().unwrap_err().to_string();
        assert!(message.contains("cannot be differentiated again"), "{message}");
        // An error inside leaves nothing behind.
        let failed = gradients_of(|| Err::<Tensor, _>(candle_core::Error::Msg("no loss".into())));
        assert!(failed.is_err() && network.loss(&x)?.backward().is_ok());
        Ok(())
    }
}
