//! Run folders as an experiment would leave them, made up: the same bytes every time, no training and no clock.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use lookahead_runs::{Confusion, RunDetails};
use serde_json::{Value, json};

/// What to make up.
pub(crate) struct Synthetic {
    pub(crate) experiment: &'static str,
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
        let part = |part: &str, images: u64| json!({ "name": format!("{name}/{part}"), "images": images });
        let data = json!({ "name": name, "sha256": "00", "train": part("train", 128 * self.steps_per_epoch),
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
                json!({
                    "optimizer": optimizer, "state": self.state(state),
                    "seeds": (1..=self.seeds).collect::<Vec<_>>(), "epochs": self.epochs,
                    "train_loss": spread("train_loss"), "valid_loss": spread("valid_loss"), "top1": spread("top1"),
                    "top5": spread("top5"), "seconds": spread("seconds"), "images_per_second": spread("images_per_second"),
                })
            })
            .collect();
        json!({ "schema": 1, "experiment": self.experiment, "protocol": "quick", "device": "cpu", "model": "resnet20",
                "rows": rows, "runs": runs })
    }

    fn write_run(&self, folder: &Path, row: usize, optimizer: &str, state: &str, seed: u64) -> Value {
        let name =
            if state.is_empty() { format!("{optimizer}-s{seed}") } else { format!("{optimizer}-{state}-s{seed}") };
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut noise = Noise(1 + seed * 7919 + row as u64 * 104_729);
        let luck = noise.next() * 0.02;
        let rate = 3.0 - 0.3 * row as f64;
        let (total, mut metrics, mut last) = (self.epochs * self.steps_per_epoch, String::new(), [0.0; 4]);
        let seconds_at = |step: u64| step as f64 * (0.15 + 0.004 * row as f64);
        for step in 1..=total {
            let done = step as f64 / total as f64;
            let loss = 0.15 + 0.05 * row as f64 + 2.2 * (-rate * done).exp() + luck;
            if step % self.log_every == 0 {
                let learning_rate = if done < 0.3 { done / 0.3 } else { (1.0 - done) / 0.7 } * 0.1 + 1e-6;
                let spike = if noise.next() > 0.4985 { 1.5 } else { 0.0 };
                let _ = writeln!(
                    metrics,
                    "{{\"kind\":\"step\",\"step\":{},\"epoch\":{},\"learning_rate\":{learning_rate},\"momentum\":{},\"train_loss\":{},\"images_per_second\":820.5,\"seconds\":{}}}",
                    step - 1,
                    (step - 1) / self.steps_per_epoch,
                    0.95 - learning_rate,
                    loss + 0.25 * noise.next() + spike,
                    seconds_at(step),
                );
            }
            if step % self.steps_per_epoch == 0 {
                let gap = 0.12 + 0.3 * (0.5 - 0.1 * row as f64).abs() * done;
                let valid_loss = loss + gap + 0.02 * noise.next();
                let top1 = 100.0 * (1.0 - 0.42 * valid_loss).clamp(0.05, 0.99) + 0.6 * noise.next();
                let top5 = 100.0 - (100.0 - top1) / 12.0;
                last = [loss, valid_loss, top1, top5];
                let line = json!({ "kind": "epoch", "epoch": step / self.steps_per_epoch, "step": step - 1, "train_loss": loss,
                    "valid_loss": valid_loss, "top1": top1, "top5": top5, "ece": 0.03,
                    "learning_rate": 1e-6, "seconds": seconds_at(step) });
                let _ = writeln!(metrics, "{line}");
            }
        }
        fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
        fs::write(folder.join("config.toml"), self.config(optimizer, state, seed)).unwrap();
        let environment = json!({ "version": if self.is_old { "0.1.0" } else { "0.2.0" }, "commit": "0123456789ab", "rustc": "rustc 1.95.0", "candle": "0.11.1", "device": "cpu",
            "threads": 2, "cpu": "Made-up CPU", "os": "linux x86_64", "dirty": false, "command": format!("{} --epochs {}", self.experiment, self.epochs) });
        write_json(&folder.join("env.json"), &environment);
        let [train_loss, valid_loss, top1, top5] = last;
        let seconds = seconds_at(total) * 1.06;
        let mut summary = json!({ "optimizer": optimizer, "state": self.state(state), "seed": seed,
            "train_loss": train_loss, "valid_loss": valid_loss, "top1": top1, "top5": top5, "steps": total, "seconds": seconds,
            "images_per_second": 128.0 * total as f64 / seconds, "peak_rss_mb": 900, "weights_sha256": "00" });
        let short = summary.clone();
        let mut confusion = Confusion::new(self.classes.len());
        for (truth, row) in self.confusion(top1 / 100.0, &mut noise).into_iter().enumerate() {
            row.into_iter().enumerate().for_each(|(predicted, images)| confusion.add(truth, predicted, images));
        }
        let of_classes = serde_json::to_value(RunDetails::default().with_confusion(&confusion)).unwrap();
        let details = json!({ "data_sha256": "00", "best_top1": top1 + 0.1, "best_epoch": self.epochs,
            "time": { "data": 0.03 * seconds, "forward": 0.30 * seconds, "backward": 0.55 * seconds,
                "optimizer": (0.02 + 0.004 * row as f64) * seconds, "validation": 0.05 * seconds },
            "classes": self.classes, "ece": 0.03 });
        for key in ["confusion", "confusions", "class_images", "per_class"] {
            summary[key] = of_classes[key].clone();
            if summary[key].is_null() {
                summary.as_object_mut().unwrap().remove(key);
            }
        }
        summary.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        write_json(&folder.join("summary.json"), &summary);
        short
    }

    /// Version 0.1 gave every optimizer a state.
    fn state<'a>(&self, state: &'a str) -> &'a str {
        if self.is_old && state.is_empty() { "keep" } else { state }
    }

    fn config(&self, name: &str, state: &str, seed: u64) -> String {
        let (title, inner, around) = match name {
            "sgd" => ("SGD", "sgd", ""),
            "adamw" => ("AdamW", "adamw", ""),
            "rmsprop" => ("RMSProp", "rmsprop", ""),
            "lookahead-sgd" => ("Lookahead/SGD", "sgd", "lookahead"),
            "lookahead-adamw" => ("Lookahead/AdamW", "adamw", "lookahead"),
            "lookahead-rmsprop" => ("Lookahead/RMSProp", "rmsprop", "lookahead"),
            "polyak" => ("Polyak", "sgd", "average"),
            other => panic!("{other} is no row of ours"),
        };
        let settings = format!("learning_rate = {}, weight_decay = 0.0005", if inner == "sgd" { 0.1 } else { 0.002 });
        let lookahead = "sync_period = 5, slow_step_size = 0.5";
        let around = match around {
            "lookahead" => format!("around = {{ lookahead = {{ {lookahead}, state_policy = \"{state}\" }} }}\n"),
            "average" => "around = { average = { decay = 0.999 } }\n".to_owned(),
            _ => String::new(),
        };
        let (head, tail) = if self.is_old {
            let states = if state.is_empty() { String::new() } else { format!("states = [\"{state}\"]\n") };
            let lines = |settings: &str| settings.replace(", ", "\n");
            let lookahead =
                if state.is_empty() { String::new() } else { format!("[lookahead]\n{}\n", lines(lookahead)) };
            (format!("optimizers = [\"{name}\"]\n{states}"), format!("{lookahead}[{name}]\n{}\n", lines(&settings)))
        } else {
            let row = format!("name = \"{name}\"\ntitle = \"{title}\"\ninner = {{ {inner} = {{ {settings} }} }}\n");
            (String::new(), format!("[[rows]]\n{row}{around}"))
        };
        format!(
            "experiment = \"{}\"\nprotocol = \"quick\"\ndevice = \"cpu\"\n{head}seeds = [{seed}]\n\
             [model]\nname = \"resnet20\"\nstem = \"cifar\"\nhead = \"linear\"\n[train]\nepochs = {}\nbatch_size = 128\n\
             label_smoothing = 0.1\n[schedule]\nkind = \"one-cycle\"\nwarmup = 0.3\n[data]\naugmentation = \"pad-crop-flip\"\n\
             mixing = \"none\"\n{tail}",
            self.experiment, self.epochs
        )
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

pub(crate) fn write_json(path: &Path, value: &Value) {
    fs::write(path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

/// Numbers in [-0.5, 0.5) from a state: SplitMix64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}
