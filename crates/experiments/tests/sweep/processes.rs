//! Several processes at one sweep, and what stops them.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::{STUDY, ends_with, study, sweep, weights};

/// `flock` fails as on some cluster file systems: nothing shows what other processes hold, so a share leaves their
/// cells alone. Needs a C compiler.
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
    // Its own cells are done: it leaves the files of those that others may be training.
    let other = folder.path().join("runs/studies/study/sgd@learning_rate=0.01-s2");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("env.json"), "{}").unwrap();
    let (_, err) = ends_with(&share("1/2"), 1);
    assert_eq!(err.matches("this file system has no locks").count(), 1, "{err}");
    assert_eq!(fs::read_to_string(other.join("env.json")).unwrap(), "{}");
    assert!(!other.join("config.toml").exists());
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
    let own = folder.path().join("runs/studies/study/sgd@learning_rate=0.05-s1/metrics.jsonl");
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
        let metrics =
            fs::read_to_string(folder.path().join("runs/studies/study").join(name).join("metrics.jsonl")).unwrap();
        let epochs = metrics.lines().filter(|line| line.contains("\"kind\":\"epoch\"")).count();
        assert_eq!(epochs, 3, "{name}: {metrics}");
    }
}

#[test]
fn jobs_stop_with_their_parent_and_go_on() {
    let folder = study(&STUDY.replace("epochs = 1", "epochs = 8").replace("seeds = [1, 2]", "seeds = [1]"));
    let child = sweep(folder.path(), &["--jobs", "2"]).spawn().unwrap();
    let begun = Instant::now();
    let own = folder.path().join("runs/studies/study/sgd@learning_rate=0.05-s1/metrics.jsonl");
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

/// Of three cells, one failed before and one is another process's.
#[test]
fn what_failed_is_not_retried_beside_another_process() {
    let folder = study(&STUDY.replace("seeds = [1, 2]", "seeds = [1]"));
    let run = |arguments: &[&str], status| ends_with(&sweep(folder.path(), arguments).output().unwrap(), status);
    let [failed, held] = ["0.01", "0.05"].map(|rate| {
        let cell = folder.path().join(format!("runs/studies/study/sgd@learning_rate={rate}-s1"));
        fs::create_dir_all(&cell).unwrap();
        cell
    });
    fs::write(failed.join("failed.txt"), "a reason\n").unwrap();
    let lock = fs::File::create(held.join("lock")).unwrap();
    lock.lock().unwrap();
    let (_, err) = run(&["--no-wait"], 1);
    assert!(err.contains("1 of 3 cells failed: sgd@learning_rate=0.01-s1"), "{err}");
    assert_eq!(fs::read_to_string(failed.join("failed.txt")).unwrap(), "a reason\n");
    assert_eq!(weights(folder.path()).len(), 1);
    drop(lock);
    let (_, err) = run(&["--no-retry"], 1);
    assert!(err.contains("3 cells, 1 of them already finished, 1 of them failed before, about"), "{err}");
    assert_eq!(weights(folder.path()).len(), 2);
    run(&[], 0);
    assert_eq!(weights(folder.path()).len(), 3);
}

/// Reading cannot be asked to stop, and there is nothing to save: a signal ends it, in the jobs of a parent too.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_a_sweep_that_reads_its_data() {
    use std::os::unix::fs::OpenOptionsExt as _;
    const O_NONBLOCK: i32 = 0o4000;
    let folder = study("experiment = \"language\"\n[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.1, 0.2]\n");
    // A pipe that nobody writes to is read for ever.
    let pipe = folder.path().join("texts/train.txt");
    fs::create_dir(folder.path().join("texts")).unwrap();
    if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no mkfifo");
    }
    for jobs in ["1", "2"] {
        let arguments = ["--dataset-dir", "texts", "--jobs", jobs, "--quiet"];
        let mut child = sweep(folder.path(), &arguments).spawn().unwrap();
        let begun = Instant::now();
        // Without waiting, it can be opened once somebody reads it.
        let writer = loop {
            match fs::File::options().write(true).custom_flags(O_NONBLOCK).open(&pipe) {
                Ok(writer) => break writer,
                Err(_) => assert!(begun.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none()),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{jobs} jobs go on reading");
            std::thread::sleep(Duration::from_millis(2));
        }
        wait(child, 130);
        drop(writer);
    }
}
