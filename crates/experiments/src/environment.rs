//! What a run was made with and on: `env.json`.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The machine, the code and the versions; nothing that results depend on is recorded here alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The commit of the source; `unknown` outside a checkout.
    pub commit: String,
    /// Whether the source was changed since that commit.
    pub dirty: bool,
    /// This package's version.
    pub version: String,
    /// candle's version.
    pub candle: String,
    /// The compiler.
    pub rustc: String,
    /// Operating system and architecture.
    pub os: String,
    /// The processor's name.
    pub cpu: String,
    /// Threads of the host.
    pub threads: usize,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Instructions and convolutions of the CPU's kernels, in the words that choose them: `avx512 winograd4`.
    #[serde(default)]
    pub kernels: String,
    /// The command line, quoted where a shell needs it.
    pub command: String,
}

impl Environment {
    /// Looks around.
    ///
    /// # Errors
    /// [`Error::Kernels`](crate::Error::Kernels) where an environment variable asks for kernels that there are not.
    pub fn here(device: &str, threads: usize) -> Result<Self> {
        let unknown = || "unknown".to_owned();
        let source = env!("CARGO_MANIFEST_DIR");
        let mut arguments = std::env::args();
        let program = arguments.next().unwrap_or_default();
        let program = Path::new(&program).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            commit: output("git", &["-C", source, "rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown),
            dirty: output("git", &["-C", source, "status", "--porcelain", "--untracked-files=no"])
                .is_some_and(|changes| !changes.is_empty()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            candle: CANDLE.to_owned(),
            rustc: output("rustc", &["--version"]).unwrap_or_else(unknown),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: processor().unwrap_or_else(unknown),
            threads,
            device: device.to_owned(),
            kernels: kernels()?,
            command: std::iter::once(program).chain(arguments.map(quoted)).collect::<Vec<_>>().join(" "),
        })
    }
}

/// What [`Environment::kernels`] holds.
pub(crate) fn kernels() -> Result<String> {
    Ok(format!("{} {}", lookahead_kernels::instruction_set()?, lookahead_kernels::conv_algorithm()?))
}

/// The version that the workspace pins.
const CANDLE: &str = "0.11.1";

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An argument as a POSIX shell takes it back.
fn quoted(argument: String) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument;
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok();
    let from_linux = text.as_deref().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    from_linux.or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_a_shell_would_split_are_quoted() {
        let quote = |text: &str| quoted(text.to_owned());
        assert_eq!(quote("--set=sgd.momentum=0.9"), "--set=sgd.momentum=0.9");
        assert_eq!(quote("seeds=[1, 2]"), "'seeds=[1, 2]'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
