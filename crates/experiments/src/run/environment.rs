//! The `env.json` of our programs.

use std::path::Path;

use lookahead_runs::Environment;

use crate::error::Result;

/// The version of candle that the workspace pins.
const CANDLE: &str = "0.11.1";

/// The commit that the program was built from, by `build.rs`; empty outside a Git checkout.
const COMMIT: &str = env!("LOOKAHEAD_COMMIT");

/// The compiler that built the program, by `build.rs`; empty if it could not be asked.
const RUSTC: &str = env!("LOOKAHEAD_RUSTC");

/// The environment of runs on `device` with `threads` host threads: code, versions, machine, kernels.
///
/// Commit and compiler are those that the program was built from and by: others may be there by now.
///
/// # Errors
/// [`Error::Kernels`](crate::Error::Kernels) if an environment variable selects unknown kernels.
pub fn environment(device: &str, threads: usize) -> Result<Environment> {
    let here = Environment::here(Path::new(env!("CARGO_MANIFEST_DIR")));
    Ok(Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        candle: CANDLE.to_owned(),
        threads,
        device: device.to_owned(),
        kernels: kernels()?,
        ..built_from(COMMIT, env!("LOOKAHEAD_DIRTY") == "true", RUSTC, here)
    })
}

/// `here` with the commit and the compiler of the program's build, each empty if it is unknown, instead of the commit
/// that is checked out now.
fn built_from(commit: &str, dirty: bool, rustc: &str, here: Environment) -> Environment {
    let known = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
    Environment { commit: known(commit), dirty, rustc: known(rustc), ..here }
}

/// The instruction set and convolution algorithm of the CPU kernels, by the names that select them: `avx512 winograd4`.
///
/// # Errors
/// As [`environment`].
pub(crate) fn kernels() -> Result<String> {
    Ok(format!("{} {}", lookahead_kernels::instruction_set()?, lookahead_kernels::conv_algorithm()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candle_is_the_version_of_the_lock_file() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let lock: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let mut packages = lock["package"].as_array().unwrap().iter();
        let candle = packages.find(|package| package["name"].as_str() == Some("candle-core")).unwrap();
        assert_eq!(candle["version"].as_str(), Some(CANDLE));
    }

    /// Whichever commit is checked out, and whichever compiler is there, when the program starts.
    #[test]
    fn commit_and_compiler_are_those_of_the_build() {
        let here = || Environment { commit: "checkedout00".to_owned(), dirty: true, ..Environment::default() };
        let built = built_from("builtfrom000", false, "rustc 1.0.0", here());
        assert_eq!((built.revision().as_str(), built.rustc.as_str()), ("builtfrom000", "rustc 1.0.0"));
        let built = built_from("", false, "", here());
        assert_eq!((built.revision().as_str(), built.rustc.as_str()), ("unknown", "unknown"));
        assert!(COMMIT.is_empty() || COMMIT.len() == 12, "{COMMIT}");
        assert!(RUSTC.is_empty() || RUSTC.starts_with("rustc "), "{RUSTC}");
        let (found, wanted) = (environment("cpu", 1).unwrap(), built_from(COMMIT, false, RUSTC, here()));
        assert_eq!((found.commit, found.rustc), (wanted.commit, wanted.rustc));
    }
}
