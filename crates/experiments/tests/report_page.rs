//! The page and tables from made-up run folders: size, escaping, and folders in any state.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod synthetic;

use std::fs;
use std::path::Path;

use lookahead_experiments::report::{
    Experiment, LeftOut, Status, csv, figures, find, markdown, markdown_differences, metrics_csv, page, results,
};
use serde_json::Value;
use synthetic::Synthetic;

fn read(folder: &Path) -> (Experiment, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let found = find(&[folder.to_path_buf()], &mut left_out);
    (Experiment::read(&found[0]), left_out)
}

/// The JSON that the page carries.
fn data_of(page: &str) -> Value {
    let start = page.find("<script type=\"application/json\" id=\"data\">").unwrap();
    let start = start + page[start..].find('>').unwrap() + 1;
    let end = start + page[start..].find("</script>").unwrap();
    serde_json::from_str(&page[start..end]).unwrap()
}

fn is_small_and_keeps_the_extremes(log_every: u64) {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::fifty_runs(log_every).write(root.path());
    let started = std::time::Instant::now();
    let (experiment, left_out) = read(&folder);
    let html = page(&experiment, &left_out).unwrap();
    // Printed for people; how long it takes is no property of the program.
    eprintln!(
        "50 runs, {} lines each: {:.2} s, {} bytes",
        20_000 / log_every,
        started.elapsed().as_secs_f64(),
        html.len()
    );
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    let data = data_of(&html);
    assert_eq!(data["runs"].as_array().unwrap().len(), 50);
    for (position, run) in experiment.runs.iter().enumerate().step_by(7) {
        let highest = run.log.steps.iter().map(|point| point.train_loss).fold(f64::MIN, f64::max);
        let curve = data["runs"][position]["curves"]["train_loss"].as_u64().unwrap() as usize;
        let kept =
            data["curves"][curve]["hi"].as_array().unwrap().iter().filter_map(Value::as_f64).fold(f64::MIN, f64::max);
        assert!((kept - highest).abs() < 1e-4 * highest, "{}: {kept} is not {highest}", run.name);
    }
}

#[test]
fn fifty_runs_make_a_small_page() {
    is_small_and_keeps_the_extremes(20);
}

/// With every step logged: the page must not grow.
#[test]
#[ignore = "writes 150 MB of run folders"]
fn fifty_runs_of_twenty_thousand_lines_make_a_small_page() {
    is_small_and_keeps_the_extremes(1);
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let root = tempfile::tempdir().unwrap();
    let (experiment, left_out) = read(&Synthetic::small("cifar10").write(root.path()));
    let html = page(&experiment, &left_out).unwrap();
    // A clip path names an element of the page itself.
    let html_without_own = html.replace("url(#", "");
    for needle in ["src=\"", "@import", "url(", "<link rel=\"stylesheet"] {
        assert!(!html_without_own.contains(needle), "{needle}");
    }
    assert!(html.contains("default-src 'none'"));
    assert_eq!(page(&experiment, &left_out).unwrap(), html, "the same folders give the same bytes");
    // Every seed of a row shares its learning rate, so it is held once.
    let data = data_of(&html);
    let rates: std::collections::BTreeSet<u64> =
        data["runs"].as_array().unwrap().iter().map(|run| run["curves"]["learning_rate"].as_u64().unwrap()).collect();
    assert_eq!((rates.len(), data["runs"].as_array().unwrap().len()), (1, 18));
}

#[test]
fn names_are_escaped_everywhere() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic { rows: vec![("sgd", "")], seeds: 1, ..Synthetic::small("demo") }.write(root.path());
    let name = "</script><script>alert(1)</script>";
    for (file, key) in
        [("sgd-s1/summary.json", "optimizer"), ("summary.json", "experiment"), ("sgd-s1/env.json", "command")]
    {
        let path = folder.join(file);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        value[key] = name.into();
        synthetic::write_json(&path, &value);
    }
    let (experiment, left_out) = read(&folder);
    let html = page(&experiment, &left_out).unwrap();
    assert_eq!(html.matches("<script").count(), 2, "the data and the program, no third");
    assert_eq!(html.matches("</script").count(), 2);
    assert_eq!(data_of(&html)["rows"][0]["title"], name);
    assert!(figures(&experiment).iter().all(|(_, svg)| !svg.contains("<script")));
    assert!(!markdown(&experiment).contains("| <script"));
}

