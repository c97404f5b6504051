//! `env.json`: the code, the machine and the command behind a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Code, versions, machine and command line of a run. Fields missing in a file are read as empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Abbreviated commit of the source; `unknown` outside a Git checkout.
    pub commit: String,
    /// Whether tracked files differ from that commit.
    pub dirty: bool,
    /// Version of the training program.
    pub version: String,
    /// Version of candle.
    pub candle: String,
    /// The compiler, as `rustc --version` prints it; `unknown` if it cannot be run.
    pub rustc: String,
    /// Operating system and architecture.
    pub os: String,
    /// Name of the processor, or `unknown`.
    pub cpu: String,
    /// Number of host threads that the run uses.
    pub threads: usize,
    /// Load average over the minute before the run started; `None` if the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Instruction set and convolution algorithm of the CPU kernels, such as `avx512 winograd4`.
    pub kernels: String,
    /// The command line: the program's name without its folder, and the arguments, quoted for a POSIX shell.
    pub command: String,
}

impl Environment {
    /// Detects the commit of the checkout that contains `source`, the compiler, operating system, processor and command
    /// line. The caller fills in the rest.
    pub fn here(source: &Path) -> Self {
        let unknown = || "unknown".to_owned();
        let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(source).args(arguments));
        let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
        let program = arguments.next().unwrap_or_default();
        let program = Path::new(&program).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            commit: git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown),
            dirty: git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty()),
            rustc: output(Command::new("rustc").arg("--version")).unwrap_or_else(unknown),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: processor().unwrap_or_else(unknown),
            command: std::iter::once(program).chain(arguments.map(quoted)).collect::<Vec<_>>().join(" "),
            ..Self::default()
        }
    }

    /// A copy with the current load average.
    #[must_use]
    pub fn now(&self) -> Self {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self { load: text.split(' ').next().and_then(|first| first.parse().ok()), ..self.clone() }
    }

    /// True if the run had the machine to itself when it started: a load average of at most `threads` + 0.5, which a
    /// preceding run with as many threads leaves behind. False if the load is unknown.
    pub fn was_alone(&self) -> bool {
        self.load.is_some_and(|load| load <= self.threads as f64 + 0.5)
    }

    /// All non-empty entries as text, by key.
    pub fn flat(&self) -> BTreeMap<String, String> {
        // Plain data always serializes.
        let Ok(serde_json::Value::Object(entries)) = serde_json::to_value(self) else { return BTreeMap::new() };
        let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        entries.into_iter().map(|(key, value)| (key, text(value))).filter(|(_, text)| !text.is_empty()).collect()
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `argument`, quoted for a POSIX shell if necessary.
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
    from_linux.or_else(|| output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"])))
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
