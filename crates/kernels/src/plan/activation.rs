//! Activation functions.

/// A function applied to every element: alone by [`activate`](crate::activate).
///
/// | variant | value | PyTorch |
/// | --- | --- | --- |
/// | `Relu` | `max(x, 0)` | `relu` |
/// | `Gelu` | `x P(x)`, `P` the normal distribution's function, `(1 + erf(x / sqrt 2)) / 2` | `gelu(x)` |
/// | `GeluTanh` | `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` | `gelu(x, approximate="tanh")` |
/// | `Silu` | `x / (1 + e^-x)` | `silu` |
///
/// # References
///
/// Hendrycks, Gimpel: Gaussian Error Linear Units, 2016. arXiv:1606.08415 (GELU and SiLU)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// The rectifier; its gradient at 0 is 0.
    Relu,
    /// The Gaussian error linear unit.
    #[doc(alias = "gelu")]
    Gelu,
    /// GELU with a hyperbolic tangent instead of the error function, as in GPT-2.
    #[doc(alias = "gelu")]
    GeluTanh,
    /// The sigmoid linear unit, also called swish.
    #[doc(alias = "silu")]
    #[doc(alias = "swish")]
    Silu,
}

/// `sqrt(2 / pi)` and the coefficient of the cube in GELU's tanh form.
pub(crate) const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
pub(crate) const TANH_CUBE: f64 = 0.044_715;
