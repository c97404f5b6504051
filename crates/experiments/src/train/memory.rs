//! Peak memory of this process.

/// Resets the peak, if the system supports it (Linux), so that a program with several runs measures the peak of each.
pub(crate) fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Peak resident memory in MiB since the start or the last [`reset_peak`]; 0 if the system does not report it.
pub(crate) fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    peak_of(&status).unwrap_or(0)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_mebibytes() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t  204800 kB\nVmRSS: 1 kB\n"), Some(200));
        assert_eq!(peak_of("Name: x\n"), None);
    }
}
