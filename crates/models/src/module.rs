//! candle's trait for layers that differ in training, so that a network can be a part of other candle code.

use candle_core::{Result, Tensor};
use candle_nn::ModuleT;

use crate::{Error, Head, Pass, ResNet, SpeedNet};

/// [`ResNet::forward`] in training or in evaluation.
///
/// Training is an error for [`Head::Fastai`], whose dropout masks are numbered by the step, which candle's trait does not pass on.
impl ModuleT for ResNet {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        if train && self.config().head == Head::Fastai {
            let rule = "Linear for training by `ModuleT`, because dropout needs the step: call `ResNet::forward`";
            return Err(Error::Config { field: "head", value: "Fastai".to_string(), rule }.into());
        }
        Ok(self.forward(images, pass(train))?)
    }
}

/// [`SpeedNet::forward`] in training or in evaluation.
impl ModuleT for SpeedNet {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.forward(images, pass(train))?)
    }
}

/// The pass of a network without dropout: the step does not matter.
fn pass(train: bool) -> Pass {
    if train { Pass::Train { step: 0 } } else { Pass::Eval }
}
