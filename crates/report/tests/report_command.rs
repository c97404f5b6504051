//! The program itself: what it writes and prints, and its exit status.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod synthetic;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use synthetic::Synthetic;

fn report(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_report")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn nothing_there_is_told_with_status_3() {
    let root = tempfile::tempdir().unwrap();
    let output = report(root.path(), &[]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("runs: not found") && said.contains("no run folder in runs"), "{said}");
    std::fs::create_dir(root.path().join("runs")).unwrap();
    assert_eq!(report(root.path(), &["runs"]).status.code(), Some(3));
}

#[test]
fn an_unknown_flag_is_told_with_status_2() {
    assert_eq!(report(Path::new("."), &["--frobnicate"]).status.code(), Some(2));
}

#[test]
fn two_experiments_give_two_pages_tables_and_figures() {
    let root = tempfile::tempdir().unwrap();
    for name in ["demo", "cifar10"] {
        Synthetic { seeds: 1, epochs: 2, steps_per_epoch: 20, ..Synthetic::small(name) }
            .write(&root.path().join("runs"));
    }
    let output = report(root.path(), &["runs", "nowhere", "--figures", "--metrics", "--results", "docs/RESULTS.md"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("nowhere: not found"));
    // Two rows of the table and two differences, for each.
    assert_eq!(text(&output.stdout).matches("| Lookahead/SGD (").count(), 8, "{}", text(&output.stdout));
    assert_eq!(text(&output.stdout).matches("| Lookahead/SGD (keep) \u{2212} SGD ").count(), 2);
    for file in ["demo/report.html", "cifar10/report.html", "demo/figures/top1.svg", "cifar10/metrics.csv"] {
        assert!(root.path().join("runs").join(file).is_file(), "{file}");
    }
    let results = std::fs::read_to_string(root.path().join("docs/RESULTS.md")).unwrap();
    assert!(results.contains("## demo: quick") && results.contains("## cifar10: quick"), "{results}");
    // A document with the marks keeps the rest.
    let ours = "# Ours\n\n<!-- results: written by `just report --results` -->\n<!-- end of results -->\n\nThanks.\n";
    std::fs::write(root.path().join("ours.md"), ours).unwrap();
    report(root.path(), &["runs/demo", "--quiet", "--results", "ours.md"]);
    let results = std::fs::read_to_string(root.path().join("ours.md")).unwrap();
    assert!(results.starts_with("# Ours\n") && results.ends_with("<!-- end of results -->\n\nThanks.\n"), "{results}");
    assert!(results.contains("### demo: quick") && results.contains("| Smallest visible |"), "{results}");

    let output = report(root.path(), &["runs", "--csv", "--out", "pages"]);
    let csv = text(&output.stdout);
    assert_eq!(csv.lines().filter(|line| line.starts_with("experiment,")).count(), 1, "one header: {csv}");
    assert_eq!(csv.lines().count(), 1 + 2 * 6);
    assert!(root.path().join("pages/demo.html").is_file() && root.path().join("pages/cifar10.html").is_file());

    let output = report(root.path(), &["runs/demo", "--quiet", "--out", "one.html"]);
    assert!(root.path().join("one.html").is_file() && output.stdout.is_empty());
}

/// Images and language in one CSV: a data frame reads it, with one header and lines of one length.
#[test]
fn experiments_of_two_tasks_are_one_csv() {
    let root = tempfile::tempdir().unwrap();
    let images = Synthetic { rows: vec![("sgd", "")], seeds: 1, epochs: 1, ..Synthetic::small("demo") };
    images.write_with_data(&root.path().join("runs"));
    Synthetic { epochs: 1, ..Synthetic::language() }.write_with_data(&root.path().join("runs"));
    let csv = text(&report(root.path(), &["--csv"]).stdout);
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 1 + 2, "{csv}");
    let [top1, perplexity] = ["top1_mean", "perplexity_mean"]
        .map(|name| lines[0].iter().position(|head| *head == name).unwrap_or_else(|| panic!("{name}: {csv}")));
    for cells in &lines[1..] {
        assert_eq!(cells.len(), lines[0].len(), "{csv}");
        assert_eq!(
            [cells[top1], cells[perplexity]].map(str::is_empty),
            [cells[0] == "text", cells[0] == "demo"],
            "{csv}"
        );
    }
}

