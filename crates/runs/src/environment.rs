//! `env.json`: the code, the machine and the command behind a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::error::Result;
use crate::folder::ENVIRONMENT;

/// Code, versions, machine and command line of a run: of the session that wrote the file and, in
/// [`earlier`](Self::earlier), of the sessions that it resumed. Fields missing in a file are read as empty.
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
    /// The compiler that built the program, as `rustc --version` prints it; `unknown` if the build could not ask it.
    pub rustc: String,
    /// Operating system and architecture.
    pub os: String,
    /// Name of the processor, or `unknown`.
    pub cpu: String,
    /// Number of host threads that the run uses.
    pub threads: usize,
    /// Load average over the minute before the session started; `None` if the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Load average over the minute before the run was finished; `None` for a session that did not finish it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_at_end: Option<f64>,
    /// Whether the program knew that other runs train on the machine at the same time, such as those of a sweep's jobs.
    #[serde(skip_serializing_if = "is_false")]
    pub shares_machine: bool,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Instruction set and convolution algorithm of the CPU kernels, such as `avx512 winograd4`.
    pub kernels: String,
    /// The command line: the program's name without its folder, and the arguments, quoted for a POSIX shell.
    pub command: String,
    /// The sessions before this one, the first one first, if the run was interrupted and resumed. Their own lists are
    /// empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Self>,
}

/// Whether a file may omit the field.
fn is_false(value: &bool) -> bool {
    !value
}

impl Environment {
    /// Detects the commit of the checkout that contains `source`, operating system, processor and command line. The
    /// caller fills in the rest; which compiler built a program, only its build knows.
    pub fn here(source: &Path) -> Self {
        let unknown = || "unknown".to_owned();
        let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(source).args(arguments));
        let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
        let program = arguments.next().unwrap_or_default();
        let program = Path::new(&program).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            commit: git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown),
            dirty: git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty()),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: processor().unwrap_or_else(unknown),
            command: std::iter::once(program).chain(arguments.map(quoted)).collect::<Vec<_>>().join(" "),
            ..Self::default()
        }
    }

    /// Reads `env.json` in the run folder `run`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if the file is not such a file,
    /// [`Error::Output`](crate::Error::Output) if it cannot be read.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        atomic::read_json(&run.join(ENVIRONMENT))
    }

    /// A copy with the current load average.
    #[must_use]
    pub fn now(&self) -> Self {
        Self { load: load(), ..self.clone() }
    }

    /// A copy that says under which load the run was finished.
    pub(crate) fn finished(&self) -> Self {
        Self { load_at_end: load(), ..self.clone() }
    }

    /// This environment as that of the session that resumes a run of `before`.
    pub(crate) fn resuming(&self, mut before: Self) -> Self {
        let mut earlier = std::mem::take(&mut before.earlier);
        earlier.push(before);
        Self { earlier, ..self.clone() }
    }

    /// What the last two sessions differ in, of what a result may depend on besides its settings and data; `None` if
    /// they do not differ, or if there is only one.
    pub(crate) fn change(&self) -> Option<String> {
        let before = self.earlier.last()?;
        let of = |what: &str, was: &str, now: &str| (was != now).then(|| format!("{what} was {was}, now {now}"));
        let changes: Vec<String> = [
            of("commit", &before.revision(), &self.revision()),
            of("processor", &before.cpu, &self.cpu),
            of("kernels", &before.kernels, &self.kernels),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!changes.is_empty()).then(|| changes.join("; "))
    }

    /// All sessions of the run, the first one first; this one is the last.
    pub fn sessions(&self) -> impl Iterator<Item = &Self> {
        self.earlier.iter().chain([self])
    }

    /// The session's commit, with a note if tracked files differed from it: `0123456789ab with uncommitted changes`.
    pub fn revision(&self) -> String {
        format!("{}{}", self.commit, if self.dirty { " with uncommitted changes" } else { "" })
    }

    /// True if the run had the machine to itself in each of its sessions, as far as is known: a load average at its
    /// start, and at its end if that is recorded, of at most `threads` + 0.5, which a run with as many threads causes.
    /// False if the load at a start is unknown.
    pub fn was_alone(&self) -> bool {
        self.sessions().all(|session| {
            let is_own = |load: f64| load <= session.threads as f64 + 0.5;
            !session.shares_machine && session.load.is_some_and(is_own) && session.load_at_end.is_none_or(is_own)
        })
    }

    /// All non-empty entries as text, by key. Different values of several sessions are joined with ` | `.
    pub fn flat(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in self.sessions().flat_map(Self::entries) {
            let values = all.entry(key).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        all.into_iter().map(|(key, values)| (key, values.join(" | "))).collect()
    }

    /// The non-empty entries of this session.
    fn entries(&self) -> BTreeMap<String, String> {
        // Plain data always serializes.
        let Ok(serde_json::Value::Object(mut entries)) = serde_json::to_value(self) else { return BTreeMap::new() };
        entries.remove("earlier");
        let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        entries.into_iter().map(|(key, value)| (key, text(value))).filter(|(_, text)| !text.is_empty()).collect()
    }
}

