use super::*;
use crate::config::Inner;

fn study(text: &str) -> Result<Study, StudyError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    Study::read(&path, "cpu")
}

fn refused(text: &str) -> String {
    study(text).unwrap_err().to_string()
}

const HEAD: &str = "experiment = \"demo\"\nseeds = [1, 2]\n";
const TWO: &str = "[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.1, 0.2]\n\
                   [[rows]]\nrow = \"lookahead-sgd\"\naxes.slow_step_size = [0.5, 1.0]\n";

#[test]
fn a_study_worked_by_hand() {
    let study = study(&format!("{HEAD}[fixed]\ntrain.epochs = 3\n{TWO}")).unwrap();
    assert_eq!((study.name.as_str(), study.trials, study.len()), ("mine", 2, 8));
    let names: Vec<String> = study.cells().map(|(setting, seed)| setting.run(seed).name()).collect();
    assert_eq!(
        names[..5],
        [
            "sgd@learning_rate=0.1-s1",
            "lookahead-sgd@slow_step_size=0.5-keep-s1",
            "sgd@learning_rate=0.2-s1",
            "lookahead-sgd@slow_step_size=1-keep-s1",
            "sgd@learning_rate=0.1-s2"
        ]
    );
    let run = study.settings[2].run(2);
    assert_eq!((run.row.inner.learning_rate(), run.seed, run.config.train.epochs), (0.2, 2, 3.0));
    assert_eq!(run.row.title, "SGD, learning_rate 0.2");
    // What tunes has no test images; the same setting as a final run does.
    assert!(study.cells().all(|(setting, seed)| !setting.run(seed).config.images().unwrap().test));
    assert!(study.settings[2].final_run(7).config.images().unwrap().test);
    // A cell's own file says all of it again.
    let text = toml::to_string(&run.to_table()).unwrap();
    let again: Config = toml::from_str(&text).unwrap();
    again.validate().unwrap();
    assert_eq!(again.runs()[0].to_table(), run.to_table());
}

#[test]
fn ranges_are_drawn_and_rows_that_share_one_share_its_values() {
    let study = study(&format!(
        "{HEAD}trials = 6\n[[rows]]\nrow = \"sgd\"\naxes.learning_rate = {{ low = 0.01, high = 1.0 }}\n\
         [[rows]]\nrow = \"lookahead-sgd\"\naxes.learning_rate = {{ low = 0.01, high = 1.0 }}\n\
         axes.sync_period = {{ low = 2, high = 20 }}\naxes.state_policy = [\"keep\", \"reset\"]\n"
    ))
    .unwrap();
    let rates = |row: usize| -> Vec<f64> {
        study.settings.iter().filter(|s| s.row == row).map(|s| s.run(1).row.inner.learning_rate()).collect()
    };
    assert_eq!(rates(0), rates(1));
    assert_eq!(rates(0)[..3], [0.1, 0.0316, 0.316]);
    assert!(study.settings.iter().any(|setting| setting.folder().ends_with("-reset")));
    assert!(study.settings.iter().all(|setting| !setting.folder().contains("state_policy")));
}

#[test]
fn a_grid_larger_than_its_trials_is_drawn_from_without_repetition() {
    let study = study(&format!(
        "{HEAD}trials = 5\n[[rows]]\nrow = \"lookahead-sgd\"\naxes.slow_step_size = [0.2, 0.5, 0.8]\naxes.sync_period = [2, 5]\n"
    ));
    assert_eq!(study.unwrap().settings.len(), 5);
}

/// Of ten rates, four are tried: the lowest and the highest of them are the edges, although the list goes on.
#[test]
fn the_edges_are_those_of_what_was_tried() {
    let rates = "0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0";
    let study = study(&format!("{HEAD}trials = 4\n[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [{rates}]\n")).unwrap();
    let mut tried: Vec<(f64, bool)> = study
        .settings
        .iter()
        .map(|setting| (setting.run(1).row.inner.learning_rate(), !study.edges(setting).is_empty()))
        .collect();
    tried.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(tried.iter().map(|(_, is_edge)| *is_edge).collect::<Vec<_>>(), [true, false, false, true], "{tried:?}");
    assert!(tried[0].0 > 0.1 && tried[3].0 < 1.0, "{tried:?}");
}

