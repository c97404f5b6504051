//! The page and tables from made-up run folders: size, escaping, and folders in any state.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod synthetic;

use std::fs;
use std::path::Path;

use lookahead_report::{
    LeftOut, Report, csv, figures, find, markdown, markdown_differences, metrics_csv, page, results, text,
};
use lookahead_runs::{ExperimentSummary, Plan, Status};
use serde_json::Value;
use synthetic::Synthetic;

fn read(folder: &Path) -> (Report, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let found = find(&[folder.to_path_buf()], &mut left_out);
    (Report::read(&found[0]), left_out)
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
    let (report, left_out) = read(&folder);
    let html = page(&report, &left_out).unwrap();
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
    for (position, run) in report.runs.iter().enumerate().step_by(7) {
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
    let (report, left_out) = read(&Synthetic::small("cifar10").write(root.path()));
    let html = page(&report, &left_out).unwrap();
    // A clip path names an element of the page itself.
    let html_without_own = html.replace("url(#", "");
    for needle in ["src=\"", "@import", "url(", "<link rel=\"stylesheet"] {
        assert!(!html_without_own.contains(needle), "{needle}");
    }
    assert!(html.contains("default-src 'none'"));
    assert_eq!(page(&report, &left_out).unwrap(), html, "the same folders give the same bytes");
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
    let path = folder.join("sgd-s1/env.json");
    let mut environment: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    environment["command"] = name.into();
    synthetic::write_json(&path, &environment);
    let path = folder.join("sgd-s1/config.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("\"SGD\"", &format!("\"{name}\"")).replace("\"demo\"", &format!("\"{name}\"")))
        .unwrap();
    let (report, left_out) = read(&folder);
    let html = page(&report, &left_out).unwrap();
    assert_eq!(html.matches("<script").count(), 2, "the data and the program, no third");
    assert_eq!(html.matches("</script").count(), 2);
    assert_eq!(data_of(&html)["rows"][0]["title"], name);
    assert_eq!(data_of(&html)["experiment"], name);
    assert!(figures(&report).iter().all(|(_, svg)| !svg.contains("<script")));
    assert!(!markdown(&report).contains("| <"));
    assert!(results(&[report]).contains("## \\</script>"));
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

    let (report, left_out) = read(&folder);
    let told: Vec<String> = report.left_out.iter().map(ToString::to_string).collect();
    for part in [
        "sgd-s3: the last line of metrics.jsonl is cut short",
        "sgd-s3: not finished (4 of 8 epochs",
        "lookahead-sgd-keep-s2: summary.json is damaged",
        "lookahead-sgd-keep-s2: 2 lines of metrics.jsonl are damaged",
        "adamw-s1: not finished (0 epochs, 0 steps)",
        "summary.json: the experiment's own file is damaged",
    ] {
        assert!(told.iter().any(|line| line.starts_with(part)), "{part} is not in {told:#?}");
    }
    assert_eq!(report.runs.iter().filter(|run| run.status == Status::Done).count(), 4);
    let html = page(&report, &left_out).unwrap();
    assert_eq!(data_of(&html)["left_out"].as_array().unwrap().len(), told.len());
    assert!(markdown(&report).contains("2 of 3"), "{}", markdown(&report));
    assert!(!figures(&report).is_empty());
}

#[test]
fn tables_hold_the_numbers_of_the_summary() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::small("cifar10").write(root.path());
    let (report, _) = read(&folder);
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
    let csv = csv(&report);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 6);
    let column = lines[0].split(',').position(|name| name == "top1_mean").unwrap();
    let shown: f64 = lines[1].split(',').nth(column).unwrap().parse().unwrap();
    let mean = summary["rows"][0]["top1"]["mean"].as_f64().unwrap();
    assert!((shown - mean).abs() < 1e-12 * mean);
    assert_eq!(lines[0].split(',').position(|name| name == "title"), Some(6));
    assert_eq!(lines[2].split(',').nth(6), Some("Lookahead/SGD (keep)"));
    let table = markdown(&report);
    assert!(table.lines().nth(3).unwrap().starts_with("| Lookahead/SGD (keep) "), "{table}");
    assert!(table.lines().nth(2).unwrap().contains(&format!("{mean:.2} ±")), "{table}");
    assert!(table.contains("82.59") && table.contains("95.23"), "others' figures stand beside ours");
    let metrics = metrics_csv(&report);
    assert_eq!(metrics.lines().count(), 1 + 18 * (8 * 390 / 10 + 8));
    assert!(
        metrics.lines().nth(1).unwrap().starts_with("adamw-s1,adamw,,1,true,step,9,0,"),
        "{:?}",
        metrics.lines().nth(1)
    );
    assert!(metrics.lines().all(|line| line.split(',').count() == 17));
    let differences = markdown_differences(&report);
    let of_reset = differences.lines().find(|line| line.contains("Lookahead/SGD (reset) \u{2212} SGD")).unwrap();
    let [mean, theirs] = [2, 0].map(|row: usize| summary["rows"][row]["top1"]["mean"].as_f64().unwrap());
    assert!(of_reset.contains(&format!("\u{2212}{:.2}", theirs - mean)) && of_reset.contains(" to "), "{of_reset}");
    assert_eq!(differences.lines().count(), 2 + 5, "three Lookaheads to what is inside, two others to the first");
    let page = results(&[report]);
    assert!(page.contains(&table) && page.contains(&differences) && page.contains("`just cifar10 --epochs 8`"));
    assert!(page.contains("`0123456789ab`") && page.contains("not edited by hand"));
}

