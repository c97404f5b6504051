//! Bad input, through the programs: one clear line and the right exit status, no panic, nothing that looks complete.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Small enough for a test: 4 steps of ResNet-20.
const SMALL: &[&str] = &[
    "--optimizers",
    "sgd",
    "--seeds",
    "1",
    "--epochs",
    "1",
    "--batch-size",
    "16",
    "--limit-train",
    "64",
    "--limit-valid",
    "32",
];

/// Runs a program in `folder` without network: proxies and hub point at a closed port.
fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("LOOKAHEAD_DATA")
        .envs(["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "HF_ENDPOINT"].map(|name| (name, "http://127.0.0.1:9")))
        .output()
        .unwrap()
}

fn demo(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_demo"), folder, &[SMALL, arguments].concat())
}

fn cifar10(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_cifar10"), folder, &[SMALL, arguments].concat())
}

/// The last line of standard error, once the status and the absence of panics are checked.
#[track_caller]
fn fails_with(output: &Output, status: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    let line = text.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_owned();
    assert!(!line.is_empty(), "no line starts with `error: `: {text}");
    assert!(output.stdout.is_empty(), "a table was printed");
    line
}

/// A CIFAR-10 archive of a few records a file; the pixels of record i are i.
fn small_cifar10(root: &Path) {
    let folder = root.join("cifar10/cifar-10-batches-bin");
    fs::create_dir_all(&folder).unwrap();
    let names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
    for name in names {
        let mut bytes = Vec::new();
        for i in 0..20u8 {
            bytes.push(i % 10);
            bytes.extend([i; 3072]);
        }
        fs::write(folder.join(format!("{name}.bin")), bytes).unwrap();
    }
}

#[test]
fn kernels_that_there_are_not_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    for (program, arguments) in [(env!("CARGO_BIN_EXE_demo"), SMALL), (env!("CARGO_BIN_EXE_bench-step"), &[][..])] {
        for (variable, words) in
            [("LOOKAHEAD_KERNELS_CONV", "winograd4, winograd2, direct"), ("LOOKAHEAD_KERNELS_ISA", "avx512, avx2")]
        {
            let output = Command::new(program).args(arguments).current_dir(folder.path()).env(variable, "fft").output();
            let line = fails_with(&output.unwrap(), 2);
            assert!(line.contains(variable) && line.contains(words), "{line}");
        }
    }
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn configuration_errors_name_the_key_and_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--set", "train.epoch=3"], "did you mean `train.epochs`?"),
        (&["--set", "sgd.momentum=fast"], "`sgd.momentum`: expected a number"),
        (&["--set", "lookahead.sync_period=0"], "`lookahead.sync_period` must be 1 or more, but is 0"),
        (&["--set", "lookahead.slow_step_size=nan"], "`lookahead.slow_step_size` must be in [0, 1], but is NaN"),
        (&["--set", "train.accumulate=3"], "a divisor of train.batch_size, but is 3"),
        (&["--sync-period", "3"], "none of them is a Lookahead"),
        (&["--device", "cuda"], "no CUDA support"),
        (&["--device", "abacus"], "expected auto, cpu"),
        (&["--config", "absent.toml"], "cannot read absent.toml"),
        (&["--dataset-dir", "."], "business of `imagenette`"),
        (&["--log-every", "0"], "`--log-every` must be 1 or more, but is 0"),
        (&["--tui"], "no terminal"),
    ];
    for (arguments, expected) in cases {
        let line = fails_with(&demo(folder.path(), arguments), 2);
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
    // Given with Lookahead among the optimizers, so that the flags themselves are in order.
    for (arguments, expected) in [
        (["--optimizers", "lookahead-sgd", "--sync-period", "0"], "must be 1 or more, but is 0"),
        (["--optimizers", "lookahead-sgd", "--slow-step-size", "NaN"], "must be in [0, 1], but is NaN"),
        (["--optimizers", "sgd", "--seeds", "1,1"], "`seeds` must be a list without repetition, but is 1,1"),
    ] {
        let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &arguments), 2);
        assert!(line.contains(expected), "{line}");
    }
    let few = ["--optimizers", "sgd", "--seeds", "1", "--batch-size", "65", "--limit-train", "64"];
    let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &few), 2);
    assert!(line.contains("no larger than the number of training images"), "{line}");
    let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--lr", "0.1"]), 2);
    assert!(line.contains("--lr and SGD beside AdamW or RMSProp conflict"), "{line}");
    let line = fails_with(&run(env!("CARGO_BIN_EXE_bench-step"), folder.path(), &["--batch", "0"]), 2);
    assert!(line.contains("--batch"), "{line}");
    let runs: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(runs.is_empty() || !folder.path().join("runs/demo/summary.json").exists());
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let both = ["--dataset-dir", "photos", "--data", "datasets"];
    let line = fails_with(&run(env!("CARGO_BIN_EXE_imagenette"), folder.path(), &both), 2);
    assert!(line.contains("--dataset-dir and --data conflict"), "{line}");
    let line = fails_with(&demo(folder.path(), &["--tui", "--quiet"]), 2);
    assert!(line.contains("'--tui' cannot be used with '--quiet'"), "{line}");
    let line = fails_with(&run(env!("CARGO_BIN_EXE_lr-find"), folder.path(), &["demo", "--epochs", "3"]), 2);
    assert!(line.contains("--epochs means nothing"), "{line}");
    let line = fails_with(&run(env!("CARGO_BIN_EXE_puzzle"), folder.path(), &["--seeds", "1,1"]), 2);
    assert!(line.contains("without repetition"), "{line}");
    // A printed configuration is a file, of its own experiment alone.
    let printed = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--protocol", "paper", "--print-config"]).stdout;
    fs::write(folder.path().join("c.toml"), &printed).unwrap();
    let again = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--config", "c.toml", "--print-config"]);
    assert_eq!(again.stdout, printed);
    let line = fails_with(&run(env!("CARGO_BIN_EXE_cifar10"), folder.path(), &["--config", "c.toml"]), 2);
    assert!(line.contains("for another experiment"), "{line}");
}

