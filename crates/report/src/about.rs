//! Facts about the data of a report: name, classes, counts, and applicable published figures.

use lookahead_runs::{DataSet, Run, Split, Status, TaskKind};

use crate::conditions::{Conditions, differing};
use crate::reference::{Reference, references};
use crate::report::Report;
use crate::row::{Row, main_data};
use crate::unpaired::unpaired;
use crate::words::noun;

impl Report {
    /// The task of the runs.
    pub fn task(&self) -> TaskKind {
        self.data.task
    }

    /// The published figures for the data set. Empty for other experiments, for language models, for a folder of photographs
    /// that is neither Imagenette nor ImageNet, and if no row of this report has a published counterpart.
    pub fn references(&self) -> Vec<Reference> {
        if self.task() != TaskKind::Images || self.is_other_folder() {
            return Vec::new();
        }
        let published = references(&self.name);
        let is_beside = |row: &Row| published.iter().any(|theirs| theirs.is_beside(&row.id.name, &row.id.state));
        if self.rows.iter().any(is_beside) { published } else { Vec::new() }
    }

    /// The name of the data for headings: that of the experiment, or of the folder of photographs.
    pub fn title(&self) -> &str {
        match self.data.name.as_str() {
            "" if self.is_other_folder() => "A folder of images",
            folder if self.is_other_folder() => folder,
            _ => &self.name,
        }
    }

