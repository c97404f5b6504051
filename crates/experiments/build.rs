//! Tells the program which commit it is built from and by which compiler, so that `env.json` names no later one.

use std::path::Path;
use std::process::Command;

/// What the program is built from, relative to the workspace.
const SOURCES: [&str; 3] = ["crates", "Cargo.toml", "Cargo.lock"];

fn main() {
    // A commit moves HEAD and is added to its log. Edited sources of any crate are not those of the commit.
    let watched = ["HEAD", "logs/HEAD"].map(|name| git(&["rev-parse", "--git-path", name]));
    let crates = std::fs::read_dir("..").into_iter().flatten().flatten().map(|entry| entry.path().join("src"));
    let sources = crates.map(|path| path.display().to_string()).chain(["../../Cargo.lock".to_owned()]);
    // Cargo runs this script again whenever a watched path does not exist.
    for path in watched.into_iter().flatten().chain(sources).filter(|path| Path::new(path).exists()) {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let changes =
        git(&[&["-C", "../..", "status", "--porcelain", "--untracked-files=no", "--"], &SOURCES[..]].concat());
    let rustc = std::env::var_os("RUSTC").and_then(|rustc| output(Command::new(rustc).arg("--version")));
    println!("cargo:rustc-env=LOOKAHEAD_RUSTC={}", rustc.unwrap_or_default());
    println!("cargo:rustc-env=LOOKAHEAD_COMMIT={commit}");
    println!("cargo:rustc-env=LOOKAHEAD_DIRTY={}", changes.is_some_and(|changes| !changes.is_empty()));
}

/// What git prints; `None` outside a repository or without git.
fn git(arguments: &[&str]) -> Option<String> {
    // Without optional locks, nothing is in the way of a git that runs at the same time.
    output(Command::new("git").args(arguments).env("GIT_OPTIONAL_LOCKS", "0"))
}

/// What a command prints; `None` if it fails or cannot be run.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
