//! Two runs side by side.

use serde_json::{Map, Value, json};
use simcse_model::io::{excerpt, figure, printable};

use crate::commands::runs::object::described;
use crate::report::duration;
use crate::runs::columns::{differing, interval};
use crate::runs::figures::{Score, Scored, has_labels, is_lower_better};
use crate::runs::run::Run;

/// The longest value of a setting that is shown, in characters.
const LONGEST: usize = 60;

/// What two runs have in common, and what not.
pub(super) struct Compared<'a> {
    runs: &'a [Run; 2],
    /// Those that differ: the name, and two values.
    settings: Vec<(String, Vec<Option<String>>)>,
    figures: Vec<Pair>,
    /// What forbids to compare some of the figures.
    notes: Vec<&'static str>,
}

/// A figure of the models that both runs end with.
struct Pair {
    name: String,
    scores: [Score; 2],
    verdict: Verdict,
}

/// What a pair of scores says of the second run.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Better,
    Worse,
    /// The intervals have values in common.
    Overlap,
    /// There are no intervals.
    Unknown,
    /// The scores are of different sets.
    OtherSet,
}

impl Verdict {
    fn of(name: &str, scores: [Score; 2], same_set: bool) -> Self {
        if !same_set {
            return Self::OtherSet;
        }
        let [Some([low, high]), Some(second)] = scores.map(|score| score.interval) else { return Self::Unknown };
        if low <= second[1] && second[0] <= high {
            return Self::Overlap;
        }
        if (second[0] > high) != is_lower_better(name) { Self::Better } else { Self::Worse }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Better => "the second is better",
            Self::Worse => "the second is worse",
            Self::Overlap => "intervals overlap",
            Self::Unknown => "no intervals",
            Self::OtherSet => "different sets",
        }
    }
}

impl<'a> Compared<'a> {
    pub(super) fn new(runs: &'a [Run; 2]) -> Self {
        let [a, b] = runs;
        let [[sets_a, held_a], [sets_b, held_b]] = [a, b].map(|run| run.record.evaluation());
        let [same_sets, same_held_out] = [sets_a == sets_b, held_a == held_b];
        let mut figures = Vec::new();
        for figure in a.log.development() {
            let same = if has_labels(&figure.name) { same_sets } else { same_held_out };
            let other = b.log.development().into_iter().find(|other| other.name == figure.name);
            let scores = other.and_then(|other| Some([a.final_score(&figure)?, b.final_score(&other)?]));
            figures.extend(scores.map(|scores| pair(figure.name, scores, same)));
        }
        for figure in a.log.test() {
            let other = b.log.test().into_iter().find(|other| other.name == figure.name);
            let scores = [Some(&figure), other.as_ref()].map(|figure| figure.and_then(Scored::last));
            if let [Some(a), Some(b)] = scores {
                figures.push(pair(format!("test_{}", figure.name), [a, b], same_sets));
            }
        }
        let mut notes = Vec::new();
        if !same_sets {
            notes.push("The runs are scored on different sets: the scores do not say which is better.");
        }
        if !same_held_out && figures.iter().any(|pair| !has_labels(&pair.name)) {
            notes.push("The runs hold out different sentences: figures on these cannot be compared.");
        }
        Self { runs, settings: differing(runs), figures, notes }
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![line("", ["first", "second"].map(str::to_owned), "")];
        let [a, b] = self.runs;
        let pairs = [
            ("steps", [a, b].map(|run| run.steps().to_string())),
            ("loss", [a, b].map(|run| run.loss().map_or("–".to_owned(), figure))),
            ("time", [a, b].map(|run| duration(run.seconds()))),
        ];
        lines.extend(pairs.into_iter().map(|(name, cells)| line(name, cells, "")));
        for Pair { name, scores, verdict } in &self.figures {
            let difference = match verdict {
                Verdict::OtherSet => String::new(),
                _ => format!("{:+.4}", scores[1].value - scores[0].value),
            };
            lines.push(line(name, scores.map(|score| format!("{:.4}", score.value)), &difference));
            let intervals = scores.map(|score| interval(score).unwrap_or_default());
            lines.push(line("", intervals, verdict.name()));
        }
        let [first, second] = [a, b].map(|run| printable(run.path.display()));
        let head = format!("first:  {first}\nsecond: {second}");
        let mut parts = vec![head, self.settings_text(), lines.join("\n")];
        parts.extend(self.notes.iter().map(|note| (*note).to_owned()));
        if self.figures.iter().any(|pair| pair.verdict == Verdict::Overlap) {
            parts.push(
                "Where the intervals overlap, the scores do not show that one run is better.\n\
                 `simcse eval compare` scores both models on the same texts, which can show\n\
                 smaller differences."
                    .to_owned(),
            );
        }
        parts.join("\n\n")
    }

    fn settings_text(&self) -> String {
        if self.settings.is_empty() {
            return "All settings are the same.".to_owned();
        }
        let value = |value: &Option<String>| value.as_ref().map_or("–".to_owned(), |value| excerpt(value, LONGEST));
        let width = self.settings.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let line = |(name, values): &(String, Vec<Option<String>>)| {
            let values: Vec<_> = values.iter().map(value).collect();
            format!("{name:width$}  {}", values.join(" → "))
        };
        self.settings.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn json(&self) -> Value {
        let object = |Pair { name, scores, verdict }: &Pair| {
            let [a, b] = scores;
            let difference = (*verdict != Verdict::OtherSet).then_some(b.value - a.value);
            let pair = json!({
                "values": [a.value, b.value],
                "steps": [a.step, b.step],
                "intervals": [a.interval, b.interval],
                "difference": difference,
                "verdict": verdict.name(),
            });
            (name.clone(), pair)
        };
        let settings: Map<_, _> = self.settings.iter().map(|(name, values)| (name.clone(), json!(values))).collect();
        json!({
            "runs": self.runs.iter().map(described).collect::<Vec<_>>(),
            "settings": settings,
            "figures": self.figures.iter().map(object).collect::<Map<_, _>>(),
            "notes": self.notes,
        })
    }
}

fn pair(name: String, scores: [Score; 2], same_set: bool) -> Pair {
    let verdict = Verdict::of(&name, scores, same_set);
    Pair { name, scores, verdict }
}

fn line(name: &str, [a, b]: [String; 2], difference: &str) -> String {
    format!("{name:24}  {a:>15}  {b:>15}  {difference:>20}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_intervals_that_are_apart_show_a_difference() {
        let score = |interval| Score { step: 1, value: 0.5, interval };
        let verdict = |name, a, b| Verdict::of(name, [score(a), score(b)], true).name();
        let [low, high] = [Some([0.1, 0.2]), Some([0.3, 0.4])];
        assert_eq!(verdict("map", low, high), "the second is better");
        assert_eq!(verdict("map", high, low), "the second is worse");
        assert_eq!(verdict("mlm_loss", low, high), "the second is worse");
        assert_eq!(verdict("map", low, Some([0.2, 0.4])), "intervals overlap");
        assert_eq!(verdict("map", Some([0.0, 1.0]), high), "intervals overlap");
        assert_eq!(verdict("map", low, None), "no intervals");
        assert_eq!(Verdict::of("map", [score(low), score(high)], false).name(), "different sets");
    }
}
