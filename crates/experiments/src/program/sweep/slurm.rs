//! A sweep as a SLURM array.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use lookahead_report::console::print;
use lookahead_report::counted;
use lookahead_runs::{Error as RunsError, atomic};

use super::SweepFlags;
use crate::error::{Error, Result};
use crate::study::{SlurmFile, Study};

/// Writes `sweep.sbatch` next to the cells and submits it, followed by a job that prints the ranking.
///
/// # Errors
/// A file that cannot be written; [`Error::Submit`] with `sbatch`'s report.
pub(super) fn submit(study: &Study, folder: &Path, to_do: usize, flags: &SweepFlags) -> Result<()> {
    let slurm = &study.file.slurm;
    let elements = slurm.elements.min(to_do).max(1);
    std::fs::create_dir_all(folder).map_err(RunsError::output("create", folder))?;
    let folder = absolute(folder)?;
    let program = std::env::current_exe().map_err(RunsError::output("find", "this program".as_ref()))?;
    let command = command(&program, flags)?;
    let here = std::env::current_dir().map_err(RunsError::output("find", "the working folder".as_ref()))?;
    let script = folder.join("sweep.sbatch");
    atomic::write(&script, sweep_script(study, &folder, &here, &command, elements).as_bytes())?;
    let report = folder.join("ranking.sbatch");
    atomic::write(&report, report_script(study, &folder, &here, &command).as_bytes())?;
    let array = sbatch(&[&script.display().to_string()])?;
    let after = sbatch(&[&format!("--dependency=afterany:{array}"), &report.display().to_string()])?;
    print(&format!(
        "array {array} of {} for {}, then job {after} for the ranking\n{}\n{}\n",
        counted(elements, "element"),
        counted(to_do, "cell"),
        script.display(),
        report.display()
    ))?;
    Ok(())
}

fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    Ok(std::path::absolute(path).map_err(RunsError::output("find", path))?)
}

/// The program with the flags of this call, quoted for the shell.
fn command(program: &Path, flags: &SweepFlags) -> Result<String> {
    let mut words = vec![program.display().to_string(), absolute(&flags.study)?.display().to_string()];
    words.extend([
        "--device".to_owned(),
        flags.device.clone(),
        "--out".to_owned(),
        absolute(&flags.out)?.display().to_string(),
    ]);
    words.extend(flags.last.then(|| "--final".to_owned()));
    if let Some(markdown) = &flags.markdown {
        words.extend(["--markdown".to_owned(), absolute(markdown)?.display().to_string()]);
    }
    let root = crate::program::data::data_root(flags.data.as_deref());
    words.extend(["--data".to_owned(), absolute(&root)?.display().to_string()]);
    for (flag, folder) in [("--dataset-dir", &flags.dataset_dir), ("--cache", &flags.cache)] {
        if let Some(folder) = folder {
            words.extend([flag.to_owned(), absolute(folder)?.display().to_string()]);
        }
    }
    Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:+@%".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The SLURM options of both scripts.
fn head(slurm: &SlurmFile, name: &str, log: &Path) -> String {
    // `sbatch` reads these lines as a shell would, quotes included.
    let (name, log) = (quoted(name), quoted(&log.display().to_string()));
    let mut text = format!("#SBATCH --job-name={name}\n#SBATCH --output={log}\n");
    let optional =
        [("partition", slurm.partition.clone()), ("account", slurm.account.clone()), ("mem", slurm.mem.clone())];
    for (flag, value) in optional.into_iter().chain([("gpus", slurm.gpus.map(|gpus| gpus.to_string()))]) {
        if let Some(value) = value {
            let _ = writeln!(text, "#SBATCH --{flag}={}", quoted(&value));
        }
    }
    let _ = write!(text, "#SBATCH --time={}\n#SBATCH --cpus-per-task={}\n", quoted(&slurm.time), slurm.cpus);
    text
}

fn sweep_script(study: &Study, folder: &Path, here: &Path, command: &str, elements: usize) -> String {
    let slurm = &study.file.slurm;
    let setup: String = slurm.setup.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "#!/usr/bin/env bash\n\
         # Trains the missing cells of the study `{name}`. You can edit this script and submit it again: `sbatch sweep.sbatch`\n\
         # resumes. Each element takes its share of the cells, then any that are left.\n\
         {head}\
         #SBATCH --array=0-{last}%{parallel}\n\
         #SBATCH --requeue\n\
         #SBATCH --open-mode=append\n\
         #SBATCH --signal=TERM@{notice}\n\
         {setup}\
         cd {here} || exit\n\
         # Said again, because srun does not take the number of cores over from sbatch since SLURM 22.05.\n\
         srun --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" {command} --shard $((SLURM_ARRAY_TASK_ID + 1))/{elements} --threads \"$SLURM_CPUS_PER_TASK\" --no-wait\n\
         status=$?\n\
         # 130: stopped with everything saved, as near the time limit. 137: killed, as if out of memory; retried at most twice.\n\
         if [ \"$status\" = 130 ] || {{ [ \"$status\" = 137 ] && [ \"${{SLURM_RESTART_COUNT:-0}}\" -lt 2 ]; }}; then\n    \
             scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"\n\
         fi\n\
         exit \"$status\"\n",
        name = study.name,
        head = head(slurm, &study.name, &folder.join("slurm-%a.log")),
        last = elements - 1,
        parallel = slurm.parallel,
        notice = slurm.notice,
        here = quoted(&here.display().to_string()),
    )
}

