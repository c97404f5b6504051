//! Several processes at once, each with a share of the cores.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lookahead_runs::Error as RunsError;

use super::SweepFlags;
use super::cells::Cells;
use super::shard::Shard;
use crate::error::{Error, Result};
use crate::train::Interrupt;

/// Asks `interrupt` to stop when standard input ends: the parent closed it or is gone.
pub(super) fn stop_with_parent(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        interrupt.ask();
    });
}

/// Runs the cells in `flags.jobs` processes of this program and waits for them. The runs record `command_line`.
///
/// Each saves and stops when its standard input ends, so none outlives this process, however it ends.
///
/// # Errors
/// A process that cannot be started; [`Error::Stopped`]; [`Error::Part`] if a process crashed or was killed and the
/// others, which take over its cells, did not finish them.
pub(super) fn run(cells: &Cells, flags: &SweepFlags, command_line: &str, interrupt: &Interrupt) -> Result<()> {
    let threads = (rayon::current_num_threads() / flags.jobs).max(1);
    let own = flags.shard.unwrap_or(Shard::WHOLE);
    let program = std::env::current_exe().map_err(RunsError::output("find", "this program".as_ref()))?;
    let mut children: Vec<Child> = Vec::new();
    for number in 1..=flags.jobs {
        let shard = own.part(number, flags.jobs);
        let mut command = Command::new(&program);
        command.arg(&flags.study).args(["--part", command_line, "--shard", &format!("{}/{}", shard.number, shard.of)]);
        command.args(["--threads", &threads.to_string(), "--device", &flags.device]).arg("--out").arg(&flags.out);
        for (flag, folder) in
            [("--data", &flags.data), ("--dataset-dir", &flags.dataset_dir), ("--cache", &flags.cache)]
        {
            if let Some(folder) = folder {
                command.arg(flag).arg(folder);
            }
        }
        command.args(flags.last.then_some("--final"));
        command.args(flags.quiet.then_some("--quiet")).args(flags.no_wait.then_some("--no-wait"));
        command.stdin(Stdio::piped());
        children.push(command.spawn().map_err(RunsError::output("start", &program))?);
    }
    let mut hung_up = false;
    loop {
        let running = children.iter_mut().filter_map(|child| child.try_wait().transpose()).count();
        if running == children.len() {
            break;
        }
        if interrupt.is_asked() && !hung_up {
            children.iter_mut().for_each(|child| drop(child.stdin.take()));
            hung_up = true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let statuses: Vec<ExitStatus> = children.iter_mut().filter_map(|child| child.wait().ok()).collect();
    if interrupt.is_asked() || statuses.iter().any(|status| status.code() == Some(130)) {
        return Err(Error::Stopped { what: "sweep".to_owned(), remedy: "run the same command to resume" });
    }
    match statuses.iter().find(|status| !status.success()) {
        Some(status) if cells.ended() < cells.runs.len() => Err(ended_early(*status)),
        _ => Ok(()),
    }
}

/// The error of a process that did not end with status 0.
fn ended_early(status: ExitStatus) -> Error {
    match status.code() {
        // The process has already printed its error.
        Some(code) => Error::Part {
            how: format!("ended with status {code} (its error is above)"),
            status: code.clamp(1, 255) as u8,
        },
        None => killed(status),
    }
}

#[cfg(unix)]
fn killed(status: ExitStatus) -> Error {
    use std::os::unix::process::ExitStatusExt as _;
    let signal = status.signal().unwrap_or_default();
    Error::Part { how: format!("was killed by signal {signal}"), status: (128 + signal).clamp(1, 255) as u8 }
}

#[cfg(not(unix))]
fn killed(_status: ExitStatus) -> Error {
    Error::Part { how: "was killed".to_owned(), status: 1 }
}