#[test]
fn unknown_names_get_suggestions() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--optimizers", "adamww"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("adamww") && text.contains("'adamw'"), "{text}");
    let output = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--epoch", "3"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("--epochs"), "{text}");
}

#[test]
fn missing_data_are_named_with_the_ways_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "nowhere"]), 3);
    assert!(line.contains("nowhere") && line.contains("--data") && line.contains("just data cifar10"), "{line}");

    fs::create_dir(folder.path().join("empty")).unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "empty"]), 3);
    assert!(line.contains("empty/cifar10") && line.contains("cannot be downloaded"), "{line}");
    assert!(line.contains("by hand"), "{line}");
    assert!(!folder.path().join("runs").exists(), "a run folder was made without data");

    let line = fails_with(&run(env!("CARGO_BIN_EXE_imagenette"), folder.path(), &["--dataset-dir", "nowhere"]), 3);
    assert!(
        line.contains("--dataset-dir nowhere: there is no such folder") && line.contains("train and val"),
        "{line}"
    );
    let line = fails_with(&run(env!("CARGO_BIN_EXE_imagenette"), folder.path(), &["--dataset-dir", "empty"]), 3);
    assert!(line.contains("train and val"), "{line}");
}

#[test]
fn damaged_data_are_named_with_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    small_cifar10(&root);
    let file = root.join("cifar10/cifar-10-batches-bin/data_batch_3.bin");
    let whole = fs::read(&file).unwrap();

    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "data"]), 3);
    assert!(line.contains("data_batch_3.bin") && line.contains("cut off"), "{line}");

    let mut bytes = whole.clone();
    bytes[3073] = 200;
    fs::write(&file, &bytes).unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "data"]), 3);
    assert!(line.contains("label 200 in row 1"), "{line}");
}

/// `tests/fixtures/wrong_columns.parquet` has the columns `image` and `class`; its generator stands beside it.
#[cfg(feature = "hub")]
#[test]
fn parquet_with_wrong_columns_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plain_text = folder.path().join("data/cifar10/plain_text");
    fs::create_dir_all(&plain_text).unwrap();
    for split in ["train", "test"] {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wrong_columns.parquet");
        fs::copy(fixture, plain_text.join(format!("{split}-00000-of-00001.parquet"))).unwrap();
    }
    let line = fails_with(&cifar10(folder.path(), &["--data", "data"]), 3);
    assert!(line.contains("columns") && line.contains("label"), "{line}");
}

