//! What a sweep trains, ranks and refuses.

use std::fs;
use std::process::Command;

use super::{STUDY, ends_with, study, sweep, weights};

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
    // The other job trained at the same time: the seconds are not those of a machine of one's own.
    let environment =
        fs::read_to_string(folder.path().join("runs/studies/study").join(&names[0]).join("env.json")).unwrap();
    assert!(environment.contains("\"shares_machine\": true"), "{environment}");
    // The command is the one that was typed, not that of the job.
    assert!(environment.contains("\"command\": \"sweep study.toml --threads 1 --jobs 2\""), "{environment}");

    let (again, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 0);
    assert_eq!((&again, err.as_str()), (&out, ""), "nothing is left to do");
    let (list, _) = ends_with(&sweep(folder.path(), &["--list"]).output().unwrap(), 0);
    assert_eq!(list.lines().filter(|line| line.starts_with("done ")).count(), 6, "{list}");

    // The cells of a machine with a GPU, seen from one without.
    for name in &names {
        let path = folder.path().join("runs/studies/study").join(name).join("config.toml");
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
fn a_failed_cell_stops_no_other_and_is_tried_again() {
    let text = STUDY.replace("seeds = [1, 2]", "seeds = [1]").replace(", batch_size = 8", "").replace(
        "axes.learning_rate = [0.01, 0.05, 0.1]",
        "axes.learning_rate = [0.01, 1e30]\n[axes]\n\"train.batch_size\" = [8, 512]",
    );
    let folder = study(&text);
    let (out, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 1);
    assert!(err.contains("error: 2 of 4 cells failed: ") && err.contains("@batch_size=512"), "{err}");
    assert!(out.contains("1 run diverged"), "{out}");
    let why = fs::read_to_string(
        folder.path().join("runs/studies/study/sgd@learning_rate=0.01@batch_size=512-s1/failed.txt"),
    );
    assert!(why.unwrap().contains("no larger than the number of training images"));
    // What diverged would again; what failed is tried.
    let (_, err) = ends_with(&sweep(folder.path(), &[]).output().unwrap(), 1);
    assert!(err.contains("4 cells, 2 of them already finished") && !err.contains("diverged"), "{err}");
}

/// A file lies where a cell's folder should be, so neither the run nor the reason why there is none can be written.
#[test]
fn a_failure_that_cannot_be_recorded_is_a_failure() {
    let folder = study(&STUDY.replace("seeds = [1, 2]", "seeds = [1]"));
    let own = folder.path().join("runs/studies/study");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("sgd@learning_rate=0.05-s1"), "").unwrap();
    for (arguments, how) in [
        (&["--no-wait", "--quiet"][..], "run the same command again to retry them"),
        (&["--no-retry"], "run the command without --no-retry to retry them"),
    ] {
        let (_, err) = ends_with(&sweep(folder.path(), arguments).output().unwrap(), 1);
        assert!(err.contains(&format!("error: 1 of 3 cells failed: sgd@learning_rate=0.05-s1; {how}")), "{err}");
        assert!(err.contains("sgd@learning_rate=0.05-s1: failed: ") && !err.contains("other processes"), "{err}");
    }
    let (_, err) = ends_with(&sweep(folder.path(), &["--jobs", "2", "--quiet"]).output().unwrap(), 1);
    assert!(err.contains("1 of 3 cells failed") && err.contains("a process of the sweep ended with status 1"), "{err}");
    assert_eq!(weights(folder.path()).len(), 2);
}

/// The script can be read and submitted by hand where there is no `sbatch`.
#[test]
fn a_script_is_written_where_slurm_is_not() {
    let folder = study(STUDY);
    let mut command = sweep(folder.path(), &["--submit"]);
    let (_, err) = ends_with(&command.env("PATH", "/nowhere").output().unwrap(), 2);
    assert!(err.contains("cannot run sbatch"), "{err}");
    let script = fs::read_to_string(folder.path().join("runs/studies/study/sweep.sbatch")).unwrap();
    for line in [
        "#SBATCH --array=0-5%8\n",
        "#SBATCH --requeue\n",
        "#SBATCH --signal=TERM@120\n",
        "srun --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" ",
        "/6 --threads ",
    ] {
        assert!(script.contains(line), "{line}: {script}");
    }
    assert!(
        Command::new("bash")
            .arg("-n")
            .arg(folder.path().join("runs/studies/study/sweep.sbatch"))
            .status()
            .unwrap()
            .success()
    );
}
