//! Bad data and bad disks, through the programs: one clear line and the right exit status, no panic, nothing that looks
//! complete.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use program::{SMALL, demo, fails_with, run};

fn cifar10(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_cifar10"), folder, &[SMALL, arguments].concat())
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
fn missing_data_are_named_with_the_ways_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "nowhere"]), 3);
    assert!(line.contains("nowhere") && line.contains("--data") && line.contains("just data cifar10"), "{line}");

    fs::create_dir(folder.path().join("empty")).unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "empty"]), 3);
    assert!(line.contains("empty/cifar10") && line.contains("cannot be downloaded"), "{line}");
    assert!(line.contains("data_batch_1.bin"), "{line}");
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
    assert!(line.contains("data_batch_3.bin") && line.contains("truncated"), "{line}");

    let mut bytes = whole.clone();
    bytes[3073] = 200;
    fs::write(&file, &bytes).unwrap();
    let line = fails_with(&cifar10(folder.path(), &["--data", "data"]), 3);
    assert!(line.contains("label 200 in row 1"), "{line}");
}

/// `tests/fixtures/wrong_columns.parquet` has the columns `image` and `class`; its generator stands beside it.
#[cfg(feature = "parquet")]
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
    let line = fails_with(&output, 5);
    assert!(line.contains("cannot write") && line.matches("/checkpoint/").count() == 1, "{line}");
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
    let line = fails_with(&demo(folder.path(), &["--out", "small"]), 5);
    assert!(line.contains("No space left on device") && line.contains("small/demo/sgd-s1"), "{line}");
    // The best weights may have fitted; nothing half-written is left.
    let left = fs::read_dir(small.join("demo/sgd-s1/checkpoint")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != "best.safetensors").collect();
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
    assert!(String::from_utf8_lossy(&again.stderr).contains("already finished, skipped"));
    let line = fails_with(&demo(folder.path(), &["--set", "sgd.weight_decay.l2=0.001"]), 2);
    assert!(
        line.contains("`rows.inner.sgd.weight_decay.l2` was 0.0005, now 0.001") && line.contains("--fresh"),
        "{line}"
    );
    assert!(demo(folder.path(), &["--set", "sgd.weight_decay.l2=0.001", "--fresh"]).status.success());
}

#[test]
fn a_loss_that_is_not_finite_ends_with_status_4() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &["--lr", "1e30", "--set", "schedule=constant"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("sgd-s1 diverged: the loss of step") && text.contains("lower learning rate"), "{text}");
    assert!(text.contains("there is no good checkpoint"), "{text}");
    assert!(!folder.path().join("runs/demo/sgd-s1/summary.json").exists());
}