#[test]
fn what_is_wrong_is_said() {
    let bad = |body: &str| refused(&format!("{HEAD}{body}"));
    assert!(bad("[[rows]]\nrow = \"sgd\"\ncolour = 3\n").contains("unknown field `colour`"));
    assert!(bad("[[rows]]\nrow = \"sdg\"\n").contains("did you mean `sgd`"));
    assert!(bad("[fixed]\ntrain.epoch = 3\n[[rows]]\nrow = \"sgd\"\n").contains("did you mean `train.epochs`"));
    assert!(bad("[[rows]]\nrow = \"sgd\"\naxes.slow_step_size = [1.0]\n").contains("slow_step_size"));
    assert!(bad("[[rows]]\nrow = \"sgd\"\naxes.learning_rate = { low = 0.1, high = 1 }\n").contains("set `trials`"));
    assert!(bad(&TWO.replace("[0.5, 1.0]", "[0.5]")).contains("needs equal numbers"));
    assert!(bad("trials = 9\n[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.1]\n").contains("1 combinations"));
    assert!(bad("final_seeds = [2]\n[[rows]]\nrow = \"sgd\"\n").contains("tuning has not used"));
    assert!(bad("protocol = \"paper\"\n[[rows]]\nrow = \"sgd\"\n").contains("data.held_out"));
    assert!(bad("[fixed]\ndata = { test = true }\n[[rows]]\nrow = \"sgd\"\n").contains("never reads the test images"));
    assert!(bad("[fixed]\n\"data.test\" = true\n[[rows]]\nrow = \"sgd\"\n").contains("never reads the test images"));
    assert!(bad("[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.1, -0.1]\n").contains("above 0"));
    for fixed in [
        "[[rows]]\nrow = \"sgd\"\nfixed.learning_rate = 1.0\n",
        "[fixed]\n\"sgd.learning_rate\" = 1.0\n[[rows]]\nrow = \"sgd\"\n",
    ] {
        let message = bad(&format!("{fixed}axes.learning_rate = [0.1]\n"));
        assert_eq!(message, "`sgd.learning_rate`: is both fixed and an axis; remove one of them");
    }
    assert!(bad("[[rows]]\nrow = \"lookahead-sgd\"\naxes.slow_step_size = [1, 1.0]\n").contains("two cells"));
}

#[test]
fn a_key_that_two_axes_would_set_is_refused() {
    let of = |general: &str, row: &str| refused(&format!("{HEAD}{general}[[rows]]\nrow = \"lookahead-sgd\"\n{row}"));
    let periods = "axes.sync_period = [5, 10]\n";
    for key in ["lookahead", "lookahead-sgd"] {
        let general = format!("[axes]\n\"{key}.sync_period\" = [5, 20]\n");
        let message = of(&general, periods);
        assert!(
            message.starts_with(&format!("`{key}.sync_period`: is in [axes], and the row `lookahead-sgd`")),
            "{message}"
        );
        let message = of(&general, "fixed.sync_period = 7\n");
        assert_eq!(message, format!("`{key}.sync_period`: is both fixed and an axis; remove one of them"));
    }
    // For all rows, and otherwise for one.
    let general = format!("{HEAD}[fixed]\nlookahead.sync_period = 7\n[[rows]]\nrow = \"lookahead-sgd\"\n{periods}");
    assert_eq!(study(&general).unwrap().settings.len(), 2);
}

