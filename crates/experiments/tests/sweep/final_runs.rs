//! Final runs, and what a study refuses to compare.

use std::fs;
use std::path::{Path, PathBuf};

use super::{STUDY, edit, ends_with, study, sweep, weights};

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

/// Three cells and two final runs.
fn small() -> tempfile::TempDir {
    study(&STUDY.replace("seeds = [1, 2]", "seeds = [1]"))
}

fn cell(folder: &Path, rate: &str) -> PathBuf {
    folder.join(format!("runs/studies/study/sgd@learning_rate={rate}-s1"))
}

/// As if the data had changed between two commands.
fn trained_on(run: &Path, sha256: &str) -> String {
    let mut before = String::new();
    edit(&run.join("summary.json"), |summary| {
        before = summary["data_sha256"].as_str().unwrap().to_owned();
        summary["data_sha256"] = sha256.into();
    });
    before
}

#[test]
fn cells_of_different_data_are_neither_ranked_nor_joined_by_others() {
    let folder = small();
    let run = |arguments: &[&str], status| ends_with(&sweep(folder.path(), arguments).output().unwrap(), status);
    run(&[], 0);
    let [first, second, third] = ["0.01", "0.05", "0.1"].map(|rate| cell(folder.path(), rate));
    let sha256 = trained_on(&second, "other");
    for arguments in [&[][..], &["--final"]] {
        let (_, err) = run(arguments, 3);
        let folders =
            "sgd@learning_rate=0.01-s1 and runs/studies/study/sgd@learning_rate=0.05-s1 were trained on different data";
        assert!(err.contains(folders) && err.contains(&sha256) && err.contains("other"), "{err}");
    }
    // If all finished cells are of other data than those that are there, none is trained.
    trained_on(&first, "other");
    fs::remove_file(third.join("summary.json")).unwrap();
    let (_, err) = run(&[], 3);
    assert!(err.contains("the data changed since") && err.contains(&format!("digest other, now {sha256}")), "{err}");
    assert!(!third.join("summary.json").exists());
    trained_on(&first, &sha256);
    trained_on(&second, &sha256);
    run(&[], 0);
    assert_eq!(weights(folder.path()).len(), 3);
}

#[test]
fn the_page_names_the_code_of_all_runs_and_compares_no_final_runs_of_different_data() {
    let folder = small();
    let run = |arguments: &[&str], status| ends_with(&sweep(folder.path(), arguments).output().unwrap(), status);
    run(&["--quiet"], 0);
    edit(&cell(folder.path(), "0.05").join("env.json"), |environment| environment["commit"] = "0123456789ab".into());
    run(&["--final", "--quiet"], 0);
    let text = fs::read_to_string(folder.path().join("runs/studies/study/study.md")).unwrap().replace('\n', " ");
    assert!(text.contains("Commits (not all runs used the same code): ") && text.contains("0123456789ab"), "{text}");
    let mut finals =
        fs::read_dir(folder.path().join("runs/studies/study/final")).unwrap().map(|run| run.unwrap().path());
    trained_on(&finals.next().unwrap(), "other");
    let (_, err) = run(&["--final"], 3);
    assert!(err.contains("were trained on different data"), "{err}");
}

/// A run whose summary is damaged did not diverge, and a cell is not left out of the ranking.
#[test]
fn a_damaged_summary_is_an_error() {
    let folder = small();
    let run = |arguments: &[&str], status| ends_with(&sweep(folder.path(), arguments).output().unwrap(), status);
    run(&["--quiet"], 0);
    run(&["--final", "--quiet"], 0);
    let page = folder.path().join("runs/studies/study/study.md");
    let before = fs::read(&page).unwrap();
    let mut finals = fs::read_dir(folder.path().join("runs/studies/study/final")).unwrap();
    let summary = finals.next().unwrap().unwrap().path().join("summary.json");
    let whole = fs::read(&summary).unwrap();
    fs::write(&summary, "{").unwrap();
    let (_, err) = run(&["--final"], 3);
    assert!(err.contains("summary.json is damaged: ") && err.contains("delete the run's folder"), "{err}");
    assert_eq!(fs::read(&page).unwrap(), before, "no page with a run that seems to have diverged");
    fs::write(&summary, whole).unwrap();
    fs::write(cell(folder.path(), "0.05").join("summary.json"), "{").unwrap();
    for arguments in [&[][..], &["--final"]] {
        let (out, err) = run(arguments, 3);
        assert!(err.contains("sgd@learning_rate=0.05-s1/summary.json is damaged: ") && out.is_empty(), "{out}{err}");
    }
}

/// A cluster's front machine has neither the device of the cells nor, perhaps, their data.
#[test]
fn to_list_and_to_submit_takes_no_device() {
    let folder = small();
    ends_with(&sweep(folder.path(), &["--quiet"]).output().unwrap(), 0);
    // An interrupted cell of another device.
    let interrupted = cell(folder.path(), "0.05");
    fs::remove_file(interrupted.join("summary.json")).unwrap();
    fs::write(interrupted.join("checkpoint/latest.json"), "{}").unwrap();
    let config = fs::read_to_string(interrupted.join("config.toml")).unwrap();
    fs::write(interrupted.join("config.toml"), config.replace("device = \"cpu\"", "device = \"cuda:0\"")).unwrap();
    let (_, err) = ends_with(&sweep(folder.path(), &["--final", "--list"]).output().unwrap(), 2);
    assert!(err.contains("1 of 3 cells are not finished"), "{err}");

    let mut command = sweep(folder.path(), &["--submit", "--device", "cuda:0"]);
    let (_, err) = ends_with(&command.env("PATH", "/nowhere").output().unwrap(), 2);
    assert!(err.contains("cannot run sbatch"), "{err}");
    assert!(err.contains("3 cells, 2 of them already finished; runs/studies/study"), "there is no estimate: {err}");
    let script = fs::read_to_string(folder.path().join("runs/studies/study/sweep.sbatch")).unwrap();
    assert!(script.contains("--array=0-0%8") && script.contains("--device cuda:0"), "{script}");
    let ranking = fs::read_to_string(folder.path().join("runs/studies/study/ranking.sbatch")).unwrap();
    assert!(ranking.contains("--no-retry"), "{ranking}");
}
