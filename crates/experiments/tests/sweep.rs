//! Sweeps: every cell once, whoever runs it and whatever happens to them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SWEEP: &str = env!("CARGO_BIN_EXE_sweep");

/// Six cells of six steps.
const STUDY: &str = "experiment = \"demo\"\nseeds = [1, 2]\nfinal_seeds = [7, 8]\n\
    [fixed]\ntrain = { epochs = 1, batch_size = 8 }\ndata = { limit_train = 60, limit_valid = 20 }\n\
    [[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.01, 0.05, 0.1]\n";

fn sweep(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(SWEEP);
    command.arg("study.toml").args(["--threads", "1"]).args(arguments).current_dir(folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn study(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("study.toml"), text).unwrap();
    folder
}

#[track_caller]
fn ends_with(output: &Output, status: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    assert!(!err.contains("panicked"), "{err}");
    (out, err)
}

/// The final weights of each cell.
fn weights(folder: &Path) -> BTreeMap<String, String> {
    let cells = fs::read_dir(folder.join("runs/study")).unwrap().filter_map(|cell| {
        let cell = cell.unwrap();
        let summary: serde_json::Value =
            serde_json::from_slice(&fs::read(cell.path().join("summary.json")).ok()?).unwrap();
        assert_eq!(summary["split"], "valid", "a cell read the test images");
        Some((cell.file_name().into_string().unwrap(), summary["weights_sha256"].as_str()?.to_owned()))
    });
    cells.collect()
}

#[test]
fn a_sweep_is_done_once_and_refuses_another_configuration() {
    let folder = study(STUDY);
    let (out, err) = ends_with(&sweep(folder.path(), &["--jobs", "2"]).output().unwrap(), 0);
    assert!(out.contains("sgd (3 of 3 settings done)") && out.contains("learning_rate 0.05"), "{out}");
    assert!(err.contains("1 row of 3 settings, 2 seeds: 6 cells, about"), "{err}");
    assert!(err.contains("[6/6]") && err.contains(" left"), "{err}");
    let names: Vec<String> = weights(folder.path()).into_keys().collect();
    assert_eq!(names.len(), 6);
    assert_eq!(names[0], "sgd@learning_rate=0.01-s1");

    let (again, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 0);
    assert_eq!((&again, err.as_str()), (&out, ""), "nothing is left to do");
    let (list, _) = ends_with(&sweep(folder.path(), &["--list"]).output().unwrap(), 0);
    assert_eq!(list.lines().filter(|line| line.starts_with("done ")).count(), 6, "{list}");

    // The cells of a machine with a GPU, seen from one without.
    for name in &names {
        let path = folder.path().join("runs/study").join(name).join("config.toml");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains("device = \"cpu\""), "{config}");
        fs::write(path, config.replace("\"cpu\"", "\"cuda:0\"")).unwrap();
    }
    for device in ["auto", "cuda:0"] {
        assert_eq!(ends_with(&sweep(folder.path(), &["--list", "--device", device]).output().unwrap(), 0).0, list);
    }
    assert_eq!(ends_with(&sweep(folder.path(), &[]).output().unwrap(), 0).0, again, "the ranking");

    fs::write(folder.path().join("study.toml"), STUDY.replace("epochs = 1", "epochs = 2")).unwrap();
    let (_, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 2);
    assert!(err.contains("`train.epochs` was 1, now 2") && err.contains("delete the folder"), "{err}");
    assert!(!err.contains("--fresh"), "a sweep has no such flag: {err}");
}

#[test]
fn final_runs_need_a_finished_sweep_and_a_row_that_did_not_diverge() {
    let text = STUDY.replace("[0.01, 0.05, 0.1]", "[1e30, 1e31]").replace("seeds = [1, 2]", "seeds = [1]");
    let folder = study(&text);
    let (_, err) = ends_with(&sweep(folder.path(), &["--final"]).output().unwrap(), 2);
    assert!(err.contains("error: 2 of 2 cells are not finished; run `just sweep`"), "{err}");
    ends_with(&sweep(folder.path(), &[]).output().unwrap(), 0);
    let (_, err) = ends_with(&sweep(folder.path(), &["--final"]).output().unwrap(), 2);
    assert!(err.contains("no setting to choose for `sgd`: all of its 2 trials diverged"), "{err}");
}

/// `flock` fails as on some cluster file systems: nothing shows what other processes hold, so a share leaves their cells
/// alone. Needs a C compiler.
#[cfg(target_os = "linux")]
#[test]
fn without_locks_a_share_trains_its_own_cells_only() {
    let folder = study(STUDY);
    let [source, library] = ["f.c", "f.so"].map(|name| folder.path().join(name));
    fs::write(&source, "#include <errno.h>\nint flock(int file, int how) { errno = ENOSYS; return -1; }\n").unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no C compiler");
    }
    let share = |shard: &str| sweep(folder.path(), &["--shard", shard]).env("LD_PRELOAD", &library).output().unwrap();
    let (_, err) = ends_with(&share("1/2"), 1);
    assert_eq!(err.matches("this file system has no locks").count(), 1, "{err}");
    assert!(err.contains("only its own share") && err.contains("3 of 6 cells are left to other processes"), "{err}");
    let own = ["sgd@learning_rate=0.01-s1", "sgd@learning_rate=0.05-s2", "sgd@learning_rate=0.1-s1"];
    assert_eq!(weights(folder.path()).into_keys().collect::<Vec<_>>(), own);
    ends_with(&share("2/2"), 0);
    assert_eq!(weights(folder.path()).len(), 6);
}