#[test]
fn a_row_is_named_as_a_folder_can_be_and_no_two_are_named_alike() {
    let of = |name: &str| refused(&format!("{HEAD}[[rows]]\nrow = \"sgd\"\nname = \"{name}\"\n"));
    for name in ["/tmp/x", "../other/sgd", "a/b", "my row", "a, b"] {
        let message = of(name);
        assert!(
            message.starts_with("`rows.name` must be letters") && message.contains(&format!("`{name}`")),
            "{message}"
        );
    }
    assert!(of("").contains("the name is empty"));
    // The last seed is the second.
    let long = "a".repeat(252);
    assert!(study(&format!("{HEAD}[[rows]]\nrow = \"sgd\"\nname = \"{long}\"\n")).is_ok());
    let long = "a".repeat(253);
    assert!(of(&long).starts_with(&format!("the cell {long}-s2 has a name of 256 bytes")), "{}", of(&long));
    let twice =
        "[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.1]\n[[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.2]\n";
    assert_eq!(
        refused(&format!("{HEAD}{twice}")),
        "`rows`: two rows are called `sgd`; give one of them another `name`"
    );
}

/// Axes of all rows have longer keys than those of a row.
#[test]
fn an_axis_is_known_by_the_last_part_of_its_key() {
    let study = study(&format!(
        "{HEAD}[axes]\n\"lookahead.slow_step_size\" = [0.2, 0.5, 1.0]\n\
         \"lookahead.state_policy\" = [\"keep\", \"reset\"]\n\
         [[rows]]\nrow = \"lookahead-sgd\"\n"
    ))
    .unwrap();
    let titles: Vec<String> = study.settings.iter().map(|setting| setting.run(1).row.title).collect();
    assert_eq!(
        titles[..2],
        ["Lookahead/SGD, lookahead.slow_step_size 0.2", "Lookahead/SGD, lookahead.slow_step_size 0.2"]
    );
    assert!(study.settings.iter().all(|setting| setting.title == "Lookahead/SGD"));
    let edges: Vec<usize> = study.settings.iter().map(|setting| study.edges(setting).len()).collect();
    assert_eq!(edges, [1, 1, 0, 0, 0, 0], "no step size is beyond 1");
}

#[test]
fn edges_are_found_and_the_largest_step_size_is_none() {
    let study = study(&format!(
        "{HEAD}[[rows]]\nrow = \"lookahead-sgd\"\naxes.slow_step_size = [0.2, 0.5, 1.0]\naxes.sync_period = [2, 5, 10]\n"
    ))
    .unwrap();
    let edges: Vec<Vec<&str>> = study.settings.iter().map(|setting| study.edges(setting)).collect();
    assert_eq!(edges[0], ["slow_step_size", "sync_period"]);
    assert_eq!(edges[4], Vec::<&str>::new());
    assert_eq!(edges[7], Vec::<&str>::new(), "step size 1, period 5");
}

#[test]
fn rows_of_ones_own_name_stand_side_by_side() {
    let study = study(&format!(
        "{HEAD}[[rows]]\nrow = \"lookahead-sgd\"\n[[rows]]\nrow = \"lookahead-sgd\"\nname = \"slow\"\nfixed.sync_period = 20\n"
    ))
    .unwrap();
    assert_eq!(study.settings.iter().map(Setting::folder).collect::<Vec<_>>(), ["lookahead-sgd-keep", "slow-keep"]);
    assert!(matches!(study.settings[0].run(1).row.inner, Inner::Sgd(_)));
}

/// The studies that ship with the repository are sound.
#[test]
fn shipped_studies_expand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
    assert!(std::fs::read_dir(&folder).unwrap().count() >= 3);
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let study = Study::read(&path, "cpu").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(study.len() > 1 && !study.file.final_seeds.is_empty(), "{}", path.display());
    }
}

/// Run with --nocapture for the time; no time is asserted.
#[test]
fn ten_thousand_cells_expand() {
    let rates: Vec<String> = (0..250).map(|at| format!("{}", 1e-3 * 1.03f64.powi(at))).collect();
    let begun = std::time::Instant::now();
    let study = study(&format!(
        "experiment = \"demo\"\nseeds = [1, 2]\n[[rows]]\nrow = \"lookahead-sgd\"\naxes.learning_rate = [{}]\n\
         axes.sync_period = [1, 2, 5, 10, 20]\naxes.slow_step_size = [0.2, 0.5, 0.8, 1.0]\n",
        rates.join(", ")
    ))
    .unwrap();
    assert_eq!(study.cells().count(), 10_000);
    println!("10,000 cells in {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
}
