//! The `env.json` of our programs.

use std::path::Path;

use lookahead_runs::Environment;

use crate::error::Result;

/// The version of candle that the workspace pins.
const CANDLE: &str = "0.11.1";

/// The commit that the program was built from, by `build.rs`; empty outside a Git checkout.
const COMMIT: &str = env!("LOOKAHEAD_COMMIT");

/// The environment of runs on `device` with `threads` host threads: code, versions, machine, kernels.
///
/// The commit is the one that the program was built from: another one may be checked out by now.
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
        ..built_from(COMMIT, env!("LOOKAHEAD_DIRTY") == "true", here)
    })
}

/// `here` with the commit that the program was built from, empty if it is unknown, instead of the one checked out now.
fn built_from(commit: &str, dirty: bool, here: Environment) -> Environment {
    Environment { commit: if commit.is_empty() { "unknown" } else { commit }.to_owned(), dirty, ..here }
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

    /// Whichever commit is checked out when the program starts.
    #[test]
    fn the_commit_is_that_of_the_build() {
        let here = || Environment { commit: "checkedout00".to_owned(), dirty: true, ..Environment::default() };
        assert_eq!(built_from("builtfrom000", false, here()).revision(), "builtfrom000");
        assert_eq!(built_from("", false, here()).revision(), "unknown");
        assert!(COMMIT.is_empty() || COMMIT.len() == 12, "{COMMIT}");
        assert_eq!(environment("cpu", 1).unwrap().commit, built_from(COMMIT, false, here()).commit);
    }
}
