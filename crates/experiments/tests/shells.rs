//! What shells, pipes, signals and file systems are really like, through the programs.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(unix)]

mod program;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use program::{SMALL, demo, fails_with, run};

const DEMO: &str = env!("CARGO_BIN_EXE_demo");
const LR_FIND: &str = env!("CARGO_BIN_EXE_lr-find");

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(file: &Path, child: &mut Child) {
    let begun = Instant::now();
    while fs::metadata(file).map_or(0, |file| file.len()) == 0 && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{} did not appear", file.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_range_test_of_fewer_images_than_a_batch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let line = fails_with(
        &run(
            LR_FIND,
            folder.path(),
            &["demo", "--optimizers", "sgd", "--limit-train", "60", "--set", "data.held_out=0"],
        ),
        2,
    );
    assert!(line.contains("no larger than the number of training images, but is 64 with 60 images"), "{line}");
}

#[test]
fn a_range_test_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(LR_FIND)
        .args(["demo", "--optimizers", "sgd", "--limit-train", "64", "--batch-size", "8", "--steps", "1000000"])
        .args(["--highest", "1e-5"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !folder.path().join("runs/lr-find").exists() {
        assert!(begun.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    // The folder is made right before the signals are listened to.
    std::thread::sleep(Duration::from_millis(300));
    send("-TERM", &child);
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the range test of sgd was interrupted: it was not saved"), "{said}");
}

/// Interrupted in its first run, a command with `--fresh` has discarded the second too: what resumes it must not take
/// that for one of its own.
#[test]
fn an_interrupted_fresh_start_leaves_no_old_run() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = ["--seeds", "1,2"];
    assert!(demo(folder.path(), &seeds).status.success());
    let [first, second] = ["sgd-s1", "sgd-s2"].map(|name| folder.path().join("runs/demo").join(name));
    assert!(first.join("summary.json").exists() && second.join("summary.json").exists());
    let mut child = Command::new(DEMO)
        .args(SMALL)
        .args(seeds)
        .args(["--epochs", "400", "--log-every", "1", "--fresh"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    // Written once the old run is gone.
    while !fs::read_to_string(first.join("config.toml")).is_ok_and(|config| config.contains("epochs = 400")) {
        assert!(begun.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    wait_for(&first.join("metrics.jsonl"), &mut child);
    send("-TERM", &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(first.join("checkpoint/latest.json").exists() && !second.join("summary.json").exists());
}

/// Parts of a batch have statistics of their own, so four parts of 16 are neither one batch of 16, which was tested
/// once, nor one of 64.
#[test]
fn a_range_test_takes_the_batch_that_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let of = |out: &str, flags: &[&str]| {
        let common = ["demo", "--optimizers", "sgd", "--steps", "10", "--limit-train", "256", "--out", out];
        let output = run(LR_FIND, folder.path(), &[&common, flags].concat());
        assert!(output.status.success(), "{}", said(&output));
        fs::read(folder.path().join(out).join("lr-find/demo-sgd.json")).unwrap()
    };
    let parts = of("a", &["--set", "train.accumulate=4"]);
    assert_ne!(parts, of("b", &["--batch-size", "16"]));
    assert_ne!(parts, of("c", &["--batch-size", "64"]));
}

/// `demo 2>&1 | head -1`: whoever read the messages is gone, and the run goes on.
#[test]
fn a_log_that_is_gone_ends_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "sleep 0.3; exec \"$@\"", "sh", DEMO])
        .args(SMALL)
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(folder.path().join("runs/demo/sgd-s1/summary.json").exists());
}

/// `--print-config | true`, and the others that print and stop.
#[test]
fn a_closed_output_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    for (program, arguments) in [
        (DEMO, &["--print-config"][..]),
        (DEMO, &["--help"]),
        (DEMO, &["--completions", "bash"]),
        (LR_FIND, &["demo", "--print-config"]),
    ] {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 0.3; exec \"$@\"", "sh", program])
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
}

/// The run is done when its table cannot be printed, and says so.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_full_is_named_and_the_run_kept() {
    let folder = tempfile::tempdir().unwrap();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(DEMO).args(SMALL).current_dir(folder.path()).stdout(full).output().unwrap();
    let line = fails_with(&output, 5);
    assert!(line.contains("cannot write standard output"), "{line}");
    assert!(folder.path().join("runs/demo/sgd-s1/summary.json").exists());
    // A log that is full is no reason to stop.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output =
        Command::new(DEMO).args(SMALL).arg("--fresh").current_dir(folder.path()).stderr(full).output().unwrap();
    assert!(output.status.success());
}