#[test]
fn folders_in_any_state_give_what_they_hold() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic { rows: vec![("sgd", ""), ("lookahead-sgd", "keep")], ..Synthetic::small("cifar10") }
        .write(root.path());
    // Running: no summary yet, half of the lines, the last cut short.
    fs::remove_file(folder.join("sgd-s3/summary.json")).unwrap();
    let metrics = fs::read(folder.join("sgd-s3/metrics.jsonl")).unwrap();
    fs::write(folder.join("sgd-s3/metrics.jsonl"), &metrics[..metrics.len() / 2 + 7]).unwrap();
    // Damaged: bytes that are no text, a summary cut in two, no configuration.
    fs::write(folder.join("lookahead-sgd-keep-s2/metrics.jsonl"), [0u8, 159, 146, 150, b'\n', b'{', b'\n']).unwrap();
    fs::write(folder.join("lookahead-sgd-keep-s2/summary.json"), "{\"top1\": 9").unwrap();
    fs::remove_file(folder.join("lookahead-sgd-keep-s2/config.toml")).unwrap();
    // Just made, and nothing in it yet.
    fs::create_dir(folder.join("adamw-s1")).unwrap();
    fs::write(folder.join("adamw-s1/config.toml"), "").unwrap();
    // The experiment's own table is half there.
    fs::write(folder.join("summary.json"), "{\"schema\": 1, \"rows\": [").unwrap();

    let (experiment, left_out) = read(&folder);
    let told: Vec<String> = experiment.left_out.iter().map(ToString::to_string).collect();
    for part in [
        "sgd-s3: the last line of metrics.jsonl is cut short",
        "sgd-s3: not finished (4 of 8 epochs",
        "lookahead-sgd-keep-s2: summary.json is damaged",
        "lookahead-sgd-keep-s2: 2 lines of metrics.jsonl are damaged",
        "adamw-s1: not finished (0 epochs, 0 steps)",
        "summary.json: of the experiment is damaged",
    ] {
        assert!(told.iter().any(|line| line.starts_with(part)), "{part} is not in {told:#?}");
    }
    assert_eq!(experiment.runs.iter().filter(|run| run.status == Status::Done).count(), 4);
    let html = page(&experiment, &left_out).unwrap();
    assert_eq!(data_of(&html)["left_out"].as_array().unwrap().len(), told.len());
    assert!(markdown(&experiment).contains("2 of 3"), "{}", markdown(&experiment));
    assert!(!figures(&experiment).is_empty());
}

#[test]
fn tables_hold_the_numbers_of_the_summary() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::small("cifar10").write(root.path());
    let (experiment, _) = read(&folder);
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
    let csv = csv(&experiment);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 6);
    let column = lines[0].split(',').position(|name| name == "top1_mean").unwrap();
    let shown: f64 = lines[1].split(',').nth(column).unwrap().parse().unwrap();
    let mean = summary["rows"][0]["top1"]["mean"].as_f64().unwrap();
    assert!((shown - mean).abs() < 1e-12 * mean);
    let table = markdown(&experiment);
    assert!(table.lines().nth(2).unwrap().contains(&format!("{mean:.2} ±")), "{table}");
    assert!(table.contains("82.59") && table.contains("95.23"), "others' figures stand beside ours");
    let metrics = metrics_csv(&experiment);
    assert_eq!(metrics.lines().count(), 1 + 18 * (8 * 390 / 10 + 8));
    assert!(
        metrics.lines().nth(1).unwrap().starts_with("adamw-s1,adamw,,1,true,step,9,"),
        "{:?}",
        metrics.lines().nth(1)
    );
    assert!(metrics.lines().all(|line| line.split(',').count() == 17));
    let differences = markdown_differences(&experiment);
    let of_reset = differences.lines().find(|line| line.contains("Lookahead/SGD (reset) \u{2212} SGD")).unwrap();
    let [mean, theirs] = [2, 0].map(|row: usize| summary["rows"][row]["top1"]["mean"].as_f64().unwrap());
    assert!(of_reset.contains(&format!("\u{2212}{:.2}", theirs - mean)) && of_reset.contains(" to "), "{of_reset}");
    assert_eq!(differences.lines().count(), 2 + 5, "three Lookaheads to what is inside, two others to the first");
    let page = results(&[experiment]);
    assert!(page.contains(&table) && page.contains(&differences) && page.contains("`just cifar10 --epochs 8`"));
    assert!(page.contains("`0123456789ab`") && page.contains("not edited by hand"));
}

#[test]
fn figures_are_well_formed_and_of_every_row() {
    let root = tempfile::tempdir().unwrap();
    let (experiment, _) = read(&Synthetic::small("cifar10").write(root.path()));
    let figures = figures(&experiment);
    let names: Vec<&str> = figures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["train-loss.svg", "valid-loss.svg", "top1.svg", "learning-rate.svg", "momentum.svg"]);
    for (name, svg) in &figures {
        assert_eq!(svg.matches("stroke-linejoin").count(), 12, "{name}: six lines and six marks of the legend");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

#[test]
fn settings_are_told_apart_by_whether_rows_differ_in_them() {
    let root = tempfile::tempdir().unwrap();
    let (experiment, left_out) = read(&Synthetic::small("cifar10").write(root.path()));
    let config = data_of(&page(&experiment, &left_out).unwrap())["config"].take();
    assert_eq!(config["same"]["train.batch_size"], "128");
    let different: Vec<(String, Vec<Option<String>>)> = serde_json::from_value(config["different"].clone()).unwrap();
    let of = |key: &str| {
        let values = &different.iter().find(|(name, _)| name == key).unwrap().1;
        values.iter().map(|value| value.as_deref().unwrap_or("-")).collect::<Vec<_>>()
    };
    assert_eq!(of("optimizer.learning_rate"), ["0.1", "0.1", "0.1", "0.002", "0.002", "0.002"]);
    assert_eq!(of("lookahead.sync_period"), ["-", "5", "5", "-", "5", "-"]);
    assert!(!different.iter().any(|(key, _)| key.contains("seed")), "what names a run is no setting");
}
