//! Bad usage, through the programs: one clear line and the right exit status, no panic, nothing done.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod program;

use std::fs;
use std::process::Command;

use program::{SMALL, demo, fails_with, run};

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
        (&["--set", "train.label_smoothing=fast"], "`train.label_smoothing`: expected a number"),
        (&["--set", "sgd.momentum.nesterov.momentum=nan"], "`sgd.momentum` must be in [0, 1), but is NaN"),
        (&["--set", "lookahead.sync_period=3"], "none of them uses Lookahead"),
        (&["--set", "data.image_size=64"], "no transform in it sets the size of images"),
        (&["--set", "train.accumulate=3"], "a divisor of train.batch_size, but is 3"),
        (&["--sync-period", "3"], "none of them uses Lookahead"),
        (&["--device", "cuda"], "no CUDA support"),
        (&["--device", "abacus"], "expected auto, cpu"),
        (&["--config", "absent.toml"], "cannot read absent.toml"),
        (&["--dataset-dir", "."], "it has its own data"),
        (&["--lr", "-1"], "`--lr` must be above 0 and finite, but is -1"),
        (&["--lr", "0"], "`--lr` must be above 0 and finite, but is 0"),
        (&["--epochs", "-1"], "`train.epochs` must be above 0, but is -1"),
        (&["--epochs", "18446744073709551615"], "`train.epochs` must be at most 1000000"),
        (&["--seeds", "18446744073709551615"], "a seed is a whole number from 0 to 2^63 - 1"),
        (&["--seeds", "3-1"], "a range starts at its smaller end: 1-3"),
        (&["--seeds", "-1"], "invalid value '-1' for '--seeds <1-3,7>'"),
        (&["--threads", "18446744073709551615"], "`--threads` must be at most 4096"),
        (&["--set", "seeds=1,2,x"], "`seeds`: invalid type: string \"x\""),
        (&["--set", "seeds=18446744073709551615"], "18446744073709551615 is too large"),
        (&["--set", "schedule.milestones=1,2"], "unknown key `schedule.milestones`"),
        (&["--set", "schedule.steps.milestones=[2,1]"], "milestones"),
        (&["--log-every", "0"], "`--log-every` must be 1 or more, but is 0"),
        (&["--tui"], "not a terminal"),
    ];
    for (arguments, expected) in cases {
        let line = fails_with(&demo(folder.path(), arguments), 2);
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
    // Given with Lookahead among the optimizers, so that the flags themselves are in order.
    for (arguments, expected) in [
        (["--optimizers", "lookahead-sgd", "--sync-period", "0"], "must be in [1, inf), but is 0"),
        (["--optimizers", "lookahead-sgd", "--slow-step-size", "NaN"], "must be in [0, 1], but is NaN"),
        (["--optimizers", "sgd", "--seeds", "1,1"], "`seeds` must be a list without repetition, but is 1,1"),
        (["--optimizers", "lookahead-sgd", "--set", "lookahead.slow_step_size=nan"], "must be in [0, 1], but is NaN"),
    ] {
        let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &arguments), 2);
        assert!(line.contains(expected), "{line}");
    }
    assert!(!folder.path().join("runs").exists(), "a refused configuration made a folder");
    // What the data and the network show only later leaves a run that has done nothing.
    let few = ["--optimizers", "sgd", "--seeds", "1", "--batch-size", "65", "--limit-train", "64"];
    let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &few), 2);
    assert!(line.contains("no larger than the number of training images"), "{line}");
    let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--lr", "0.1"]), 2);
    assert!(line.contains("--lr and SGD beside AdamW conflict"), "{line}");
    let line = fails_with(&run(env!("CARGO_BIN_EXE_bench-step"), folder.path(), &["--batch", "0"]), 2);
    assert!(line.contains("--batch"), "{line}");
    for (flags, parts) in [(["--batch-size", "1"], "accumulate 1"), (["--set", "train.accumulate=16"], "accumulate 16")]
    {
        let line = fails_with(
            &demo(folder.path(), &[&["--model", "resnet20", "--set", "model.head=fastai"], &flags[..]].concat()),
            2,
        );
        assert!(line.contains("--batch-size") && line.contains("train.") && line.contains(parts), "{line}");
    }
    for left in ["summary.json", "sgd-s1/summary.json", "sgd-s1/checkpoint", "sgd-s1/metrics.jsonl"] {
        assert!(!folder.path().join("runs/demo").join(left).exists(), "{left}");
    }
    for (flags, words) in [
        (["--lowest", "0"], "`--lowest` must be above 0 and finite, but is 0"),
        (["--lowest", "20"], "`--highest` must be above --lowest and finite, but is 10"),
        (["--highest", "inf"], "`--highest` must be above --lowest and finite, but is inf"),
    ] {
        let line = fails_with(&run(env!("CARGO_BIN_EXE_lr-find"), folder.path(), &[&["demo"], &flags[..]].concat()), 2);
        assert!(line.contains(words), "{line}");
    }
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
    assert!(line.contains("--epochs has no effect"), "{line}");
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

