//! Several processes at once, each with a share of the cores.

use std::process::{Child, Command, Stdio};
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

/// Runs the cells in `flags.jobs` processes of this program and waits for them.
///
/// Each saves and stops when its standard input ends, so none outlives this process, however it ends.
///
/// # Errors
/// A process that cannot be started; [`Error::Stopped`]. The other processes take over the cells of one that
/// crashed.
pub(super) fn run(cells: &Cells, flags: &SweepFlags, interrupt: &Interrupt) -> Result<()> {
    let threads = (rayon::current_num_threads() / flags.jobs).max(1);
    let own = flags.shard.unwrap_or(Shard::WHOLE);
    let program = std::env::current_exe().map_err(RunsError::output("find", "this program".as_ref()))?;
    let mut children: Vec<Child> = Vec::new();
    for number in 1..=flags.jobs {
        let shard = own.part(number, flags.jobs);
        let mut command = Command::new(&program);
        command.arg(&flags.study).args(["--part", "--shard", &format!("{}/{}", shard.number, shard.of)]);
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
    let statuses: Vec<Option<i32>> =
        children.iter_mut().map(|child| child.wait().ok().and_then(|status| status.code())).collect();
    if interrupt.is_asked() || statuses.contains(&Some(130)) {
        return Err(Error::Stopped { what: "sweep".to_owned(), remedy: "run the same command to resume" });
    }
    // The process has already printed its error.
    match statuses.iter().flatten().find(|status| **status != 0) {
        Some(&status) if cells.ended() < cells.runs.len() => Err(Error::Part { status: status.clamp(1, 255) as u8 }),
        _ => Ok(()),
    }
}
