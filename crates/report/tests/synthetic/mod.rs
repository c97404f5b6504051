//! Run folders as an experiment would leave them, made up: the same bytes every time, no training and no clock.

mod config;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use lookahead_runs::{Confusion, Measure, RunDetails, Scores, TaskKind};
use serde_json::{Value, json};

use config::Noise;

/// What to make up.
pub(crate) struct Synthetic {
    pub(crate) experiment: &'static str,
    pub(crate) task: TaskKind,
    /// Name of the row and state; no state without Lookahead.
    pub(crate) rows: Vec<(&'static str, &'static str)>,
    pub(crate) seeds: u64,
    pub(crate) epochs: u64,
    pub(crate) steps_per_epoch: u64,
    /// Steps between two lines.
    pub(crate) log_every: u64,
    pub(crate) classes: Vec<String>,
    /// Whether the folders have the form of version 0.1, which named optimizers instead of rows.
    pub(crate) is_old: bool,
}

impl Synthetic {
    pub(crate) fn small(experiment: &'static str) -> Self {
        let classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
        Self {
            experiment,
            task: TaskKind::Images,
            rows: vec![
                ("sgd", ""),
                ("lookahead-sgd", "keep"),
                ("lookahead-sgd", "reset"),
                ("adamw", ""),
                ("lookahead-adamw", "keep"),
                ("rmsprop", ""),
            ],
            seeds: 3,
            epochs: 8,
            steps_per_epoch: 390,
            log_every: 10,
            classes: classes.map(str::to_owned).to_vec(),
            is_old: false,
        }
    }

    /// Two rows of two seeds that write a text; Lookahead's perplexity is lower in both.
    #[allow(dead_code, reason = "each test file is a crate of its own, and some need only images")]
    pub(crate) fn language() -> Self {
        let rows = vec![("sgd", ""), ("lookahead-sgd", "keep")];
        Self { task: TaskKind::Language, rows, seeds: 2, classes: Vec::new(), ..Self::small("text") }
    }

    /// Ten rows of five seeds, twenty thousand steps each, a hundred classes.
    #[allow(dead_code, reason = "each test file is a crate of its own, and some need only the small one")]
    pub(crate) fn fifty_runs(log_every: u64) -> Self {
        let rows = [
            ("sgd", ""),
            ("lookahead-sgd", "keep"),
            ("lookahead-sgd", "reset"),
            ("lookahead-sgd", "interpolate"),
            ("adamw", ""),
            ("lookahead-adamw", "keep"),
            ("lookahead-adamw", "reset"),
            ("rmsprop", ""),
            ("lookahead-rmsprop", "keep"),
            ("polyak", ""),
        ];
        Self {
            rows: rows.to_vec(),
            seeds: 5,
            epochs: 50,
            steps_per_epoch: 400,
            log_every,
            classes: (0..100).map(|class| format!("class {class}")).collect(),
            ..Self::small("cifar100")
        }
    }

    /// Writes the experiment under `root` and gives its folder.
    pub(crate) fn write(&self, root: &Path) -> PathBuf {
        let folder = root.join(self.experiment);
        let mut runs = Vec::new();
        for (row, (optimizer, state)) in self.rows.iter().enumerate() {
            for seed in 1..=self.seeds {
                runs.push(self.write_run(&folder, row, optimizer, state, seed));
            }
        }
        write_json(&folder.join("summary.json"), &self.summary(&runs));
        folder
    }