/// A list is typed without brackets, and the later of two flags counts.
#[test]
fn lists_are_taken_as_they_are_typed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = |arguments: &[&str]| {
        let output = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &[arguments, &["--print-config"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(printed(&["--set", "seeds=1,2,3"]).contains("seeds = [1, 2, 3]"));
    assert!(printed(&["--set", "seeds=7"]).contains("seeds = [7]"));
    let steps =
        printed(&["--set", "schedule={steps={milestones=[1], factor=0.2}}", "--set", "schedule.steps.milestones=1,2"]);
    assert!(steps.contains("milestones = [1, 2]"), "{steps}");
    let again = printed(&["--optimizers", "sgd,adamw", "--lr", "1", "--optimizers", "sgd", "--lr", "0.5"]);
    assert!(again.contains("learning_rate = 0.5") && !again.contains("adamw"), "{again}");
}

#[test]
fn unknown_names_get_suggestions() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--optimizers", "adamww"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("there is no row `adamww` (did you mean `adamw`?)"), "{text}");
    let output = run(env!("CARGO_BIN_EXE_demo"), folder.path(), &["--epoch", "3"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("--epochs"), "{text}");
}

#[test]
fn help_configuration_and_completions_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    for program in [
        env!("CARGO_BIN_EXE_demo"),
        env!("CARGO_BIN_EXE_cifar10"),
        env!("CARGO_BIN_EXE_cifar100"),
        env!("CARGO_BIN_EXE_imagenette"),
        env!("CARGO_BIN_EXE_imagenet"),
    ] {
        let help = String::from_utf8(run(program, folder.path(), &["--help"]).stdout).unwrap();
        for part in ["What to train:", "Hyper-parameters:", "Data:", "Running:", "Examples:", "Exit status:"] {
            assert!(help.contains(part), "{part} is missing in {help}");
        }
        let config = String::from_utf8(run(program, folder.path(), &["--print-config"]).stdout).unwrap();
        assert!(config.contains("name = \"lookahead-sgd\""), "{config}");
    }
    let script = run(env!("CARGO_BIN_EXE_cifar10"), folder.path(), &["--completions", "bash"]).stdout;
    assert!(String::from_utf8(script).unwrap().contains("--sync-period"));
}

/// What a slip of the keyboard gives is refused before anything is started.
#[test]
fn there_is_a_limit_to_threads_processes_and_shares() {
    let folder = tempfile::tempdir().unwrap();
    let text = "experiment = \"demo\"\n[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.1, 0.2]\n";
    std::fs::write(folder.path().join("study.toml"), text).unwrap();
    let [sweep, puzzle, bench] =
        [env!("CARGO_BIN_EXE_sweep"), env!("CARGO_BIN_EXE_puzzle"), env!("CARGO_BIN_EXE_bench-step")];
    let threads = "`--threads` must be at most 4096, but is 100000";
    let cases: [(&str, &[&str], &str); 6] = [
        (sweep, &["study.toml", "--threads", "100000"], threads),
        (puzzle, &["--threads", "100000"], threads),
        (bench, &["--threads", "100000"], threads),
        (sweep, &["study.toml", "--jobs", "100000"], "`--jobs` must be at most 4096, but is 100000"),
        (sweep, &["study.toml", "--shard", "1/1000000000000"], "there can be at most 1000000 shares"),
        (sweep, &["study.toml", "--shard", "1/1000", "--jobs", "4096"], "one of at most 244 shares with --jobs 4096"),
    ];
    for (program, arguments, expected) in cases {
        let line = fails_with(&run(program, folder.path(), arguments), 2);
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
    assert!(!folder.path().join("runs").exists());
}
