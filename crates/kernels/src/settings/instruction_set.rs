//! The instruction set of the fast kernels, detected at run time.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Error, Result};

/// The instruction set of the f32 kernels.
///
/// The first call detects the best set that the processor supports, so `-C target-cpu` is not needed. To select
/// another, for measurements or to reproduce the results of a lesser machine, use the environment variable
/// `LOOKAHEAD_KERNELS_ISA` (`avx512`, `avx2`, `neon`, `portable` or `reference`) or [`set_instruction_set`]. Results
/// agree between the sets to rounding, and bit by bit between runs with one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum InstructionSet {
    /// The plain kernels that everything else is tested against; also used for f64.
    Reference = 1,
    /// The fast algorithms on arrays, which the compiler maps to what every processor of the target has (SSE2, NEON).
    Portable = 2,
    /// AVX2 with fused multiply-add.
    Avx2 = 3,
    /// AVX-512 foundation, with AVX2 and fused multiply-add.
    Avx512 = 4,
    /// NEON, which every 64-bit ARM processor has.
    Neon = 5,
}

/// The environment variable that overrides detection.
const VARIABLE: &str = "LOOKAHEAD_KERNELS_ISA";

/// The number of the set that the program selected; 0 if it selected none.
static SELECTED: AtomicU8 = AtomicU8::new(0);

/// The set otherwise: that of the environment variable, read once, or the best available. An invalid value of the variable is
/// kept for its error.
static DEFAULT: LazyLock<std::result::Result<InstructionSet, String>> = LazyLock::new(|| {
    let Some(word) = std::env::var_os(VARIABLE) else { return Ok(InstructionSet::best()) };
    let word = word.to_string_lossy().into_owned();
    InstructionSet::parse(&word).map_err(|_| word)
});

const BEST_FIRST: [InstructionSet; 5] = [
    InstructionSet::Avx512,
    InstructionSet::Avx2,
    InstructionSet::Neon,
    InstructionSet::Portable,
    InstructionSet::Reference,
];

/// The value that the environment variable takes.
impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        })
    }
}

impl InstructionSet {
    /// Whether this processor supports it.
    ///
    /// ```
    /// assert!(lookahead_kernels::InstructionSet::Portable.is_available());
    /// ```
    pub fn is_available(self) -> bool {
        match self {
            Self::Reference | Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            // All three: a hypervisor may hide any of them.
            Self::Avx512 => Self::Avx2.is_available() && is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
            Self::Neon => cfg!(target_arch = "aarch64"),
        }
    }

    fn best() -> Self {
        BEST_FIRST.into_iter().find(|set| set.is_available()).unwrap_or(Self::Reference)
    }

    fn parse(word: &str) -> Result<Self> {
        let expected = "avx512, avx2, neon, portable, reference";
        let unknown = || Error::Environment { variable: VARIABLE, expected, value: word.to_owned() };
        let set = BEST_FIRST.into_iter().find(|set| set.to_string() == word).ok_or_else(unknown)?;
        if set.is_available() { Ok(set) } else { Err(Error::InstructionSet(set)) }
    }
}

/// The instruction set that this process uses.
///
/// # Errors
///
/// [`Error::Environment`] or [`Error::InstructionSet`] if `LOOKAHEAD_KERNELS_ISA` holds an unknown value or a set that
/// the processor lacks. Operations do not fail then; they use the best set.
///
/// ```
/// println!("{}", lookahead_kernels::instruction_set()?); // avx512, on a processor that has it
/// # Ok::<(), lookahead_kernels::Error>(())
/// ```
pub fn instruction_set() -> Result<InstructionSet> {
    match (selected(), &*DEFAULT) {
        (Some(set), _) | (None, &Ok(set)) => Ok(set),
        (None, Err(word)) => InstructionSet::parse(word),
    }
}

/// Selects the instruction set for all later calls in this process.
///
/// # Errors
///
/// [`Error::InstructionSet`] if the processor lacks it.
///
/// ```
/// use lookahead_kernels::{InstructionSet, set_instruction_set};
/// set_instruction_set(InstructionSet::Portable)?;
/// # Ok::<(), lookahead_kernels::Error>(())
/// ```
pub fn set_instruction_set(set: InstructionSet) -> Result<()> {
    if !set.is_available() {
        return Err(Error::InstructionSet(set));
    }
    SELECTED.store(set as u8, Ordering::Relaxed);
    Ok(())
}

fn selected() -> Option<InstructionSet> {
    let number = SELECTED.load(Ordering::Relaxed);
    BEST_FIRST.into_iter().find(|set| *set as u8 == number)
}

/// The selected set, otherwise that of the environment variable if it is valid, otherwise the best available.
pub(crate) fn current() -> InstructionSet {
    selected().or(DEFAULT.as_ref().ok().copied()).unwrap_or_else(InstructionSet::best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_refused_with_the_list() {
        let message = InstructionSet::parse("sse9").unwrap_err().to_string();
        assert_eq!(
            message,
            "LOOKAHEAD_KERNELS_ISA must be one of avx512, avx2, neon, portable, reference, got \"sse9\""
        );
        assert_eq!(InstructionSet::parse("reference").unwrap(), InstructionSet::Reference);
    }

    /// Detection against what the kernel of the operating system says: tests of every available set would pass without it,
    /// having nothing to run.
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    #[test]
    fn the_best_set_is_the_one_that_the_processor_has() {
        let Ok(processors) = std::fs::read_to_string("/proc/cpuinfo") else { return };
        let flags = processors.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has = |flag| flags.split_whitespace().any(|word| word == flag);
        let fused = has("avx2") && has("fma");
        let best = match (fused && has("avx512f"), fused) {
            (true, _) => InstructionSet::Avx512,
            (_, true) => InstructionSet::Avx2,
            _ => InstructionSet::Portable,
        };
        assert_eq!(InstructionSet::best(), best, "{flags}");
        assert!(best == InstructionSet::Portable || InstructionSet::Avx2.is_available());
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn the_best_set_is_the_one_that_every_processor_has() {
        assert_eq!(InstructionSet::best(), InstructionSet::Neon);
    }
}
