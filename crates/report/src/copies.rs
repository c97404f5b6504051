//! Copies of a run: folders with the same row, data and seed, of which one counts.

use std::collections::HashMap;

use lookahead_runs::{Run, Status};

use crate::LeftOut;
use crate::row::main_data;

/// Leaves out all but one of the runs with the same row, data and seed, because a copied folder is not a second seed.
/// The one that stays has the name that an experiment gives to this row and seed; without such a folder, it is the
/// first finished one by name.
pub(crate) fn leave_out_copies(runs: &mut Vec<Run>, left_out: &mut Vec<LeftOut>) {
    let main = main_data(runs);
    let key = |run: &Run| {
        let data = run.data_sha256().or(main).map(str::to_owned);
        (run.row.name.clone(), run.row.state.clone(), data, run.seed)
    };
    // The lowest stays.
    let rank = |run: &Run| (run.name != run.row.run(run.seed), run.status != Status::Done, run.name.clone());
    let mut used: HashMap<_, &Run> = HashMap::new();
    for run in runs.iter().filter(|run| has_seed(run)) {
        let best = used.entry(key(run)).or_insert(run);
        if rank(run) < rank(best) {
            *best = run;
        }
    }
    let copies = runs.iter().filter(|run| has_seed(run)).filter_map(|run| {
        let name = &used.get(&key(run))?.name;
        (run.name != *name).then(|| LeftOut::new(&run.name, format!("has the row and seed of {name}, which is used")))
    });
    let copies: Vec<LeftOut> = copies.collect();
    runs.retain(|run| copies.iter().all(|copy| copy.what != run.name));
    left_out.extend(copies);
}

/// False for a run whose seed is in no file and not in its name: two such runs are not known to be the same.
fn has_seed(run: &Run) -> bool {
    run.summary.is_some() || run.name.ends_with(&format!("-s{}", run.seed))
}

#[cfg(test)]
mod tests {
    use lookahead_runs::DataSet;

    use super::*;
    use crate::testing::{finished, unfinished};

    fn kept(mut runs: Vec<Run>) -> (Vec<String>, Vec<String>) {
        let mut left_out = Vec::new();
        leave_out_copies(&mut runs, &mut left_out);
        (runs.into_iter().map(|run| run.name).collect(), left_out.iter().map(ToString::to_string).collect())
    }

    /// A run with the row and seed of `name` in another folder, as its configuration and its summary say.
    fn copy(name: &str, folder: &str) -> Run {
        Run { name: folder.to_owned(), ..finished(name, 80.0) }
    }

    #[test]
    fn the_folder_with_the_expected_name_is_used() {
        let (kept_names, left_out) =
            kept(vec![copy("sgd-s1", "a copy"), finished("sgd-s1", 80.0), finished("sgd-s2", 81.0)]);
        assert_eq!(kept_names, ["sgd-s1", "sgd-s2"]);
        assert_eq!(left_out, ["a copy: has the row and seed of sgd-s1, which is used"]);
        // It was started again, so it is what counts, although it is not finished.
        let (kept_names, _) = kept(vec![unfinished("sgd-s1"), copy("sgd-s1", "sgd-s1-before")]);
        assert_eq!(kept_names, ["sgd-s1"]);
    }

    #[test]
    fn without_an_expected_name_the_first_finished_one_is_used() {
        let mut begun = copy("sgd-s1", "a-s1");
        (begun.summary, begun.status) = (None, Status::Unfinished);
        let (kept_names, left_out) = kept(vec![begun, copy("sgd-s1", "c"), copy("sgd-s1", "b")]);
        assert_eq!(kept_names, ["b"]);
        assert_eq!(left_out.len(), 2, "{left_out:?}");
    }

    #[test]
    fn another_state_other_data_and_an_unknown_seed_are_no_copies() {
        let mut elsewhere = copy("sgd-s1", "elsewhere");
        elsewhere.data = Some(DataSet { sha256: "bb".to_owned(), ..DataSet::default() });
        let mut here = finished("sgd-s1", 80.0);
        here.data = Some(DataSet { sha256: "aa".to_owned(), ..DataSet::default() });
        let states = ["lookahead-sgd-keep-s1", "lookahead-sgd-reset-s1"].map(|name| finished(name, 80.0));
        let mut unknown = ["x", "y"].map(unfinished);
        unknown.iter_mut().for_each(|run| run.row = here.row.clone());
        let runs = [vec![here, elsewhere], states.to_vec(), unknown.to_vec()].concat();
        assert_eq!(kept(runs.clone()).0.len(), runs.len());
        // A run that does not say its data has those of most.
        let (kept_names, _) = kept(vec![runs[0].clone(), copy("sgd-s1", "silent")]);
        assert_eq!(kept_names, ["sgd-s1"]);
    }
}
