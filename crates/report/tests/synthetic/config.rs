//! Configurations and noise of made-up runs.

use lookahead_runs::TaskKind;

use super::Synthetic;

impl Synthetic {
    pub(super) fn config(&self, name: &str, state: &str, seed: u64) -> String {
        // A study names rows by their settings, too: `sgd@learning_rate=0.1`.
        let base = name.split('@').next().unwrap_or(name);
        let (title, inner, around) = match base {
            "sgd" => ("SGD", "sgd", ""),
            "adamw" => ("AdamW", "adamw", ""),
            "rmsprop" => ("RMSProp", "rmsprop", ""),
            "lookahead-sgd" => ("Lookahead/SGD", "sgd", "lookahead"),
            "lookahead-adamw" | "lookahead-adamw-reset" => ("Lookahead/AdamW", "adamw", "lookahead"),
            "lookahead-rmsprop" => ("Lookahead/RMSProp", "rmsprop", "lookahead"),
            "polyak" => ("Polyak", "sgd", "average"),
            other => panic!("{other} is no row of ours"),
        };
        let title = name.replacen(base, title, 1).replace('@', ", ").replace('=', " ");
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
        let (model, data) = match self.task {
            TaskKind::Images => (
                "name = \"resnet20\"\nstem = \"cifar\"\nhead = \"linear\"",
                "augmentation = \"pad-crop-flip\"\nmixing = \"none\"",
            ),
            TaskKind::Language => ("name = \"gpt\"\nlayers = 4", "context = 128"),
        };
        format!(
            "experiment = \"{}\"\nprotocol = \"quick\"\ndevice = \"cpu\"\n{head}seeds = [{seed}]\n\
             [model]\n{model}\n[train]\nepochs = {}\nbatch_size = 128\n\
             label_smoothing = 0.1\n[schedule]\nkind = \"one-cycle\"\nwarmup = 0.3\n[data]\n{data}\n{tail}",
            self.experiment, self.epochs
        )
    }
}

/// Numbers in [-0.5, 0.5) from a state: SplitMix64.
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}
