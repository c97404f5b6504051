//! Finds experiments and their run folders below given paths.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use lookahead_runs::Run;

use crate::LeftOut;

/// The run folders of one experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The experiment's folder, in the spelling of the path that led to it first.
    pub folder: PathBuf,
    /// Its run folders, sorted by name.
    pub runs: Vec<PathBuf>,
}

/// An experiment being found: its folder and its run folders by name.
struct Runs {
    folder: PathBuf,
    by_name: BTreeMap<OsString, PathBuf>,
}

/// Finds run folders, grouped by experiment. Each path may be a run, an experiment (a folder of runs), or a folder of
/// experiments.
///
/// Paths that do not exist or contain no run are added to `left_out`, and so are folders of runs one level further
/// down, such as the final runs of a study. Folders whose name starts with a dot are ignored.
/// Different spellings of a path, such as `demo` and `./demo`, lead to one experiment. A link to a run folder is a run
/// of the folder that it lies in.
pub fn find(paths: &[PathBuf], left_out: &mut Vec<LeftOut>) -> Vec<Found> {
    // By the folder's whole path.
    let mut experiments: BTreeMap<PathBuf, Runs> = BTreeMap::new();
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
                for folder in &others {
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
            let (folder, run, name) = placed(run);
            let known = experiments.entry(whole(&folder));
            let known = known.or_insert_with(|| Runs { folder, by_name: BTreeMap::new() });
            known.by_name.entry(name).or_insert(run);
        }
    }
    let found = |Runs { folder, by_name }| Found { folder, runs: by_name.into_values().collect() };
    experiments.into_values().map(found).collect()
}

/// The folder that a run folder lies in, the run folder, and its name.
fn placed(run: PathBuf) -> (PathBuf, PathBuf, OsString) {
    if let Some(name) = run.file_name().map(OsString::from) {
        let parent = run.parent().filter(|parent| !parent.as_os_str().is_empty());
        return (parent.unwrap_or(Path::new(".")).to_path_buf(), run, name);
    }
    // `.` and `..` have no name: that of the folder is in its whole path.
    let folder = if run == Path::new(".") { PathBuf::from("..") } else { run.join("..") };
    let run = whole(&run);
    let name = run.file_name().unwrap_or(run.as_os_str()).to_os_string();
    (folder, run, name)
}

/// The whole path of a folder, without links; the path itself if the system cannot say it.
fn whole(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf())
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

    /// A study's final runs lie below its cells: whatever path leads to it, either they are found or their folder, or
    /// one around it, is named.
    #[test]
    fn the_final_runs_of_a_study_are_found_or_named() {
        let root = tempfile::tempdir().unwrap();
        for name in ["demo/sgd-s1", "studies/mine/sgd@learning_rate=0.1-s1", "studies/mine/final/sgd-s7"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("metrics.jsonl"), "").unwrap();
        }
        for (path, found, named) in [
            ("", &["demo"][..], &["studies/mine"][..]),
            ("studies", &["studies/mine"], &["studies/mine/final"]),
            ("studies/mine", &["studies/mine", "studies/mine/final"], &[]),
        ] {
            let mut left_out = Vec::new();
            let folders: Vec<PathBuf> =
                find(&[root.path().join(path)], &mut left_out).into_iter().map(|found| found.folder).collect();
            assert_eq!(folders, found.iter().map(|name| root.path().join(name)).collect::<Vec<_>>());
            let named: Vec<String> = named.iter().map(|name| root.path().join(name).display().to_string()).collect();
            assert_eq!(left_out.iter().map(|left| left.what.clone()).collect::<Vec<_>>(), named, "{left_out:?}");
            assert!(left_out.iter().all(|left| left.to_string().ends_with("is too deep; pass its path to report it")));
        }
    }

    /// An experiment with two runs, and its folder.
    fn experiment(root: &Path) -> PathBuf {
        let folder = root.join("demo");
        for name in ["sgd-s1", "sgd-s2"] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("metrics.jsonl"), "").unwrap();
        }
        folder
    }

    #[test]
    fn spellings_of_a_path_lead_to_one_experiment() {
        let root = tempfile::tempdir().unwrap();
        let demo = experiment(root.path());
        let spelt = root.path().join("demo/../demo");
        for paths in [[&demo, &spelt], [&spelt, &demo]].map(|paths| paths.map(Clone::clone)) {
            let found = find(&paths, &mut Vec::new());
            assert_eq!((found.len(), &found[0].folder), (1, &paths[0]), "the first spelling stays");
            assert_eq!(found[0].runs, ["sgd-s1", "sgd-s2"].map(|name| paths[0].join(name)));
        }
        // One run by each spelling.
        let found = find(&[spelt.join("sgd-s2"), demo.join("sgd-s1")], &mut Vec::new());
        assert_eq!(found[0].runs, [demo.join("sgd-s1"), spelt.join("sgd-s2")]);
    }

    /// As `.` in a run folder: the run has the folder's name, and its experiment is the folder around it.
    #[test]
    fn a_path_without_a_name_leads_to_its_experiment() {
        let root = tempfile::tempdir().unwrap();
        let demo = experiment(root.path());
        let path = demo.join("sgd-s1/figures/..");
        fs::create_dir(demo.join("sgd-s1/figures")).unwrap();
        let found = find(&[path.clone(), demo.clone()], &mut Vec::new());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].folder, path.join(".."));
        assert_eq!(found[0].runs.iter().map(|run| run.file_name().unwrap()).collect::<Vec<_>>(), ["sgd-s1", "sgd-s2"]);
    }

    /// Runs on another disk: they belong where their links are.
    #[cfg(unix)]
    #[test]
    fn a_linked_run_stays_in_its_experiment() {
        let root = tempfile::tempdir().unwrap();
        let demo = experiment(root.path());
        let disk = root.path().join("disk");
        fs::create_dir(&disk).unwrap();
        fs::rename(demo.join("sgd-s2"), disk.join("moved")).unwrap();
        std::os::unix::fs::symlink(disk.join("moved"), demo.join("sgd-s2")).unwrap();
        let found = find(std::slice::from_ref(&demo), &mut Vec::new());
        assert_eq!((found.len(), &found[0].runs[1]), (1, &demo.join("sgd-s2")));
    }
}
