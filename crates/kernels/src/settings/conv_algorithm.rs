//! The algorithm of 3x3 convolutions: speed against rounding.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Error, Result};

/// The algorithm of stride-1 3x3 convolutions in f32, forward and both gradients.
///
/// Other strides and kernels are always computed directly. Select the algorithm with the environment variable
/// `LOOKAHEAD_KERNELS_CONV` (`winograd4`, `winograd2` or `direct`) or with [`set_conv_algorithm`]. A backward pass uses
/// the algorithm selected when it runs.
///
/// # References
///
/// Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2015. arXiv:1509.09308
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ConvAlgorithm {
    /// Winograd with 4x4 output tiles: a quarter of the multiplications; rounding errors five to seven times the direct
    /// sum's.
    Winograd4 = 1,
    /// Winograd with 2x2 output tiles: four ninths of the multiplications; rounding like the direct sum.
    Winograd2 = 2,
    /// The direct sum, as defined.
    Direct = 3,
}

/// The environment variable that selects the algorithm.
const VARIABLE: &str = "LOOKAHEAD_KERNELS_CONV";

/// The number of the algorithm that the program selected; 0 if it selected none.
static SELECTED: AtomicU8 = AtomicU8::new(0);

/// The algorithm otherwise: that of the environment variable, read once. An invalid value is kept for its error.
static DEFAULT: LazyLock<std::result::Result<ConvAlgorithm, String>> = LazyLock::new(|| {
    let Some(word) = std::env::var_os(VARIABLE) else { return Ok(ConvAlgorithm::Winograd4) };
    let word = word.to_string_lossy().into_owned();
    ConvAlgorithm::parse(&word).map_err(|_| word)
});

const ALL: [ConvAlgorithm; 3] = [ConvAlgorithm::Winograd4, ConvAlgorithm::Winograd2, ConvAlgorithm::Direct];

/// The value that the environment variable takes.
impl fmt::Display for ConvAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Winograd4 => "winograd4",
            Self::Winograd2 => "winograd2",
            Self::Direct => "direct",
        })
    }
}

impl ConvAlgorithm {
    fn parse(word: &str) -> Result<Self> {
        let expected = "winograd4, winograd2, direct";
        let unknown = || Error::Environment { variable: VARIABLE, expected, value: word.to_owned() };
        ALL.into_iter().find(|algorithm| algorithm.to_string() == word).ok_or_else(unknown)
    }
}

/// The algorithm that this process uses.
///
/// # Errors
///
/// [`Error::Environment`] if `LOOKAHEAD_KERNELS_CONV` holds an unknown value; operations then use the default.
///
/// ```
/// println!("{}", lookahead_kernels::conv_algorithm()?); // winograd4
/// # Ok::<(), lookahead_kernels::Error>(())
/// ```
pub fn conv_algorithm() -> Result<ConvAlgorithm> {
    match (selected(), &*DEFAULT) {
        (Some(algorithm), _) | (None, &Ok(algorithm)) => Ok(algorithm),
        (None, Err(word)) => ConvAlgorithm::parse(word),
    }
}

/// Selects the algorithm for all later calls in this process.
///
/// ```
/// use lookahead_kernels::{ConvAlgorithm, set_conv_algorithm};
/// set_conv_algorithm(ConvAlgorithm::Winograd2);
/// ```
pub fn set_conv_algorithm(algorithm: ConvAlgorithm) {
    SELECTED.store(algorithm as u8, Ordering::Relaxed);
}

fn selected() -> Option<ConvAlgorithm> {
    let number = SELECTED.load(Ordering::Relaxed);
    ALL.into_iter().find(|algorithm| *algorithm as u8 == number)
}

/// The selected algorithm, otherwise that of the environment variable if it is valid, otherwise the default.
pub(crate) fn current() -> ConvAlgorithm {
    selected().or(DEFAULT.as_ref().ok().copied()).unwrap_or(ConvAlgorithm::Winograd4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_refused_with_the_list() {
        let message = ConvAlgorithm::parse("fft").unwrap_err().to_string();
        assert_eq!(message, "LOOKAHEAD_KERNELS_CONV must be one of winograd4, winograd2, direct, got \"fft\"");
        assert_eq!(ConvAlgorithm::parse("winograd2").unwrap(), ConvAlgorithm::Winograd2);
    }
}