#[test]
fn figures_are_well_formed_and_of_every_row() {
    let root = tempfile::tempdir().unwrap();
    let (report, _) = read(&Synthetic::small("cifar10").write(root.path()));
    let figures = figures(&report);
    let names: Vec<&str> = figures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["train-loss.svg", "valid-loss.svg", "top1.svg", "learning-rate.svg", "momentum.svg"]);
    for (name, svg) in &figures {
        assert_eq!(svg.matches("stroke-linejoin").count(), 12, "{name}: six lines and six marks of the legend");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

/// One seed of a row on other pixels: a row of its own, paired with nothing, and said so wherever tables are.
#[test]
fn runs_on_other_data_are_not_compared() {
    let root = tempfile::tempdir().unwrap();
    let rows = vec![("sgd", ""), ("lookahead-sgd", "keep")];
    let folder = Synthetic { rows, ..Synthetic::small("cifar10") }.write(root.path());
    let path = folder.join("sgd-s3/summary.json");
    let mut summary: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    summary["data_sha256"] = "1234567890".into();
    synthetic::write_json(&path, &summary);
    let (report, left_out) = read(&folder);
    let labels: Vec<String> = report.rows.iter().map(|row| row.id.label()).collect();
    assert_eq!(labels, ["SGD", "Lookahead/SGD (keep)", "SGD, other data 123456"]);
    assert!(report.comparisons.iter().all(|found| (found.row, found.baseline, found.pairs) == (1, 0, 2)));
    let warning = "Trained on different data, so not compared with the other rows: SGD, other data 123456.";
    assert_eq!(data_of(&page(&report, &left_out).unwrap())["warnings"], serde_json::json!([warning]));
    assert!(text(&report, usize::MAX).contains(warning) && results(&[report]).contains(warning));
}

/// Runs that the last command wanted and that have no folder are part of the page.
#[test]
fn runs_not_begun_are_named() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic { rows: vec![("sgd", "")], seeds: 1, ..Synthetic::small("demo") }.write(root.path());
    Plan { runs: vec!["sgd-s1".to_owned(), "sgd-s2".to_owned()] }.write(&folder).unwrap();
    let (report, left_out) = read(&folder);
    let data = data_of(&page(&report, &left_out).unwrap());
    assert_eq!(data["not_begun"], serde_json::json!(["sgd-s2"]));
    assert!(data["written"].as_u64().unwrap() > 1_700_000_000);
    assert!(report.left_out.iter().any(|item| item.to_string() == "sgd-s2: not begun"));
}

