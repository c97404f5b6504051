//! What the loop knows of a network.

use std::fmt::Debug;

use candle_core::{DType, Tensor, Var};
use lookahead_models::{Pass, ResNet, Result, SpeedNet};

/// A network that classifies images.
pub trait Network: Debug {
    /// Logits (N, classes) of images (N, 3, H, W).
    ///
    /// # Errors
    /// Images of another shape, dtype or device.
    fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor>;

    /// What is trained, sorted by name.
    fn parameters(&self) -> Vec<(String, Var)>;

    /// What a run carries along beside the parameters, sorted by name: running statistics and the like.
    fn buffers(&self) -> Vec<(String, Var)>;

    /// Parameters and buffers, sorted by name. The tensors are the live ones.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// The dtype of its images.
    fn dtype(&self) -> DType;
}

/// The methods that a network has of its own under the same names.
macro_rules! networks {
    ($($network:ty),*) => {$(
        impl Network for $network {
            fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor> {
                self.forward(images, pass)
            }

            fn parameters(&self) -> Vec<(String, Var)> {
                self.parameters()
            }

            fn buffers(&self) -> Vec<(String, Var)> {
                self.buffers()
            }

            fn state(&self) -> Vec<(String, Tensor)> {
                self.state()
            }

            fn dtype(&self) -> DType {
                self.dtype()
            }
        }
    )*};
}
networks!(ResNet, SpeedNet);