/// `.` in a run folder is that run of the experiment around it, and two spellings of a folder are one experiment.
#[test]
fn a_path_may_be_spelt_in_any_way() {
    let root = tempfile::tempdir().unwrap();
    let rows = vec![("sgd", ""), ("adamw", "")];
    let demo = Synthetic { rows, seeds: 1, epochs: 1, ..Synthetic::small("demo") }.write(root.path());
    let run = demo.join("sgd-s1");
    let output = report(&run, &["."]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("wrote ../report.html"), "{said}");
    assert!(!said.contains("summary.json"), "that of the run is no damaged summary of an experiment: {said}");
    assert!(demo.join("report.html").is_file() && !run.join("report.html").exists());
    let page = std::fs::read_to_string(demo.join("report.html")).unwrap();
    assert!(page.contains("\"name\":\"sgd-s1\"") && !page.contains("\"name\":\"run\""));
    let output = report(root.path(), &["demo", "./demo", "demo/../demo/adamw-s1"]);
    let said = text(&output.stderr);
    assert_eq!(said.matches("wrote ").count(), 1, "{said}");
    assert!(said.contains("wrote demo/report.html"), "{said}");
}

/// A document of somebody's own stays as it is, byte by byte, unless it says where the tables go; a page of ours is
/// replaced.
#[test]
fn no_document_is_lost_to_the_results() {
    let root = tempfile::tempdir().unwrap();
    Synthetic { seeds: 1, epochs: 1, steps_per_epoch: 20, ..Synthetic::small("demo") }.write(&root.path().join("runs"));
    let path = root.path().join("ours.md");
    let half = "# Ours\n\n<!-- results: written by `just report --results` -->\n\nThanks.\n";
    for before in [half.as_bytes(), b"# Results\n\nof my own", b"\xff\xfe"] {
        std::fs::write(&path, before).unwrap();
        let output = report(root.path(), &["--quiet", "--results", "ours.md"]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("ours.md"), "{}", text(&output.stderr));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    for before in ["", "# Results\n\nWritten by `just report --results`, from run folders; stale"] {
        std::fs::write(&path, before).unwrap();
        assert!(report(root.path(), &["--quiet", "--results", "ours.md"]).status.success());
        let results = std::fs::read_to_string(&path).unwrap();
        assert!(results.contains("## demo: quick") && !results.contains("stale"), "{results}");
    }
}

#[test]
fn experiments_of_one_name_do_not_overwrite_each_other() {
    let root = tempfile::tempdir().unwrap();
    for parent in ["new", "old"] {
        Synthetic { seeds: 1, epochs: 1, steps_per_epoch: 20, ..Synthetic::small("demo") }
            .write(&root.path().join(parent));
    }
    let output = report(root.path(), &["new", "old", "--quiet", "--out", "pages", "--figures=figures"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for file in ["pages/demo.html", "pages/demo-2.html", "figures/demo/top1.svg", "figures/demo-2/top1.svg"] {
        assert!(root.path().join(file).is_file(), "{file}");
    }
    for flags in [["--out", "one.html"], ["--metrics=all.csv", "--quiet"]] {
        let output = report(root.path(), &[&["new", "old"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("is one file for 2 experiments"), "{}", text(&output.stderr));
    }
}

/// `report --csv | head`: whoever read it is gone, and the page is written all the same.
#[cfg(unix)]
#[test]
fn a_closed_output_ends_quietly() {
    let root = tempfile::tempdir().unwrap();
    Synthetic { seeds: 1, epochs: 1, steps_per_epoch: 20, ..Synthetic::small("demo") }.write(&root.path().join("runs"));
    for flags in [&["--csv"][..], &[]] {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 0.3; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_report")])
            .args(flags)
            .current_dir(root.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{flags:?}");
        std::fs::remove_file(root.path().join("runs/demo/report.html")).unwrap();
    }
}

/// Through the terminal that util-linux's `script` makes.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_tables_of_its_width() {
    let root = tempfile::tempdir().unwrap();
    Synthetic { epochs: 1, steps_per_epoch: 20, ..Synthetic::small("cifar10") }.write(&root.path().join("runs"));
    for columns in [40, 60, 80, 160] {
        let command = format!("stty cols {columns} rows 24; {}", env!("CARGO_BIN_EXE_report"));
        let output = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .current_dir(root.path())
            .env("LC_ALL", "C.UTF-8")
            .output();
        let Ok(output) = output else { return eprintln!("skipped: no `script`") };
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains("top-1 %"), "{said}");
        for line in said.lines() {
            assert!(line.trim_end().chars().count() <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn a_page_that_cannot_be_written_keeps_the_others() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        Synthetic { seeds: 1, epochs: 1, steps_per_epoch: 20, ..Synthetic::small(name) }
            .write(&root.path().join("runs"));
    }
    std::fs::create_dir(root.path().join("runs/a/report.html")).unwrap();
    let output = report(root.path(), &["runs", "--quiet"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a/report.html"), "{}", text(&output.stderr));
    assert!(root.path().join("runs/b/report.html").is_file());
}
