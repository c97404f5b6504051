//! `env.json`: what a run was made with and on.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine, the code and the versions. What a file lacks is read as empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The commit of the source; `unknown` outside a checkout.
    pub commit: String,
    /// Whether the source was changed since that commit.
    pub dirty: bool,
    /// The version of the programs.
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
    /// Processes that wanted to run when the run began, on average over a minute; `None` where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Instructions and convolutions of the CPU's kernels, in the words that choose them: `avx512 winograd4`.
    pub kernels: String,
    /// The command line, quoted where a shell needs it.
    pub command: String,
}

impl Environment {
    /// Looks around: the commit of the checkout that `source` lies in, the compiler, the processor and the command line. The
    /// rest is for the caller to fill in.
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

    /// The same with the load of this moment.
    #[must_use]
    pub fn now(&self) -> Self {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self { load: text.split(' ').next().and_then(|first| first.parse().ok()), ..self.clone() }
    }

    /// Whether the run had the machine to itself when it began: no more wanted to run than the run before it, on as many threads, leaves behind.
    /// False where the system does not tell.
    pub fn was_alone(&self) -> bool {
        self.load.is_some_and(|load| load <= self.threads as f64 + 0.5)
    }

    /// Every entry that says something, by its key.
    pub fn flat(&self) -> BTreeMap<String, String> {
        // Plain data has no failure to report.
        let Ok(serde_json::Value::Object(entries)) = serde_json::to_value(self) else { return BTreeMap::new() };
        let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        entries.into_iter().map(|(key, value)| (key, text(value))).filter(|(_, text)| !text.is_empty()).collect()
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
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