/// As where memory runs out: the sweep's processes end without a word, and cells are left.
#[cfg(target_os = "linux")]
#[test]
fn killed_jobs_are_an_error() {
    let folder = study(&STUDY.replace("epochs = 1", "epochs = 400"));
    let mut parent = sweep(folder.path(), &["--jobs", "2", "--quiet"]).spawn().unwrap();
    let begun = Instant::now();
    let children = loop {
        let path = format!("/proc/{0}/task/{0}/children", parent.id());
        let Ok(children) = fs::read_to_string(path) else {
            parent.kill().unwrap();
            parent.wait().unwrap();
            return eprintln!("skipped: no list of children in /proc");
        };
        let children: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        if children.len() == 2 {
            break children;
        }
        assert!(begun.elapsed() < Duration::from_secs(300));
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(Command::new("kill").arg("-KILL").args(&children).status().unwrap().success());
    let (_, err) = ends_with(&parent.wait_with_output().unwrap(), 137);
    assert!(err.contains("a process of the sweep was killed by signal 9"), "{err}");
}

#[test]
fn a_failed_cell_stops_no_other_and_is_tried_again() {
    let text = STUDY.replace("seeds = [1, 2]", "seeds = [1]").replace(", batch_size = 8", "").replace(
        "axes.learning_rate = [0.01, 0.05, 0.1]",
        "axes.learning_rate = [0.01, 1e30]\n[axes]\n\"train.batch_size\" = [8, 512]",
    );
    let folder = study(&text);
    let (out, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 1);
    assert!(err.contains("error: 2 of 4 cells failed: ") && err.contains("@batch_size=512"), "{err}");
    assert!(out.contains("1 run diverged"), "{out}");
    let why = fs::read_to_string(folder.path().join("runs/study/sgd@learning_rate=0.01@batch_size=512-s1/failed.txt"));
    assert!(why.unwrap().contains("no larger than the number of training images"));
    // What diverged would again; what failed is tried.
    let (_, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 1);
    assert!(err.contains("4 cells, 2 of them already finished") && !err.contains("diverged"), "{err}");
}

fn wait(child: Child, status: i32) {
    ends_with(&child.wait_with_output().unwrap(), status);
}

/// Two shares at once; one is killed in the middle of a cell; a third process comes late.
#[test]
fn every_cell_is_done_once_whoever_is_killed() {
    let text = STUDY.replace("epochs = 1", "epochs = 3");
    let alone = study(&text);
    ends_with(&sweep(alone.path(), &["--quiet"]).output().unwrap(), 0);
    let wanted = weights(alone.path());
    assert_eq!(wanted.len(), 6);

    let folder = study(&text);
    let first = sweep(folder.path(), &["--shard", "1/2"]).spawn().unwrap();
    let mut second = sweep(folder.path(), &["--shard", "2/2"]).spawn().unwrap();
    let begun = Instant::now();
    let own = folder.path().join("runs/study/sgd@learning_rate=0.05-s1/metrics.jsonl");
    while !own.exists() {
        assert!(begun.elapsed() < Duration::from_secs(300));
        std::thread::sleep(Duration::from_millis(2));
    }
    second.kill().unwrap();
    second.wait().unwrap();
    let third = sweep(folder.path(), &[]).spawn().unwrap();
    wait(first, 0);
    wait(third, 0);
    assert_eq!(weights(folder.path()), wanted);
    for name in wanted.keys() {
        let metrics = fs::read_to_string(folder.path().join("runs/study").join(name).join("metrics.jsonl")).unwrap();
        let epochs = metrics.lines().filter(|line| line.contains("\"kind\":\"epoch\"")).count();
        assert_eq!(epochs, 3, "{name}: {metrics}");
    }
}

#[test]
fn jobs_stop_with_their_parent_and_go_on() {
    let folder = study(&STUDY.replace("epochs = 1", "epochs = 8").replace("seeds = [1, 2]", "seeds = [1]"));
    let child = sweep(folder.path(), &["--jobs", "2"]).spawn().unwrap();
    let begun = Instant::now();
    let own = folder.path().join("runs/study/sgd@learning_rate=0.05-s1/metrics.jsonl");
    while !own.exists() {
        assert!(begun.elapsed() < Duration::from_secs(300));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    wait(child, 130);
    let own = own.parent().unwrap();
    assert!(own.join("checkpoint/latest.json").exists() && !own.join("summary.json").exists());
    let (_, err) = ends_with(&sweep(folder.path(), &["--list"]).output().unwrap(), 0);
    assert!(err.is_empty());
    // It goes on from there: no line is written twice, and all are there.
    ends_with(&sweep(folder.path(), &["--jobs", "2"]).output().unwrap(), 0);
    assert_eq!(weights(folder.path()).len(), 3);
    let log = lookahead_runs::Log::read(&own.join("metrics.jsonl")).unwrap();
    assert_eq!((log.epochs.len(), log.steps_done(), log.left_out), (8, 48, vec![]));
}

/// The script can be read and submitted by hand where there is no `sbatch`.
#[test]
fn a_script_is_written_where_slurm_is_not() {
    let folder = study(STUDY);
    let mut command = sweep(folder.path(), &["--submit"]);
    let (_, err) = ends_with(&command.env("PATH", "/nowhere").output().unwrap(), 2);
    assert!(err.contains("cannot run sbatch"), "{err}");
    let script = fs::read_to_string(folder.path().join("runs/study/sweep.sbatch")).unwrap();
    for line in ["#SBATCH --array=0-5%8\n", "#SBATCH --requeue\n", "#SBATCH --signal=TERM@120\n", "/6 --threads "] {
        assert!(script.contains(line), "{line}: {script}");
    }
    assert!(
        Command::new("bash").arg("-n").arg(folder.path().join("runs/study/sweep.sbatch")).status().unwrap().success()
    );
}
