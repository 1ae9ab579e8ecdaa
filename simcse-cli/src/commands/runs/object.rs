//! Runs as JSON objects.

use serde_json::{Map, Value, json};

use crate::runs::columns::differing;
use crate::runs::figures::{Score, Scored};
use crate::runs::run::Run;

/// All runs as one object.
pub(super) fn listed(runs: &[Run], notes: &[String]) -> Value {
    let names: Vec<_> = differing(runs).into_iter().map(|(name, _)| name).collect();
    json!({"runs": runs.iter().map(described).collect::<Vec<_>>(), "differing_settings": names, "notes": notes})
}

/// A run as an object.
pub(super) fn described(run: &Run) -> Value {
    let settings: Map<_, _> = run.record.settings().into_iter().map(|(name, text)| (name, text.into())).collect();
    let score =
        |score: Option<Score>| score.map(|of| json!({"step": of.step, "value": of.value, "interval": of.interval}));
    let figure = |figure: &Scored| {
        let scores = json!({
            "before": score(figure.before()),
            "best": score(figure.best()),
            "last": score(figure.last()),
            "final": score(run.final_score(figure)),
        });
        (figure.name.clone(), scores)
    };
    let development: Map<_, _> = run.log.development().iter().map(figure).collect();
    let test = run.log.test().into_iter().map(|figure| (figure.name.clone(), json!(score(figure.last()))));
    let warnings = run.log.warnings.iter();
    let warnings = warnings.map(|given| json!({"step": given.step, "warning": given.warning, "text": given.text}));
    json!({
        "name": run.name,
        "path": run.path.display().to_string(),
        "steps": run.steps(),
        "total_steps": run.total_steps(),
        "finished": run.is_finished(),
        "loss": run.loss(),
        "seconds": run.seconds(),
        "main_figure": run.main_figure().map(|figure| figure.name),
        "settings": settings,
        "development": development,
        "test": test.collect::<Map<_, _>>(),
        "warnings": warnings.collect::<Vec<_>>(),
    })
}
