//! Stopped runs go on as if they had never stopped.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is trained, each for two epochs of a few steps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// The demo's ResNet-20.
    Demo,
    /// The demo by the protocol sprint.
    Sprint,
    /// A small language model.
    Language,
}

/// One run, saved after each step.
#[derive(Debug, Clone)]
struct Case {
    what: What,
    optimizer: &'static str,
    state: &'static str,
    threads: &'static str,
}

impl Case {
    fn command(&self, folder: &Path) -> Command {
        let (program, settings, limits) = match self.what {
            What::Demo => (env!("CARGO_BIN_EXE_demo"), &["data.held_out=0"][..], ["8", "64", "16"]),
            What::Sprint => {
                (env!("CARGO_BIN_EXE_demo"), &["model.width=0.25", "model.whitening_images=32"][..], ["8", "64", "16"])
            }
            What::Language => (
                env!("CARGO_BIN_EXE_language"),
                &["data.steps=8", "model.embedding=16", "model.hidden=16"][..],
                ["4", "400", "100"],
            ),
        };
        let mut command = Command::new(program);
        command.args(["--optimizers", self.optimizer, "--seeds", "1", "--epochs", "2", "--batch-size", limits[0]]);
        command.args(["--limit-train", limits[1], "--limit-valid", limits[2], "--checkpoint-every", "1"]);
        command.args(["--log-every", "3", "--threads", self.threads, "--out", "runs"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        if self.what == What::Sprint {
            command.args(["--protocol", "sprint"]);
        }
        if self.optimizer.starts_with("lookahead") {
            command.args(["--state", self.state]);
        }
        command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn folder(&self, root: &Path) -> PathBuf {
        let state = if self.optimizer.starts_with("lookahead") { format!("-{}", self.state) } else { String::new() };
        let experiment = if self.what == What::Language { "language" } else { "demo" };
        root.join(format!("runs/{experiment}/{}{state}-s1", self.optimizer))
    }

    /// Runs to the end and gives the digest of the final weights and the metrics without their times.
    fn finish(&self, root: &Path) -> (String, Vec<String>) {
        let output = self.command(root).output().unwrap();
        assert!(output.status.success(), "{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.result(root)
    }

    fn result(&self, root: &Path) -> (String, Vec<String>) {
        let summary = read(&self.folder(root).join("summary.json"));
        let metrics = fs::read_to_string(self.folder(root).join("metrics.jsonl")).unwrap();
        let lines = metrics.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            for timed in ["seconds", "per_second"] {
                line.as_object_mut().unwrap().remove(timed);
            }
            line.to_string()
        });
        (summary["weights_sha256"].as_str().unwrap().to_owned(), lines.collect())
    }
}

fn read(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A stream of numbers to draw moments from; its seed is printed where a test fails.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Kills the child after `delay` unless it ends first; says whether it was killed.
fn kill_after(mut child: Child, delay: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < delay {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    true
}

/// Kills one case at random moments until it is through, again from the start until there were `at_least` kills, and
/// compares each end with that of a run that was not killed; returns the number of kills.
fn torture(case: &Case, seed: u64, at_least: usize) -> usize {
    let straight = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let expected = case.finish(straight.path());
    // A machine that was busy just now must not make all later moments come after the end.
    let whole = begun.elapsed().min(Duration::from_secs(8)).as_millis() as u64;
    let mut moments = Moments(seed);
    let mut kills = 0;
    for _ in 0..20 {
        let broken = tempfile::tempdir().unwrap();
        // A run that is killed sooner than it can save would never end, so it is left alone at last.
        for _ in 0..12 {
            if !kill_after(case.command(broken.path()).spawn().unwrap(), Duration::from_millis(moments.next(whole))) {
                break;
            }
            kills += 1;
        }
        assert_eq!(case.finish(broken.path()), expected, "{case:?} after {kills} kills, seed {seed}");
        if kills >= at_least {
            return kills;
        }
    }
    panic!("{case:?}, seed {seed}: only {kills} kills in twenty runs");
}

#[test]
fn a_killed_run_ends_as_one_that_was_not() {
    for (what, optimizer, state) in [
        (What::Demo, "lookahead-sgd", "interpolate"),
        (What::Sprint, "lookahead", "keep"),
        (What::Language, "lookahead-sgd", "keep"),
    ] {
        torture(&Case { what, optimizer, state, threads: "2" }, 7, 1);
    }
}

/// Every optimizer and state policy on one thread and on two, three kills or more each:
/// `cargo test --release --workspace --test resume -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn fifty_kills() {
    let mut total = 0;
    let mut seed = 100;
    for (optimizer, states) in [
        ("sgd", &["keep"][..]),
        ("adamw", &["keep"]),
        ("rmsprop", &["keep"]),
        ("polyak", &["keep"]),
        ("lookahead-sgd", &["keep", "reset", "interpolate"]),
        ("lookahead-adamw", &["keep", "reset", "interpolate"]),
        ("lookahead-rmsprop", &["keep", "reset", "interpolate"]),
    ] {
        for &state in states {
            let mut digests = Vec::new();
            for threads in ["1", "2"] {
                let case = Case { what: What::Demo, optimizer, state, threads };
                seed += 1;
                let kills = torture(&case, seed, 3);
                total += kills;
                println!("{optimizer} {state} threads {threads}: {kills} kills, same weights and metrics");
                let root = tempfile::tempdir().unwrap();
                digests.push(case.finish(root.path()).0);
            }
            assert_eq!(digests[0], digests[1], "{optimizer} {state} depends on the number of threads");
        }
    }
    println!("{total} kills");
    assert!(total >= 50, "only {total} kills");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for (what, optimizer) in
        [(What::Demo, "lookahead-adamw"), (What::Sprint, "lookahead"), (What::Language, "lookahead-adamw")]
    {
        let digest = |threads| {
            let root = tempfile::tempdir().unwrap();
            Case { what, optimizer, state: "keep", threads }.finish(root.path())
        };
        assert_eq!(digest("1"), digest("2"), "{what:?}");
    }
}

/// Sends SIGTERM, as a queue system does, once the run is at work; what it said, and the status it ended with.
#[cfg(unix)]
fn stopped(case: &Case, root: &Path) -> (Option<i32>, String) {
    let mut child = case.command(root).spawn().unwrap();
    let metrics = case.folder(root).join("metrics.jsonl");
    // The first line of the metrics shows that the loop is at work.
    let begun = Instant::now();
    while fs::metadata(&metrics).map_or(0, |file| file.len()) == 0 && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no step was logged");
        std::thread::sleep(Duration::from_millis(1));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// All is saved, status 130, the same command goes on.
#[cfg(unix)]
#[test]
fn a_run_asked_to_stop_saves_and_goes_on() {
    let case = Case { what: What::Demo, optimizer: "sgd", state: "keep", threads: "2" };
    let straight = tempfile::tempdir().unwrap();
    let expected = case.finish(straight.path());

    let root = tempfile::tempdir().unwrap();
    let (status, text) = stopped(&case, root.path());
    assert_eq!(status, Some(130), "{text}");
    assert!(text.contains("run the same command, without --fresh, to resume"), "{text}");
    assert!(!case.folder(root.path()).join("summary.json").exists());
    // Had another commit begun it, the program would say so, and keep both.
    let environment = case.folder(root.path()).join("env.json");
    let mut before = read(&environment);
    before["commit"] = "0123456789ab".into();
    before["dirty"] = false.into();
    fs::write(&environment, before.to_string()).unwrap();
    let output = case.command(root.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains("commit was 0123456789ab, now "), "{text}");
    assert_eq!(case.result(root.path()), expected);
    let sessions = read(&environment);
    assert_eq!(sessions["earlier"], serde_json::json!([before]));
    assert!(sessions["load_at_end"].is_number() || sessions["load"].is_null(), "{sessions}");
}

/// A damaged checkpoint is noticed; the one before it leads to the same end.
#[cfg(unix)]
#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let case = Case { what: What::Demo, optimizer: "lookahead-adamw", state: "reset", threads: "2" };
    let straight = tempfile::tempdir().unwrap();
    let expected = case.finish(straight.path());
    let root = tempfile::tempdir().unwrap();
    assert_eq!(stopped(&case, root.path()).0, Some(130));
    let checkpoint = case.folder(root.path()).join("checkpoint");
    let latest = checkpoint.join(read(&checkpoint.join("latest.json"))["manifest"]["file"].as_str().unwrap());
    let mut bytes = fs::read(&latest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&latest, bytes).unwrap();

    let output = case.command(root.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("the latest checkpoint is damaged") && text.contains("resuming from the previous one"),
        "{text}"
    );
    assert_eq!(case.result(root.path()), expected);
}

/// With both damaged there is nothing to go on from.
#[cfg(unix)]
#[test]
fn two_damaged_checkpoints_are_an_error() {
    let case = Case { what: What::Demo, optimizer: "sgd", state: "keep", threads: "2" };
    let root = tempfile::tempdir().unwrap();
    assert_eq!(stopped(&case, root.path()).0, Some(130));
    for name in ["latest.json", "previous.json"] {
        fs::write(case.folder(root.path()).join("checkpoint").join(name), "{").unwrap();
    }
    let output = case.command(root.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("is damaged") && text.contains("--fresh"), "{text}");
}