fn report_script(study: &Study, folder: &Path, here: &Path, command: &str) -> String {
    let setup: String = study.file.slurm.setup.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "#!/usr/bin/env bash\n\
         # After the array: trains the cells that are left, if any, and prints the ranking. What failed is not retried here.\n\
         {}{setup}cd {} || exit\n{command} --no-retry --threads \"$SLURM_CPUS_PER_TASK\" > {}\n",
        head(&study.file.slurm, &format!("{}-ranking", study.name), &folder.join("slurm-ranking.log")),
        quoted(&here.display().to_string()),
        quoted(&folder.join("ranking.txt").display().to_string()),
    )
}

/// Submits a job and returns its number.
fn sbatch(arguments: &[&str]) -> Result<String> {
    let output = Command::new("sbatch").arg("--parsable").args(arguments).output();
    let output = output.map_err(|error| Error::Submit { reason: format!("cannot run sbatch: {error}") })?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', " ");
    if !output.status.success() {
        return Err(Error::Submit { reason: format!("sbatch failed: {}", said(&output.stderr)) });
    }
    // `ID` or, on a federation, `ID;CLUSTER`.
    Ok(said(&output.stdout).split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn names_with_spaces_stay_one_word() {
        let slurm = SlurmFile { mem: Some("8G".to_owned()), ..SlurmFile::default() };
        let text = head(&slurm, "my study", Path::new("/data/my runs/slurm-%a.log"));
        assert!(
            text.contains("#SBATCH --job-name='my study'\n#SBATCH --output='/data/my runs/slurm-%a.log'\n"),
            "{text}"
        );
        assert!(text.contains("#SBATCH --mem=8G\n#SBATCH --time=04:00:00\n"), "{text}");
    }

    #[test]
    fn the_job_gets_the_flags_that_change_what_is_written() {
        let given = ["sweep", "/a/study.toml", "--submit", "--final", "--markdown", "/a/my study.md", "--data", "/d"];
        let command = command(Path::new("/bin/sweep"), &SweepFlags::try_parse_from(given).unwrap()).unwrap();
        let end = "/runs/studies --final --markdown '/a/my study.md' --data /d";
        assert!(
            command.starts_with("/bin/sweep /a/study.toml --device auto --out ") && command.ends_with(end),
            "{command}"
        );
    }
}