#[test]
fn settings_are_told_apart_by_whether_rows_differ_in_them() {
    let root = tempfile::tempdir().unwrap();
    let (report, left_out) = read(&Synthetic::small("cifar10").write(root.path()));
    let config = data_of(&page(&report, &left_out).unwrap())["config"].take();
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

/// A folder that was copied is no second seed, whatever its name says: it is in no mean, and it is named.
#[test]
fn a_copied_run_counts_once() {
    let root = tempfile::tempdir().unwrap();
    let rows = vec![("sgd", ""), ("lookahead-sgd", "keep")];
    let folder = Synthetic { rows, seeds: 2, epochs: 1, ..Synthetic::small("demo") }.write(root.path());
    let (before, _) = read(&folder);
    for copy in ["a-copy", "sgd-s9"] {
        fs::create_dir(folder.join(copy)).unwrap();
        for file in ["config.toml", "metrics.jsonl", "summary.json", "env.json"] {
            fs::copy(folder.join("sgd-s1").join(file), folder.join(copy).join(file)).unwrap();
        }
    }
    let (report, _) = read(&folder);
    let told: Vec<String> = report.left_out.iter().map(ToString::to_string).collect();
    let why = "has the row and seed of sgd-s1, which is used";
    assert_eq!(told, [format!("a-copy: {why}"), format!("sgd-s9: {why}")]);
    assert_eq!((report.rows, report.comparisons), (before.rows, before.comparisons));
}

/// The one table, computed here, holds what the experiment's own would.
#[test]
fn the_summary_is_that_of_the_runs() {
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::small("cifar10").write(root.path());
    let (report, _) = read(&folder);
    let (ours, theirs) = (report.summary(), ExperimentSummary::read(&folder).unwrap().unwrap());
    assert_eq!(ours.runs, theirs.runs);
    assert_eq!(ours.rows.len(), theirs.rows.len());
    for (ours, theirs) in ours.rows.iter().zip(&theirs.rows) {
        assert_eq!(
            (&ours.optimizer, &ours.state, &ours.seeds, ours.epochs),
            (&theirs.optimizer, &theirs.state, &theirs.seeds, theirs.epochs)
        );
        assert_eq!(ours.numbers.len(), theirs.numbers.len());
        for (key, number) in &ours.numbers {
            assert!((number.mean - theirs.numbers[key].mean).abs() < 1e-9, "{key}");
            assert!((number.std.unwrap() - theirs.numbers[key].std.unwrap()).abs() < 1e-9, "{key}");
        }
    }
    ours.write(&folder).unwrap();
    assert_eq!(ExperimentSummary::read(&folder).unwrap().unwrap(), ours);
}

#[test]
fn folders_of_version_0_1_are_read_alike() {
    let root = tempfile::tempdir().unwrap();
    let [now, old] = [false, true].map(|is_old| {
        let folder = root.path().join(if is_old { "old" } else { "new" });
        read(&Synthetic { is_old, ..Synthetic::small("cifar10") }.write(&folder)).0
    });
    assert!(old.runs[0].config.contains_key("optimizers") && now.runs[0].config.contains_key("rows"));
    assert_eq!(old.left_out, []);
    assert_eq!(old.rows, now.rows, "names, labels, inner rows and numbers");
    assert_eq!(old.comparisons, now.comparisons);
    let settings = |report: &Report| report.runs.iter().map(|run| run.settings.clone()).collect::<Vec<_>>();
    assert_eq!(settings(&old), settings(&now));
    assert_eq!(old.summary(), now.summary());
    assert_eq!((markdown(&old), text(&old, 80), csv(&old)), (markdown(&now), text(&now, 80), csv(&now)));
}

/// Files that are what they should be in form and nothing in content; nothing may panic on them.
#[test]
fn garbage_is_reported_as_far_as_it_goes() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("runs");
    let far = "{\"kind\":\"step\",\"step\":18446744073709551615,\"train_loss\":1e308,\"seconds\":-1e308}\n";
    let further = "{\"kind\":\"epoch\",\"epoch\":18446744073709551615,\"step\":18446744073709551615,\"top1\":-1e308}\n";
    let summary = serde_json::json!({ "optimizer": "", "state": "keep", "seed": u64::MAX, "train_loss": -1e308, "valid_loss": 1e308,
        "top1": 1e308, "top5": 0, "steps": 0, "seconds": -1e308, "images_per_second": 0, "peak_rss_mb": u64::MAX, "weights_sha256": "",
        "data_sha256": "", "best_top1": 0, "best_epoch": 0, "classes": ["a", "b"], "confusion": [[u64::MAX, u64::MAX, 1], []],
        "per_class": [], "ece": 0, "time": { "data": 1e308, "forward": 1e308, "backward": 0, "optimizer": 0, "validation": 0 } });
    let runs: [(&str, Vec<(&str, String)>); 5] = [
        ("-s", vec![("config.toml", "rows = [3]\nexperiment = []".to_owned())]),
        (
            "bytes-s1",
            ["config.toml", "metrics.jsonl", "summary.json", "env.json"]
                .map(|file| (file, "\u{0}]{\n}".to_owned()))
                .to_vec(),
        ),
        ("far-s1", vec![("metrics.jsonl", format!("{{\"kind\":\"step\",\"step\":0}}\n{far}{further}"))]),
        ("sum-s1", vec![("metrics.jsonl", String::new()), ("summary.json", summary.to_string())]),
        ("sum-s2", vec![("metrics.jsonl", far.repeat(3)), ("summary.json", summary.to_string())]),
    ];
    for (name, files) in runs {
        fs::create_dir_all(folder.join(name)).unwrap();
        for (file, content) in files {
            fs::write(folder.join(name).join(file), content).unwrap();
        }
    }
    fs::write(folder.join("summary.json"), [0xff, 0xfe, b'{']).unwrap();
    let (report, left_out) = read(&folder);
    assert_eq!((report.runs.len(), report.name.as_str()), (4, "[]"), "two have the same summary");
    for what in ["bytes-s1", "sum-s2"] {
        assert!(report.left_out.iter().any(|item| item.what == what), "{:?}", report.left_out);
    }
    let html = page(&report, &left_out).unwrap();
    assert_eq!(data_of(&html)["runs"].as_array().unwrap().len(), 4);
    assert!(!text(&report, 80).is_empty() && !csv(&report).is_empty() && !metrics_csv(&report).is_empty());
    assert!(!figures(&report).is_empty() && !results(&[report]).is_empty());
}