    /// A sentence about the data: numbers of classes and of images or tokens, the parts, and the part that figures are
    /// measured on. Empty if no run folder has this information.
    pub fn about_data(&self) -> String {
        let DataSet { task, train, valid, test, classes, .. } = &self.data;
        let counted =
            |count: u64| format!("{} {}", thousands(count), if count == 1 { task.unit() } else { task.units() });
        let mut facts = Vec::new();
        if !classes.is_empty() {
            let noun = if classes.len() == 1 { "class" } else { "classes" };
            facts.push(format!("{} {noun}", thousands(classes.len() as u64)));
        }
        for (verb, part) in [("trained on", train), ("validated on", valid), ("tested once on", test)] {
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

    /// The part of the data that the table's figures are measured on; `None` while no run is finished.
    fn figures_from(&self) -> Option<String> {
        let done =
            |run: &&Run| run.status == Status::Done && run.data_sha256().is_none_or(|data| data == self.data.sha256);
        let summary = self.runs.iter().find(done)?.summary.as_ref()?;
        let (score, units) = (noun(self.task()), self.task().units());
        Some(match (summary.split, self.data.held_out) {
            (Split::Valid, _) => {
                format!("loss and {score} are measured on the held-out {units}; no test {units} were read")
            }
            (Split::Test, true) => {
                format!("loss and {score} are measured on the test {units}, the curves on the held-out ones")
            }
            (Split::Test, false) => {
                format!(
                    "nothing was held out: loss and {score} are measured on the {units} that each epoch was validated on"
                )
            }
        })
    }

    /// The lines above every table: the data and the warnings.
    pub(crate) fn facts(&self) -> impl Iterator<Item = String> + '_ {
        let about = Some(self.about_data()).filter(|about| !about.is_empty());
        about.into_iter().chain(self.warnings.iter().cloned())
    }

    /// True if the program for Imagenette or ImageNet was given another folder, with other class folders.
    fn is_other_folder(&self) -> bool {
        let classes = &self.data.classes;
        let is_its_own = match self.name.as_str() {
            IMAGENETTE => *classes == IMAGENETTE_CLASSES,
            "imagenet" => is_imagenet(classes),
            _ => true,
        };
        !classes.is_empty() && !is_its_own
    }
}

/// Whether the class folders are ImageNet's, by their number and the first and last name.
fn is_imagenet(classes: &[String]) -> bool {
    let ends = classes.first().zip(classes.last()).map(|(first, last)| (first.as_str(), last.as_str()));
    classes.len() == 1000 && ends == Some(("n01440764", "n15075141"))
}

const IMAGENETTE: &str = "imagenette";
/// The class folders of Imagenette, in its first and second split.
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

/// The data and the task of most runs, combined from the run folders.
pub(crate) fn data(runs: &[Run]) -> DataSet {
    let main = main_data(runs);
    let on_it = || runs.iter().filter(|run| run.data_sha256().is_none_or(|data| Some(data) == main));
    let said = on_it().find_map(|run| run.data.clone()).unwrap_or_default();
    let classes = on_it().map(Run::classes).max_by_key(|names| names.len()).unwrap_or_default().to_vec();
    DataSet { sha256: main.unwrap_or_default().to_owned(), classes, ..said }
}

/// Warnings for readers who compare the rows.
pub(crate) fn warnings(all: &[Row], runs: &[Run]) -> Vec<String> {
    let Some(first) = all.first() else { return Vec::new() };
    let (rows, others): (Vec<&Row>, Vec<&Row>) = all.iter().partition(|row| row.data == first.data);
    let mut warnings = Vec::new();
    if !others.is_empty() {
        let labels: Vec<String> = others.iter().map(|row| row.id.label()).collect();
        warnings
            .push(format!("Trained on different data, so not compared with the other rows: {}.", labels.join("; ")));
    }
    let mut alike: Vec<Conditions<'_>> = Vec::new();
    for row in rows {
        let conditions = Conditions::of(row, runs);
        if conditions.are_mixed() {
            warnings.push(format!(
                "{} has runs with different settings, so its mean is mixed and not compared: {}.",
                row.id.label(),
                differing(&[&conditions])
            ));
        } else {
            alike.push(conditions);
        }
    }
    let different = differing(&alike.iter().collect::<Vec<_>>());
    if !different.is_empty() {
        warnings.push(format!("Rows that differ in these settings are not compared: {different}."));
    }
    warnings.extend(unpaired(all, runs));
    warnings
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
            "2 classes, trained on 1,244 images (photos/train), validated on 1 image (photos/valid); nothing was held out: \
             loss and accuracy are measured on the images that each epoch was validated on"
        );
        report.data.name = String::new();
        assert_eq!(report.title(), "A folder of images");
        report.data.held_out = true;
        report.data.valid.name = "photos/train, held out".to_owned();
        report.data.test = DataPart { name: "photos/val".to_owned(), count: 2 };
        let about = report.about_data();
        assert!(
            about.contains("validated on 1 image (photos/train, held out), tested once on 2 images (photos/val)"),
            "{about}"
        );
        assert!(about.ends_with("measured on the test images, the curves on the held-out ones"), "{about}");
        report.runs[0].summary.as_mut().unwrap().split = Split::Valid;
        assert!(report.about_data().ends_with("no test images were read"));
        report.data.classes = IMAGENETTE_CLASSES.map(str::to_owned).to_vec();
        assert!(!report.references().is_empty() && report.title() == IMAGENETTE);
        report.data = DataSet::default();
        assert_eq!((report.title(), report.about_data().as_str()), (IMAGENETTE, ""), "old folders say nothing");
    }

    #[test]
    fn a_thousand_classes_are_imagenet_only_when_they_are() {
        let mut report = report(vec![finished("sgd-s1", 70.0)]);
        report.name = "imagenet".to_owned();
        report.data.name = "photos".to_owned();
        report.data.classes = (0..1000).map(|class| format!("n{class:08}")).collect();
        assert!(report.references().is_empty() && report.title() == "photos");
        report.data.classes[0] = "n01440764".to_owned();
        assert!(report.references().is_empty());
        report.data.classes[999] = "n15075141".to_owned();
        assert!(report.references().len() == 2 && report.title() == "imagenet");
        report.data.classes.remove(7);
        assert!(report.references().is_empty());
    }

    #[test]
    fn other_recipes_have_no_published_figures_beside_them() {
        let recipe = report(vec![finished("plain-s1", 80.0), finished("lookahead-s1", 80.0)]);
        assert!(recipe.name == "cifar10" && recipe.references().is_empty());
        let both = report(vec![finished("plain-s1", 80.0), finished("sgd-s1", 80.0)]);
        assert!(!both.references().is_empty());
    }

    #[test]
    fn a_text_is_counted_in_tokens_and_has_no_published_figures() {
        let mut report = report(vec![language("sgd-s1", 90.0)]);
        report.data.train = DataPart { name: "text/train".to_owned(), count: 2_000_000 };
        report.data.valid = DataPart { name: "text/valid".to_owned(), count: 200_000 };
        report.data.held_out = true;
        assert_eq!(
            report.about_data(),
            "trained on 2,000,000 tokens (text/train), validated on 200,000 tokens (text/valid); loss and perplexity are \
             measured on the test tokens, the curves on the held-out ones"
        );
        assert!(report.name == "cifar10" && report.references().is_empty());
    }
}