    /// Writes the experiment with what the run folders say of their data.
    #[allow(dead_code, reason = "each test file is a crate of its own, and most need no such file")]
    pub(crate) fn write_with_data(&self, root: &Path) -> PathBuf {
        let folder = self.write(root);
        // The program for Imagenette is the one for folders of photographs too.
        let name = if self.experiment == "imagenette" { "photos" } else { self.experiment };
        // Version 0.1 counted images and nothing else.
        let of = if self.is_old { "images" } else { "count" };
        let part = |part: &str, count: u64| json!({ "name": format!("{name}/{part}"), of: count });
        let data = json!({ "task": self.task, "name": name, "sha256": "00", "train": part("train", 128 * self.steps_per_epoch),
            "valid": part("valid", 10_000), "classes": self.classes });
        for run in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            write_json(&run.join("data.json"), &data);
        }
        folder
    }

    fn summary(&self, runs: &[Value]) -> Value {
        let rows: Vec<Value> = runs
            .chunks(self.seeds as usize)
            .zip(&self.rows)
            .map(|(runs, (optimizer, state))| {
                let spread = |key: &str| {
                    let values: Vec<f64> = runs.iter().filter_map(|run| run[key].as_f64()).collect();
                    let n = values.len() as f64;
                    let mean = values.iter().sum::<f64>() / n;
                    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                    json!({ "mean": mean, "std": if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 } })
                };
                let mut row = json!({
                    "optimizer": optimizer, "state": self.state(state),
                    "seeds": (1..=self.seeds).collect::<Vec<_>>(), "epochs": self.epochs,
                });
                let measures = self.task.measures().iter().map(|measure| measure.key());
                for key in ["train_loss", "valid_loss", "seconds", self.speed()].into_iter().chain(measures) {
                    row[key] = spread(key);
                }
                row
            })
            .collect();
        json!({ "schema": 1, "experiment": self.experiment, "protocol": "quick", "device": "cpu", "model": "resnet20",
                "task": self.task, "rows": rows, "runs": runs })
    }

    fn write_run(&self, folder: &Path, row: usize, optimizer: &str, state: &str, seed: u64) -> Value {
        let name =
            if state.is_empty() { format!("{optimizer}-s{seed}") } else { format!("{optimizer}-{state}-s{seed}") };
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut noise = Noise(1 + seed * 7919 + row as u64 * 104_729);
        let luck = noise.next() * 0.02;
        let rate = 3.0 - 0.3 * row as f64;
        let (total, mut metrics) = (self.epochs * self.steps_per_epoch, String::new());
        let (mut last, mut scores) = ([0.0; 2], Scores::default());
        // A text cannot be known by heart: its loss, and with it the perplexity, stays far from zero.
        let lowest = if self.task == TaskKind::Language { 4.0 - 0.3 * row as f64 } else { 0.0 };
        let seconds_at = |step: u64| step as f64 * (0.15 + 0.004 * row as f64);
        for step in 1..=total {
            let done = step as f64 / total as f64;
            let loss = lowest + 0.15 + 0.05 * row as f64 + 2.2 * (-rate * done).exp() + luck;
            if step % self.log_every == 0 {
                let learning_rate = if done < 0.3 { done / 0.3 } else { (1.0 - done) / 0.7 } * 0.1 + 1e-6;
                let spike = if noise.next() > 0.4985 { 1.5 } else { 0.0 };
                let _ = writeln!(
                    metrics,
                    "{{\"kind\":\"step\",\"step\":{},\"epoch\":{},\"learning_rate\":{learning_rate},\"momentum\":{},\"train_loss\":{},\"{}\":820.5,\"seconds\":{}}}",
                    step - 1,
                    (step - 1) / self.steps_per_epoch,
                    0.95 - learning_rate,
                    loss + 0.25 * noise.next() + spike,
                    self.speed(),
                    seconds_at(step),
                );
            }
            if step % self.steps_per_epoch == 0 {
                let gap = 0.12 + 0.3 * (0.5 - 0.1 * row as f64).abs() * done;
                let valid_loss = loss + gap + 0.02 * noise.next();
                scores = self.scores(valid_loss, &mut noise);
                last = [loss, valid_loss];
                let mut line = json!({ "kind": "epoch", "epoch": step / self.steps_per_epoch, "step": step - 1,
                    "train_loss": loss, "valid_loss": valid_loss, "learning_rate": 1e-6, "seconds": seconds_at(step) });
                extend(&mut line, &serde_json::to_value(scores).unwrap());
                if self.task == TaskKind::Images {
                    line["ece"] = 0.03.into();
                }
                let _ = writeln!(metrics, "{line}");
            }
        }
        fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
        fs::write(folder.join("config.toml"), self.config(optimizer, state, seed)).unwrap();
        let environment = json!({ "version": if self.is_old { "0.1.0" } else { "0.2.0" }, "commit": "0123456789ab", "rustc": "rustc 1.95.0", "candle": "0.11.1", "device": "cpu",
            "threads": 2, "load": 1.5, "cpu": "Made-up CPU", "os": "linux x86_64", "dirty": false, "command": format!("{} --epochs {}", self.experiment, self.epochs) });
        write_json(&folder.join("env.json"), &environment);
        let [train_loss, valid_loss] = last;
        let seconds = seconds_at(total) * 1.06;
        let mut summary = json!({ "optimizer": optimizer, "state": self.state(state), "seed": seed,
            "train_loss": train_loss, "valid_loss": valid_loss, "steps": total, "seconds": seconds,
            self.speed(): 128.0 * total as f64 / seconds, "peak_rss_mb": 900, "weights_sha256": "00" });
        extend(&mut summary, &serde_json::to_value(scores).unwrap());
        let short = summary.clone();
        let best = scores.get(self.task.score()) + if self.task.score().is_higher_better() { 0.1 } else { -0.1 };
        let details = json!({ "data_sha256": "00", "best_epoch": self.epochs,
            if self.is_old { "best_top1" } else { "best_score" }: best,
            "time": { "data": 0.03 * seconds, "forward": 0.30 * seconds, "backward": 0.55 * seconds,
                "optimizer": (0.02 + 0.004 * row as f64) * seconds, "validation": 0.05 * seconds } });
        extend(&mut summary, &details);
        match self.task {
            TaskKind::Images => extend(&mut summary, &self.of_classes(scores.get(Measure::Top1) / 100.0, &mut noise)),
            TaskKind::Language => summary["sample"] = sample(optimizer, seed).into(),
        }
        write_json(&folder.join("summary.json"), &summary);
        short
    }

    fn speed(&self) -> &'static str {
        if self.is_old { "images_per_second" } else { "per_second" }
    }

    fn scores(&self, valid_loss: f64, noise: &mut Noise) -> Scores {
        match self.task {
            TaskKind::Images => {
                let top1 = 100.0 * (1.0 - 0.42 * valid_loss).clamp(0.05, 0.99) + 0.6 * noise.next();
                Scores::of_images(top1, 100.0 - (100.0 - top1) / 12.0)
            }
            TaskKind::Language => Scores::of_language(valid_loss),
        }
    }

    fn of_classes(&self, accuracy: f64, noise: &mut Noise) -> Value {
        let mut confusion = Confusion::new(self.classes.len());
        for (truth, row) in self.confusion(accuracy, noise).into_iter().enumerate() {
            row.into_iter().enumerate().for_each(|(predicted, images)| confusion.add(truth, predicted, images));
        }
        let counted = serde_json::to_value(RunDetails::default().with_confusion(&confusion)).unwrap();
        let mut found = json!({ "classes": self.classes, "ece": 0.03 });
        for key in ["confusion", "confusions", "class_images", "per_class"] {
            if !counted[key].is_null() {
                found[key] = counted[key].clone();
            }
        }
        found
    }

    /// Version 0.1 gave every optimizer a state.
    fn state<'a>(&self, state: &'a str) -> &'a str {
        if self.is_old && state.is_empty() { "keep" } else { state }
    }

    fn confusion(&self, accuracy: f64, noise: &mut Noise) -> Vec<Vec<u64>> {
        let n = self.classes.len();
        let images = 10_000 / n as u64;
        (0..n)
            .map(|truth| {
                let mut row = vec![0; n];
                row[truth] = ((accuracy + 0.1 * noise.next()).clamp(0.0, 1.0) * images as f64) as u64;
                let mut rest = images - row[truth];
                // Most errors go to a few neighbours.
                for (distance, share) in [(2, 0.45), (1, 0.3), (5, 0.15), (n - 1, 0.1)] {
                    let some = ((share * (images - row[truth]) as f64) as u64).min(rest);
                    row[(truth + distance) % n] += some;
                    rest -= some;
                }
                row[(truth + 3) % n] += rest;
                row
            })
            .collect()
    }
}

/// A text as a small model might write it, with what must not be taken for markup, and a word that is too long for a phone.
fn sample(optimizer: &str, seed: u64) -> String {
    let line =
        "The <b>slow</b> weights went to the river & came back, for the fast ones had lost their way in the reeds.\n";
    format!("{optimizer}, seed {seed}\n\n{}\n{}\n", line.repeat(12), "ha".repeat(80))
}

fn extend(value: &mut Value, more: &Value) {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
}

pub(crate) fn write_json(path: &Path, value: &Value) {
    fs::write(path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}
