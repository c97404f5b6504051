//! Runs of a language model: tables, CSV, figures and the page are of perplexity and tokens, and of no classes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod synthetic;

use std::fs;
use std::path::Path;

use lookahead_report::{
    Report, csv, differences, figures, find, markdown, markdown_differences, metrics_csv, page, results, text,
};
use lookahead_runs::{ExperimentSummary, TaskKind};
use serde_json::{Value, json};
use synthetic::Synthetic;

fn read(folder: &Path) -> Report {
    Report::read(&find(&[folder.to_path_buf()], &mut Vec::new())[0])
}

fn language(root: &Path) -> Report {
    read(&Synthetic::language().write_with_data(root))
}

/// The JSON that the page carries.
fn data_of(report: &Report) -> Value {
    let page = page(report, &[]).unwrap();
    let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

/// The perplexity of a run's own summary.
fn perplexity(root: &Path, run: &str) -> f64 {
    let path = root.join("text").join(run).join("summary.json");
    let summary: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    summary["perplexity"].as_f64().unwrap()
}

#[test]
fn tables_hold_the_perplexities_of_the_runs() {
    let root = tempfile::tempdir().unwrap();
    let report = language(root.path());
    assert_eq!((report.task(), report.runs.len(), report.rows.len()), (TaskKind::Language, 4, 2));
    let mean = |row: &str| (1..=2).map(|seed| perplexity(root.path(), &format!("{row}-s{seed}"))).sum::<f64>() / 2.0;
    let (sgd, lookahead) = (mean("sgd"), mean("lookahead-sgd-keep"));
    assert!(lookahead < sgd);
    let difference = format!("\u{2212}{:.2}", sgd - lookahead);

    let terminal = text(&report, 160);
    for part in ["perplexity", "tokens/s", "perplexity, paired by seed (lower is better)", "trained on 49,920 tokens"] {
        assert!(terminal.contains(part), "{part}: {terminal}");
    }
    let table = markdown(&report);
    assert!(table.starts_with("| Optimizer "), "{table}");
    assert!(table.contains(" Perplexity |"), "{table}");
    let told = markdown_differences(&report);
    for (shown, what) in [(&terminal, "the terminal"), (&table, "Markdown")] {
        assert!(
            shown.contains(&format!("{sgd:.2} ±")) && shown.contains(&format!("{lookahead:.2} ±")),
            "{what}: {shown}"
        );
    }
    let found = differences(&report)[0];
    assert!(found.mean < 0.0 && found.is_better() == Some(true), "{found:?}");
    for shown in [&terminal, &told] {
        assert!(shown.contains(&difference) && !shown.contains("worse"), "{shown}");
        let line = shown.lines().find(|line| line.contains(&difference)).unwrap();
        assert!(line.trim_end_matches([' ', '|']).ends_with("better"), "{shown}");
    }

    let csv = csv(&report);
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let cell = |line: usize, name: &str| -> f64 {
        csv.lines().nth(line).unwrap().split(',').nth(column(name)).unwrap().parse().unwrap()
    };
    assert!((cell(1, "perplexity_mean") - sgd).abs() < 1e-9 && (cell(2, "perplexity_mean") - lookahead).abs() < 1e-9);
    assert!(cell(1, "per_second_mean") > 0.0);
    let metrics = metrics_csv(&report);
    assert!(
        metrics.starts_with(
            "run,optimizer,state,seed,done,kind,step,epoch,train_loss,valid_loss,perplexity,learning_rate,"
        )
    );
    assert!(metrics.lines().all(|line| line.split(',').count() == 15));
    for text in [&terminal, &table, &told, &csv, &metrics] {
        for word in ["top1", "top-1", "Top-1", "mages", "accura", "ece"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[test]
fn the_page_knows_its_score_and_has_no_classes() {
    let root = tempfile::tempdir().unwrap();
    let data = data_of(&language(root.path()));
    let titles: Vec<&str> =
        data["metrics"].as_array().unwrap().iter().map(|of| of["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Train loss", "Loss", "Perplexity", "Seconds", "Tokens/s"]);
    assert_eq!(data["measures"].as_array().unwrap().len(), 1);
    assert_eq!(data["compared"][0], json!(["perplexity", "Perplexity"]));
    assert_eq!(data["classes"], json!([]));
    for row in data["rows"].as_array().unwrap() {
        assert_eq!((&row["classes"], row["numbers"].as_array().unwrap().len()), (&Value::Null, 5));
        assert!(row["sample"]["run"].as_str().unwrap().ends_with("-s1"), "{}", row["sample"]);
        assert!(row["sample"]["text"].as_str().unwrap().contains("<b>slow</b>"));
    }
    for run in data["runs"].as_array().unwrap() {
        assert_eq!(run["ece"], Value::Null);
        assert!(run["best_score"].as_f64().unwrap() < run["numbers"][2].as_f64().unwrap());
        let curves: Vec<&String> = run["curves"].as_object().unwrap().keys().collect();
        assert_eq!(curves, ["learning_rate", "momentum", "perplexity", "train_loss", "valid_loss"]);
    }
    let said = data["findings"][0].as_str().unwrap();
    assert!(said.contains(" reaches perplexity ") && said.contains(", where lower is better ("), "{said}");
}

#[test]
fn figures_and_results_are_of_perplexity() {
    let root = tempfile::tempdir().unwrap();
    let report = language(root.path());
    let names: Vec<String> = figures(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["train-loss.svg", "valid-loss.svg", "perplexity.svg", "learning-rate.svg", "momentum.svg"]);
    let images = read(&Synthetic { seeds: 1, epochs: 1, ..Synthetic::small("demo") }.write(root.path()));
    let both = results(&[images.clone(), report.clone()]);
    assert!(
        both.contains(
            "Losses are in nats per image or per token; accuracy and perplexity are those of the last epoch, at"
        ),
        "{both}"
    );
    assert!(results(&[report]).contains("Losses are in nats per token; perplexity is that of the last epoch, at"));
    assert!(results(&[images]).contains("Losses are in nats per image; accuracy is that of the last epoch, at"));
}

#[test]
fn the_summary_says_its_task_and_has_the_same_numbers() {
    let root = tempfile::tempdir().unwrap();
    let report = language(root.path());
    let (ours, theirs) = (report.summary(), ExperimentSummary::read(&root.path().join("text")).unwrap().unwrap());
    assert_eq!((ours.task, &ours.runs), (TaskKind::Language, &theirs.runs));
    for (ours, theirs) in ours.rows.iter().zip(&theirs.rows) {
        assert!(ours.numbers.keys().eq(theirs.numbers.keys()), "{:?}", ours.numbers);
        assert!((ours.numbers["perplexity"].mean - theirs.numbers["perplexity"].mean).abs() < 1e-9);
    }
    // Where the runs do not say it, the experiment does.
    for run in ["sgd-s1", "sgd-s2", "lookahead-sgd-keep-s1", "lookahead-sgd-keep-s2"] {
        fs::remove_file(root.path().join("text").join(run).join("data.json")).unwrap();
    }
    assert_eq!(read(&root.path().join("text")).task(), TaskKind::Language);
}

/// One run on images among four of language: its numbers are in other units, so it is in no table, and that is said.
#[test]
fn a_run_of_another_task_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::language().write_with_data(root.path());
    let other = Synthetic { rows: vec![("adamw", "")], seeds: 1, epochs: 1, ..Synthetic::small("demo") };
    let images = other.write_with_data(root.path()).join("adamw-s1");
    let data = fs::read_to_string(images.join("data.json")).unwrap();
    fs::write(images.join("data.json"), data.replace("\"00\"", "\"11\"")).unwrap();
    fs::rename(images, folder.join("adamw-s1")).unwrap();
    let report = read(&folder);
    assert_eq!((report.runs.len(), report.task()), (4, TaskKind::Language));
    let told: Vec<String> = report.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["adamw-s1: trains on images, while the other runs train on tokens"]);
    assert!(!text(&report, 160).contains("AdamW"));
}
