//! Finds experiments and their run folders below given paths.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lookahead_runs::Run;

use crate::LeftOut;

/// The run folders of one experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The experiment's folder.
    pub folder: PathBuf,
    /// Its run folders, sorted by name.
    pub runs: Vec<PathBuf>,
}

/// Finds run folders, grouped by experiment. Each path may be a run, an experiment (a folder of runs), or a folder of
/// experiments.
///
/// Paths that do not exist or contain no run are added to `left_out`. Folders whose name starts with a dot are ignored.
pub fn find(paths: &[PathBuf], left_out: &mut Vec<LeftOut>) -> Vec<Found> {
    let mut experiments: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        if !path.is_dir() {
            let why = if path.exists() { "is a file, not a folder of runs" } else { "not found" };
            left_out.push(LeftOut::new(path.display(), why));
            continue;
        }
        let runs = if Run::is_at(path) {
            vec![path.clone()]
        } else {
            let children = folders_in(path, left_out);
            let mut runs: Vec<PathBuf> = children.iter().filter(|child| Run::is_at(child)).cloned().collect();
            for child in children.iter().filter(|child| !Run::is_at(child)) {
                let (inner, others): (Vec<_>, Vec<_>) =
                    folders_in(child, left_out).into_iter().partition(|inner| Run::is_at(inner));
                // At most two levels down: below that, several experiments may have the same name.
                for folder in others.iter().filter(|_| inner.is_empty()) {
                    if folders_in(folder, left_out).iter().any(|run| Run::is_at(run)) {
                        left_out.push(LeftOut::new(folder.display(), "is too deep; pass its path to report it"));
                    }
                }
                runs.extend(inner);
            }
            runs
        };
        if runs.is_empty() {
            left_out.push(LeftOut::new(
                path.display(),
                "contains no run: a run folder has a metrics.jsonl or a config.toml",
            ));
        }
        for run in runs {
            let folder = parent_of(&run);
            let known = experiments.entry(folder).or_default();
            if !known.contains(&run) {
                known.push(run);
            }
        }
    }
    experiments
        .into_iter()
        .map(|(folder, mut runs)| {
            runs.sort();
            Found { folder, runs }
        })
        .collect()
}

fn parent_of(run: &Path) -> PathBuf {
    match run.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn folders_in(path: &Path, left_out: &mut Vec<LeftOut>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            left_out.push(LeftOut::new(path.display(), format!("cannot be read: {error}")));
            return Vec::new();
        }
    };
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !hidden(path)).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_an_experiment_and_a_folder_of_experiments_lead_to_the_same_runs() {
        let root = tempfile::tempdir().unwrap();
        for name in ["cifar10/sgd-s1", "cifar10/sgd-s2", "demo/sgd-s1", "cifar10/.trash", "cifar10/figures"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
            if name.contains("-s") {
                fs::write(root.path().join(name).join("metrics.jsonl"), "").unwrap();
            }
        }
        let mut left_out = Vec::new();
        let of_root = find(&[root.path().to_path_buf()], &mut left_out);
        assert_eq!(of_root.iter().map(|found| found.runs.len()).collect::<Vec<_>>(), [2, 1]);
        let cifar10 = root.path().join("cifar10");
        assert_eq!(find(std::slice::from_ref(&cifar10), &mut left_out), of_root[..1]);
        let twice = [cifar10.join("sgd-s2"), cifar10.clone()];
        assert_eq!(find(&twice, &mut left_out), of_root[..1]);
        assert!(left_out.is_empty());

        find(&[root.path().join("nowhere"), cifar10.join("figures")], &mut left_out);
        assert_eq!(left_out.len(), 2);

        fs::create_dir(root.path().join("old")).unwrap();
        fs::rename(cifar10, root.path().join("old/cifar10")).unwrap();
        let mut left_out = Vec::new();
        assert_eq!(find(&[root.path().to_path_buf()], &mut left_out).len(), 1, "the demo");
        assert!(left_out.len() == 1 && left_out[0].what.ends_with("old/cifar10"), "{left_out:?}");
    }
}
