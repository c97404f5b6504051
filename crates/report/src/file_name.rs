//! File names for experiments, whose names may be anything.

/// An experiment's name as a file name: characters that could lead to another folder become dashes.
pub(crate) fn file_name(name: &str) -> String {
    let safe = |character: char| if character.is_alphanumeric() || "-_.".contains(character) { character } else { '-' };
    let name: String = name.chars().map(safe).collect();
    if name.trim_matches('.').is_empty() { "report".to_owned() } else { name }
}

/// The file name of an experiment beside those in `used`, with a number if another experiment has it already. Upper and
/// lower case count as equal, as in the file systems of Windows and macOS.
pub(crate) fn unused_file_name(name: &str, used: &[String]) -> String {
    let name = file_name(name);
    let is_used = |name: &str| used.iter().any(|other| other.to_lowercase() == name.to_lowercase());
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_used(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        assert_eq!(file_name("../../etc/passwd"), "..-..-etc-passwd");
        assert_eq!([file_name(".."), file_name(""), file_name("cifar10")], ["report", "report", "cifar10"]);
    }

    /// Two experiments of one name beside one that is named like the second file; names that differ in what a file name
    /// cannot hold, or in case.
    #[test]
    fn no_experiment_overwrites_another() {
        let mut used = Vec::new();
        for name in ["demo", "demo", "demo-2", "a/b", "a-b", "Demo"] {
            used.push(unused_file_name(name, &used));
        }
        assert_eq!(used, ["demo", "demo-2", "demo-2-2", "a-b", "a-b-2", "Demo-3"]);
    }
}