/// As under `nohup`, which has SIGHUP ignored: the run goes on to its end.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh", DEMO])
        .args(SMALL)
        .args(["--epochs", "3", "--log-every", "1"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&folder.path().join("runs/demo/sgd-s1/metrics.jsonl"), &mut child);
    send("-HUP", &child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_utf8_work() {
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"r\xe9sultats");
    let output = Command::new(DEMO).args(SMALL).arg("--out").arg(name).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let experiment = folder.path().join(name).join("demo");
    assert!(experiment.join("sgd-s1/summary.json").exists() && experiment.join("report.html").exists());
    // A configuration, data and a page of such names.
    let config = folder.path().join(OsStr::from_bytes(b"\xff.toml"));
    fs::write(&config, "[train]\nepochs = 0\n").unwrap();
    let output = Command::new(DEMO).arg("--config").arg(config).current_dir(folder.path()).output().unwrap();
    assert!(fails_with(&output, 2).contains("`train.epochs` must be above 0"));
    let output = Command::new(env!("CARGO_BIN_EXE_cifar10"))
        .arg("--data")
        .arg(OsStr::from_bytes(b"\xfe"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    fails_with(&output, 3);
}

/// The weights after the first step are of the size 1e36: no good checkpoint, and the hint can be typed as it stands.
#[test]
fn a_divergence_names_no_bad_checkpoint_and_its_hint_works() {
    let folder = tempfile::tempdir().unwrap();
    let given = ["--lr", "1e38", "--set", "schedule=constant", "--checkpoint-every", "1"];
    let text = said(&demo(folder.path(), &given));
    assert!(text.contains("there is no good checkpoint"), "{text}");
    let hint = text.split("append `").nth(1).unwrap().split('`').next().unwrap();
    assert_eq!(hint, "--optimizers sgd --lr 3.3e37 --fresh");
    let typed: Vec<&str> = given.into_iter().chain(hint.split(' ')).collect();
    let output = demo(folder.path(), &typed);
    assert_eq!(output.status.code(), Some(4), "it trained, and is still too fast: {}", said(&output));
    assert!(said(&output).contains("--lr 1.1e37 --fresh"), "{}", said(&output));
    // The other hint is a command, too.
    let finder = text.split("`just lr-find ").nth(1).unwrap().split('`').next().unwrap();
    let arguments: Vec<&str> = finder.split(' ').chain(["--print-config"]).collect();
    assert!(run(LR_FIND, folder.path(), &arguments).status.success());
}

/// `flock` fails as on some cluster file systems; a library put before the system's plays that. Needs a C compiler.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_without_locks_is_trained_on_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library): (PathBuf, PathBuf) = (folder.path().join("f.c"), folder.path().join("f.so"));
    fs::write(&source, "#include <errno.h>\nint flock(int file, int how) { errno = ENOSYS; return -1; }\n").unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no C compiler");
    }
    let output = Command::new(DEMO)
        .args(SMALL)
        .args(["--seeds", "1,2"])
        .current_dir(folder.path())
        .env("LD_PRELOAD", &library)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("this file system has no locks").count(), 1, "{}", said(&output));
}

/// Of two rows the second is in use by another process: the first is printed all the same.
#[test]
fn what_was_done_is_printed_when_something_ends_the_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let locked = folder.path().join("runs/demo/adamw-s1");
    fs::create_dir_all(&locked).unwrap();
    let lock = fs::File::create(locked.join("lock")).unwrap();
    lock.lock().unwrap();
    let output = demo(folder.path(), &["--optimizers", "sgd,adamw"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("adamw-s1 is in use by another process"));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("top-1 %") && table.contains("SGD") && !table.contains("AdamW"), "{table}");
    assert!(table.contains("10 classes, trained on 64 images"), "{table}");
}