/// The load average over the last minute; `None` if the system does not report it.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next()?.parse().ok()
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

    /// A session on two threads, under these loads.
    fn session(commit: &str, load: f64, load_at_end: Option<f64>) -> Environment {
        Environment { commit: commit.to_owned(), threads: 2, load: Some(load), load_at_end, ..Environment::default() }
    }

    #[test]
    fn a_run_was_alone_only_if_all_of_its_sessions_were() {
        let alone = session("a", 2.4, Some(2.5));
        assert!(alone.was_alone() && session("a", 0.0, None).was_alone());
        assert!(!session("a", 2.6, Some(0.0)).was_alone() && !session("a", 0.0, Some(2.6)).was_alone());
        assert!(!Environment { shares_machine: true, ..alone.clone() }.was_alone(), "one of a sweep's jobs");
        assert!(!Environment { load: None, ..alone.clone() }.was_alone());
        assert!(alone.resuming(session("a", 1.0, None)).was_alone());
        assert!(!alone.resuming(session("a", 3.0, None)).was_alone());
    }

    #[test]
    fn sessions_are_kept_in_order_and_told_by_key() {
        let second = session("b", 0.0, None).resuming(session("a", 0.0, None));
        let third = session("b", 1.5, Some(2.0)).resuming(second);
        assert_eq!(third.sessions().map(Environment::revision).collect::<Vec<_>>(), ["a", "b", "b"]);
        let flat = third.flat();
        let of = |key: &str| flat.get(key).map(String::as_str);
        assert_eq!((of("commit"), of("load"), of("threads")), (Some("a | b"), Some("0.0 | 1.5"), Some("2")));
        assert_eq!((of("load_at_end"), of("earlier"), of("shares_machine")), (Some("2.0"), None, None));
        let text = serde_json::to_string(&third).unwrap();
        assert_eq!(serde_json::from_str::<Environment>(&text).unwrap(), third);
    }

    #[test]
    fn files_with_one_session_are_read() {
        let older: Environment = serde_json::from_str(r#"{"commit": "a", "threads": 2, "load": 0.5}"#).unwrap();
        assert_eq!(older, session("a", 0.5, None));
    }

    #[test]
    fn what_may_change_a_result_is_named() {
        let was = Environment { cpu: "X".to_owned(), ..session("a", 0.0, None) };
        assert_eq!(was.change(), None);
        assert_eq!(Environment { threads: 8, load: Some(9.0), ..was.clone() }.resuming(was.clone()).change(), None);
        let now = Environment { dirty: true, kernels: "avx2 direct".to_owned(), ..was.clone() };
        assert_eq!(
            now.resuming(was).change().unwrap(),
            "commit was a, now a with uncommitted changes; kernels was , now avx2 direct"
        );
    }
}