#[test]
fn data_that_changed_between_runs_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    small_cifar10(&root);
    let arguments = ["--data", "data"];
    assert!(cifar10(folder.path(), &arguments).status.success());
    // One pixel of one image.
    let file = root.join("cifar10/cifar-10-batches-bin/data_batch_1.bin");
    let mut bytes = fs::read(&file).unwrap();
    bytes[7] ^= 1;
    fs::write(&file, bytes).unwrap();
    let line = fails_with(&cifar10(folder.path(), &arguments), 3);
    assert!(line.contains("the data changed since") && line.contains("--fresh"), "{line}");
    assert!(cifar10(folder.path(), &["--data", "data", "--fresh"]).status.success());
}

#[test]
fn output_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let line = fails_with(&demo(folder.path(), &["--out", "file/runs"]), 2);
    assert!(line.contains("cannot create file/runs"), "{line}");
}

/// A limit on the size of files stands in for a full disk: writing fails halfway in both.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_and_leaves_nothing_that_looks_whole() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f 100; exec {} \"$@\"", env!("CARGO_BIN_EXE_demo"));
    let output = run("sh", folder.path(), &[&["-c", script.as_str(), "sh"], SMALL].concat());
    let line = fails_with(&output, 2);
    assert!(line.contains("cannot write") && line.contains("checkpoint"), "{line}");
    let run_folder = folder.path().join("runs/demo/sgd-s1");
    assert!(!run_folder.join("summary.json").exists());
    assert!(!run_folder.join("checkpoint/latest.json").exists());
    // With room again the same command goes through.
    assert!(demo(folder.path(), &[]).status.success());
}

/// A file system of one mebibyte; mounting one takes root, so elsewhere this is skipped.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_really_full_is_named() {
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&small).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: only root can mount a small file system");
    }
    let _mounted = Mounted(&small);
    let line = fails_with(&demo(folder.path(), &["--out", "small"]), 2);
    assert!(line.contains("No space left on device") && line.contains("small/demo/sgd-s1"), "{line}");
    let left: Vec<_> = fs::read_dir(small.join("demo/sgd-s1/checkpoint")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_locked_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = folder.path().join("runs/demo/sgd-s1");
    fs::create_dir_all(&run_folder).unwrap();
    let lock = fs::File::create(run_folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let line = fails_with(&demo(folder.path(), &[]), 2);
    assert!(line.contains("in use by another process"), "{line}");
    drop(lock);
    assert!(demo(folder.path(), &[]).status.success());
}

#[test]
fn a_changed_configuration_is_refused_and_a_run_done_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    assert!(demo(folder.path(), &[]).status.success());
    let again = demo(folder.path(), &[]);
    assert!(again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("done before, skipped"));
    let line = fails_with(&demo(folder.path(), &["--set", "sgd.momentum=0.8"]), 2);
    assert!(line.contains("`sgd.momentum` was 0.9, now 0.8") && line.contains("--fresh"), "{line}");
    assert!(demo(folder.path(), &["--set", "sgd.momentum=0.8", "--fresh"]).status.success());
}

#[test]
fn a_loss_that_is_not_finite_ends_with_status_4() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &["--lr", "1e30", "--set", "schedule.kind=constant"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("sgd-s1 diverged: the loss of step") && text.contains("lower learning rate"), "{text}");
    assert!(text.contains("there is no checkpoint yet"), "{text}");
    assert!(!folder.path().join("runs/demo/sgd-s1/summary.json").exists());
}

#[test]
fn help_configuration_and_completions_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    for program in [
        env!("CARGO_BIN_EXE_demo"),
        env!("CARGO_BIN_EXE_cifar10"),
        env!("CARGO_BIN_EXE_cifar100"),
        env!("CARGO_BIN_EXE_imagenette"),
    ] {
        let help = String::from_utf8(run(program, folder.path(), &["--help"]).stdout).unwrap();
        for part in ["What to train:", "Hyper-parameters:", "Data:", "Running:", "Examples:", "Exit status:"] {
            assert!(help.contains(part), "{part} is missing in {help}");
        }
        let config = String::from_utf8(run(program, folder.path(), &["--print-config"]).stdout).unwrap();
        assert!(config.contains("[lookahead-adamw]"), "{config}");
    }
    let script = run(env!("CARGO_BIN_EXE_cifar10"), folder.path(), &["--completions", "bash"]).stdout;
    assert!(String::from_utf8(script).unwrap().contains("--sync-period"));
}
