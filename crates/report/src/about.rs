//! What a report says of its data: name, classes, counts, and whose published figures they can be set beside.

use lookahead_runs::{DataSet, Run, Split, Status, TaskKind};

use crate::reference::{Reference, references};
use crate::report::Report;
use crate::row::{Row, main_data};
use crate::words::noun;

impl Report {
    /// What its runs learn.
    pub fn task(&self) -> TaskKind {
        self.data.task
    }

    /// The published figures for the data set; none for a name that is not one of a published experiment, nor for a folder of
    /// photographs that is not Imagenette.
    pub fn references(&self) -> Vec<Reference> {
        let has_none = self.task() != TaskKind::Images || self.is_other_folder();
        if has_none { Vec::new() } else { references(&self.name) }
    }

    /// What is trained on, for headings: the experiment's name, or that of the folder of photographs.
    pub fn title(&self) -> &str {
        match self.data.name.as_str() {
            "" if self.is_other_folder() => "A folder of images",
            folder if self.is_other_folder() => folder,
            _ => &self.name,
        }
    }

    /// Classes, images or tokens, and parts, and which of them the figures are from, in words; empty where no run folder says.
    pub fn about_data(&self) -> String {
        let DataSet { task, train, valid, test, held_out, classes, .. } = &self.data;
        let counted =
            |count: u64| format!("{} {}", thousands(count), if count == 1 { task.unit() } else { task.units() });
        let mut facts = Vec::new();
        if !classes.is_empty() {
            let noun = if classes.len() == 1 { "class" } else { "classes" };
            facts.push(format!("{} {noun}", thousands(classes.len() as u64)));
        }
        let chosen_by = if *held_out { "chosen by" } else { "validated on" };
        for (verb, part) in [("trained on", train), (chosen_by, valid), ("tested once on", test)] {
            if !part.is_empty() {
                facts.push(format!("{verb} {} ({})", counted(part.count), part.name));
            }
        }
        let text = facts.join(", ");
        match self.figures_from() {
            Some(from) if !text.is_empty() => format!("{text}; {from}"),
            _ => text,
        }
    }

    /// Which images or tokens the figures of the table are from; `None` while no run has any.
    fn figures_from(&self) -> Option<String> {
        let done =
            |run: &&Run| run.status == Status::Done && run.data_sha256().is_none_or(|data| data == self.data.sha256);
        let summary = self.runs.iter().find(done)?.summary.as_ref()?;
        let (score, units) = (noun(self.task()), self.task().units());
        Some(match (summary.split, self.data.held_out) {
            (Split::Valid, _) => {
                format!("loss and {score} are of the held-out {units}, no test {units} were read")
            }
            (Split::Test, true) => {
                format!("loss and {score} are of the test {units}, the curves of the held-out ones")
            }
            (Split::Test, false) => {
                format!("nothing was held out, so loss and {score} are of the {units} that each epoch was validated on")
            }
        })
    }

    /// What stands above every table: the data, and the warnings.
    pub(crate) fn facts(&self) -> impl Iterator<Item = String> + '_ {
        let about = Some(self.about_data()).filter(|about| !about.is_empty());
        about.into_iter().chain(self.warnings.iter().cloned())
    }

    /// Whether the program for Imagenette was given another folder: the ten class folders are what tells.
    fn is_other_folder(&self) -> bool {
        self.name == IMAGENETTE && !self.data.classes.is_empty() && self.data.classes != IMAGENETTE_CLASSES
    }
}

const IMAGENETTE: &str = "imagenette";
/// The class folders of Imagenette, in its first and its second split.
const IMAGENETTE_CLASSES: [&str; 10] = [
    "n01440764",
    "n02102040",
    "n02979186",
    "n03000684",
    "n03028079",
    "n03394916",
    "n03417042",
    "n03425413",
    "n03445777",
    "n03888257",
];

/// The data and the task of most runs, pieced together from what each says.
pub(crate) fn data(runs: &[Run]) -> DataSet {
    let main = main_data(runs);
    let on_it = || runs.iter().filter(|run| run.data_sha256().is_none_or(|data| Some(data) == main));
    let said = on_it().find_map(|run| run.data.clone()).unwrap_or_default();
    let classes = on_it().map(Run::classes).max_by_key(|names| names.len()).unwrap_or_default().to_vec();
    DataSet { sha256: main.unwrap_or_default().to_owned(), classes, ..said }
}

/// What a reader must know before comparing `rows`.
pub(crate) fn warnings(rows: &[Row]) -> Vec<String> {
    let Some(first) = rows.first() else { return Vec::new() };
    let others: Vec<String> = rows.iter().filter(|row| row.data != first.data).map(|row| row.id.label()).collect();
    if others.is_empty() {
        return Vec::new();
    }
    vec![format!("Trained on other data than the rest, and not compared with it: {}.", others.join("; "))]
}

/// `1,234`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use lookahead_runs::DataPart;

    use super::*;
    use crate::testing::{finished, language, report};

    #[test]
    fn a_folder_of_photographs_is_imagenette_only_when_it_is() {
        let mut report = report(vec![finished("sgd-s1", 80.0)]);
        report.name = IMAGENETTE.to_owned();
        report.data = DataSet {
            name: "photos".to_owned(),
            classes: vec!["ants".to_owned(), "bees".to_owned()],
            train: DataPart { name: "photos/train".to_owned(), count: 1244 },
            valid: DataPart { name: "photos/valid".to_owned(), count: 1 },
            ..DataSet::default()
        };
        assert!(report.references().is_empty() && report.title() == "photos");
        assert_eq!(
            report.about_data(),
            "2 classes, trained on 1,244 images (photos/train), validated on 1 image (photos/valid); nothing was held out, so \
             loss and accuracy are of the images that each epoch was validated on"
        );
        report.data.name = String::new();
        assert_eq!(report.title(), "A folder of images");
        report.data.held_out = true;
        report.data.valid.name = "photos/train, held out".to_owned();
        report.data.test = DataPart { name: "photos/val".to_owned(), count: 2 };
        let about = report.about_data();
        assert!(
            about.contains("chosen by 1 image (photos/train, held out), tested once on 2 images (photos/val)"),
            "{about}"
        );
        assert!(about.ends_with("of the test images, the curves of the held-out ones"), "{about}");
        report.runs[0].summary.as_mut().unwrap().split = Split::Valid;
        assert!(report.about_data().ends_with("no test images were read"));
        report.data.classes = IMAGENETTE_CLASSES.map(str::to_owned).to_vec();
        assert!(!report.references().is_empty() && report.title() == IMAGENETTE);
        report.data = DataSet::default();
        assert_eq!((report.title(), report.about_data().as_str()), (IMAGENETTE, ""), "old folders say nothing");
    }

    #[test]
    fn a_text_is_counted_in_tokens_and_has_no_published_figures() {
        let mut report = report(vec![language("sgd-s1", 90.0)]);
        report.data.train = DataPart { name: "text/train".to_owned(), count: 2_000_000 };
        report.data.valid = DataPart { name: "text/valid".to_owned(), count: 200_000 };
        report.data.held_out = true;
        assert_eq!(
            report.about_data(),
            "trained on 2,000,000 tokens (text/train), chosen by 200,000 tokens (text/valid); loss and perplexity are of the \
             test tokens, the curves of the held-out ones"
        );
        assert!(report.name == "cifar10" && report.references().is_empty());
    }
}
