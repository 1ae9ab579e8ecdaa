//! `simcse eval` on small data sets.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use common::{Workspace, encoder};
use serde_json::Value;
use simcse_eval::{EvaluationSet, Reranking, Split, Sts};

/// Scored, without positives, without negatives.
const RERANK: &str = r#"{"query": "how to install wifi", "positive": ["install the wifi ?"], "negative": ["slow boot", "the sound"]}
{"query": "slow boot", "positive": [], "negative": ["the sound"]}
{"query": "slow boot", "positive": ["boot slow ?"], "negative": []}
"#;

const STS: &str = "4.5\tslow boot\tboot slow\n\twifi\tsound\n0.5\tslow boot\tthe wifi\n2\thow to boot\tto boot\n";

/// Three queries of question ids, the last without negatives.
const IDS: &str = "1\t3\t2 3\t9 8\n2\t\t1 3\t9 8\n3\t1\t1\t9\n";

#[track_caller]
fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn askubuntu_prints_the_scores_of_the_library() {
    let workspace = Workspace::new();
    workspace.put("rerank.jsonl", RERANK);
    let stdout = workspace.stdout("eval askubuntu --model model --data rerank.jsonl --json");
    let report = json(&stdout);
    let figures = ["map", "mrr@10", "ndcg@10", "p@1", "p@5"];
    let with_intervals = figures.iter().flat_map(|name| [(*name).to_owned(), format!("{name}_interval")]);
    let expected: Vec<_> = with_intervals.chain(["queries", "left_out", "baselines"].map(str::to_owned)).collect();
    assert_eq!(keys(&report), expected);
    assert_eq!(report["map_interval"], Value::Null, "one query has no interval");
    assert_eq!(keys(&report["baselines"]), ["word_embeddings", "tf_idf", "bm25"]);
    assert_eq!(report["baselines"]["bm25"]["map"], 1.0);
    let difference = &report["baselines"]["bm25"]["difference"];
    assert_eq!(keys(difference), ["map", "map_interval", "map_p"]);
    let alone = json(&workspace.stdout("eval rerank --model model --data rerank.jsonl --json --no-baselines"));
    assert_eq!((&alone["map"], &alone["baselines"]), (&report["map"], &Value::Null));
    let reranking = Reranking::read(workspace.path("rerank.jsonl"), Split::Dev).unwrap();
    let scores = reranking.evaluate(&encoder()).unwrap();
    assert_eq!(report["map"], scores.get("map").unwrap());
    assert_eq!(report["ndcg@10"], scores.get("ndcg@10").unwrap());
    assert_eq!(report["queries"], 1);
    assert_eq!(report["left_out"], serde_json::json!({ "without_positives": 1, "without_negatives": 1 }));

    let readable = workspace.stdout("--threads 2 eval askubuntu --model model --data rerank.jsonl");
    assert!(readable.starts_with("1 query scored; left out: 1 without positives, 1 without negatives\n\n"));
    assert!(readable.contains(&format!("{:.4}  ", scores.get("map").unwrap())), "{readable}");
    assert!(readable.contains("MAP of the model, compared with\n"), "{readable}");
    assert!(readable.contains("no difference that this query can show"), "{readable}");
}

#[test]
fn the_baseline_needs_no_model() {
    let workspace = Workspace::new();
    workspace.put("dev.txt", IDS);
    workspace.put("test.txt", "1\t2\t2 3\t9 8\n");
    let report = json(&workspace.stdout("eval askubuntu --data . --baseline bm25 --json"));
    assert_eq!((&report["map"], &report["mrr"], &report["queries"]), (&0.75.into(), &0.75.into(), &2.into()));
    assert_eq!((&report["comparable"]["map"], &report["comparable"]["queries"]), (&0.5.into(), &1.into()));
    let test = json(&workspace.stdout("eval askubuntu --data . --split test --baseline bm25 --json"));
    assert_eq!((&test["map"], &test["queries"]), (&1.0.into(), &1.into()));

    let readable = workspace.stdout("eval askubuntu --data . --baseline bm25");
    assert!(readable.contains("published  comparable\nMAP          0.7500      0.5000\n"), "{readable}");
    assert!(readable.contains("2 queries, all that have a positive"), "{readable}");

    let error = workspace.error("eval askubuntu --data . --model model", 1);
    assert!(error.contains("text_tokenized.txt"), "{error}");
}

#[test]
fn sts_prints_the_scores_of_the_library() {
    let workspace = Workspace::new();
    workspace.put("sts.tsv", STS);
    let report = json(&workspace.stdout("eval sts --model model --data sts.tsv --json"));
    let expected = ["spearman_cosine", "spearman_cosine_interval", "pearson_cosine", "pearson_cosine_interval"];
    assert_eq!(keys(&report), [&expected[..], &["pairs", "left_out", "baselines"]].concat());
    let [low, high] = [0, 1].map(|end| report["spearman_cosine_interval"][end].as_f64().unwrap());
    assert!(low <= high && (-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high));
    let scores = Sts::read(workspace.path("sts.tsv")).unwrap().evaluate(&encoder()).unwrap();
    assert_eq!(report["spearman_cosine"], scores.get("spearman_cosine").unwrap());
    assert_eq!((&report["pairs"], &report["left_out"]["without_score"]), (&3.into(), &1.into()));
    let readable = workspace.stdout("eval sts --model model --data sts.tsv");
    assert!(readable.starts_with("3 pairs scored; left out: 1 without score\n"), "{readable}");
}

#[test]
fn wrong_usage_and_bad_files_have_different_statuses() {
    let workspace = Workspace::new();
    workspace.put("rerank.jsonl", RERANK);
    workspace.put("bad.jsonl", "{\"query\": \"a\u{1b}[2J\"}\n");
    let error = workspace.error("eval askubuntu --data rerank.jsonl", 2);
    assert!(error.contains("required arguments"), "{error}");
    workspace.error("eval askubuntu --model model --data rerank.jsonl --split train", 2);
    workspace.error("--threads 0 eval sts --model model --data sts.tsv", 2);
    workspace.error("eval sts --threads some --model model --data sts.tsv", 2);

    let error = workspace.error("eval sts --model model --data no.tsv", 1);
    assert!(error.starts_with("error: cannot read no.tsv: No such file"), "{error}");
    let error = workspace.error("eval askubuntu --model model --data bad.jsonl", 1);
    assert!(error.contains("bad.jsonl, line 1: expected a JSON object"), "{error}");
    let error = workspace.error("eval askubuntu --model ./no-model --data rerank.jsonl", 2);
    assert!(error.contains("no model directory `./no-model`"), "{error}");
    let error = workspace.error("eval askubuntu --data rerank.jsonl --baseline bm25", 1);
    assert!(error.contains("no BM25 baseline"), "{error}");
}

#[test]
fn columns_and_splits_of_sts_are_chosen() {
    let workspace = Workspace::new();
    let rows = "dev,slow boot,boot slow,4.5,1\ndev,slow boot,the wifi,0.5,2\ntest,how to boot,to boot,2,3\n";
    workspace.put("pairs.csv", format!("split,left,right,gold,label\n{rows}"));
    workspace.put("none.csv", rows);
    workspace.put("sts.tsv", "4.5\tslow boot\tboot slow\n0.5\tslow boot\tthe wifi\n");
    let expected = json(&workspace.stdout("eval sts --model model --data sts.tsv --json"));
    for (data, columns) in [("pairs.csv", "gold,left,right"), ("none.csv", "4,2,3")] {
        let arguments = format!("eval sts --model model --data {data} --columns {columns}");
        assert_eq!(json(&workspace.stdout(&format!("{arguments} --split dev --json"))), expected);
        let error = workspace.error(&arguments, 1);
        let expected = format!("error: {data}: expected the pairs of one split, found dev, test (--split)");
        assert_eq!(error, expected);
    }
    let error = workspace.error("eval sts --model model --data none.csv --split dev", 1);
    assert!(error.starts_with("error: none.csv: expected one column of scores and two of sentences"), "{error}");
    assert!(error.contains("--columns SCORE,A,B"), "{error}");
    assert!(error.ends_with("numbers from 0 to 5 in columns 4 and 5 and text in columns 2 and 3"), "{error}");
    let error = workspace.error("eval sts --model model --data pairs.csv --columns gold,left", 2);
    assert!(error.contains("expected SCORE,A,B"), "{error}");
}

/// The model of the workspace with other words.
fn put_model(workspace: &Workspace, name: &str, change: impl Fn(&str, &mut f32)) {
    let mut encoder = encoder();
    let parameters: Vec<_> = encoder.params.layout().parameters().to_vec();
    for parameter in &parameters {
        let range = parameter.range();
        encoder.params.values_mut()[range].iter_mut().for_each(|value| change(&parameter.name, value));
    }
    encoder.save(&workspace.path(name)).unwrap();
}

/// No table and no JSON has a NaN, whatever the model.
#[test]
fn collapsed_and_zero_embeddings_are_answers_with_a_warning() {
    let workspace = Workspace::new();
    workspace.put("sts.tsv", STS);
    workspace.put("rerank.jsonl", RERANK);
    // The last LayerNorm makes every hidden state the same; without its bias, zero.
    put_model(&workspace, "collapsed", |name, value| match name {
        "encoder.layer.1.output.LayerNorm.weight" => *value = 0.0,
        "encoder.layer.1.output.LayerNorm.bias" => *value = 0.5,
        _ => {}
    });
    put_model(&workspace, "zero", |name, value| {
        if name.starts_with("encoder.layer.1.output.LayerNorm") {
            *value = 0.0;
        }
    });
    let run = |arguments: &str| {
        let output = workspace.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", common::text(&output.stderr));
        (common::text(&output.stdout), common::text(&output.stderr))
    };
    for (model, warning) in [
        ("collapsed", "similarities are all equal (1.0000): the embeddings have collapsed"),
        ("zero", "texts whose embedding is zero, with similarity 0 to every other: 5"),
    ] {
        let (stdout, stderr) = run(&format!("eval sts --model {model} --data sts.tsv --json"));
        let report = json(&stdout);
        for name in ["spearman_cosine", "spearman_cosine_interval", "pearson_cosine", "pearson_cosine_interval"] {
            assert_eq!(report[name], Value::Null, "{name}");
        }
        assert!(report["baselines"]["tf_idf"]["spearman_cosine"].is_f64());
        assert!(stderr.contains(warning), "{stderr}");
        let (table, _) = run(&format!("eval sts --model {model} --data sts.tsv"));
        assert!(table.contains("Spearman                –") && !table.contains("NaN"), "{table}");
        let (stdout, _) = run(&format!("eval askubuntu --model {model} --data rerank.jsonl --json"));
        assert_eq!(json(&stdout)["map"], 1.0 / 3.0, "all candidates tie");
    }

    put_model(&workspace, "broken", |name, value| {
        if name == "encoder.layer.1.output.LayerNorm.weight" {
            *value = 3e38;
        }
    });
    let error = workspace.error("eval sts --model broken --data sts.tsv", 1);
    assert!(error.contains("the model's embeddings are not finite"), "{error}");

    workspace.put("constant.tsv", "3\tslow boot\tboot\n3\tsound\twifi\n");
    let error = workspace.error("eval sts --model model --data constant.tsv", 1);
    let expected =
        "error: constant.tsv: expected at least two pairs whose scores differ, found 2 pairs with the score 3";
    assert_eq!(error, expected);
}

#[test]
fn the_untuned_model_is_the_one_that_the_run_names() {
    let workspace = Workspace::new();
    workspace.put("sts.tsv", STS);
    let words = ["boot", "wifi", "slow", "the", "sound", "?"];
    let sentences: String = (0..36).map(|i| format!("how to install {} {}\n", words[i / 6], words[i % 6])).collect();
    workspace.put("sentences.txt", sentences);
    workspace.stdout(
        "train sentences.txt --model model --output-dir out --batch-size 4 --max-steps 3 --learning-rate 0.01 \
         --max-seq-length 16",
    );
    let untuned = json(&workspace.stdout("eval sts --model model --data sts.tsv --json --no-baselines"));
    for model in ["out", "out/checkpoint-3"] {
        let report = json(&workspace.stdout(&format!("eval sts --model {model} --data sts.tsv --json")));
        let baseline = &report["baselines"]["untuned"];
        assert_eq!(baseline["spearman_cosine"], untuned["spearman_cosine"]);
        assert_eq!(baseline["pearson_cosine_interval"], untuned["pearson_cosine_interval"]);
    }
    // Another model of that name, or none.
    put_model(&workspace, "model", |_, value| *value *= 2.0);
    for expected in ["the untuned model is not scored: ", "the untuned model, model, is not scored: --untuned"] {
        let output = workspace.command("eval sts --model out --data sts.tsv --json").output().unwrap();
        let stderr = common::text(&output.stderr);
        assert!(stderr.contains(expected), "{stderr}");
        let report = json(&common::text(&output.stdout));
        assert_eq!(keys(&report["baselines"]), ["word_embeddings", "tf_idf", "bm25"]);
        std::fs::remove_dir_all(workspace.path("model")).ok();
    }
    let report = json(&workspace.stdout("eval sts --model out --untuned out --data sts.tsv --json"));
    assert_eq!(report["baselines"]["untuned"]["spearman_cosine"], report["spearman_cosine"]);
    assert_eq!(report["baselines"]["untuned"]["difference"]["spearman_cosine_p"], 1.0);
}

#[test]
fn two_models_are_compared_on_any_set() {
    let workspace = Workspace::new();
    put_model(&workspace, "other", |name, value| {
        if name == "embeddings.word_embeddings.weight" {
            *value = (*value * 37.0).sin();
        }
    });
    workspace.put("sts.tsv", STS);
    let report = json(&workspace.stdout("eval compare --model model --against other --data sts.tsv --json"));
    let alone = |model: &str| {
        json(&workspace.stdout(&format!("eval sts --model {model} --data sts.tsv --json --no-baselines")))
    };
    let [model, other] = ["model", "other"].map(|model| alone(model)["spearman_cosine"].as_f64().unwrap());
    assert_eq!(report["spearman_cosine"], model);
    assert_eq!(report["against"]["spearman_cosine"], other);
    assert!((report["difference"]["spearman_cosine"].as_f64().unwrap() - (model - other)).abs() < 1e-12);
    let p = report["difference"]["spearman_cosine_p"].as_f64().unwrap();
    assert!(p > 0.0 && p <= 1.0);
    let count = |key: &str| report[key].as_u64().unwrap();
    assert!(count("better") + count("worse") <= count("pairs"));
    let same = json(&workspace.stdout("eval compare --model model --against model --data sts.tsv --json"));
    assert_eq!((&same["difference"]["spearman_cosine"], &same["better"]), (&0.0.into(), &0.into()));
    assert_eq!(same["difference"]["spearman_cosine_interval"], serde_json::json!([0.0, 0.0]));

    let line = |query: &str, positive: &str, negative: &str| {
        serde_json::json!({ "query": query, "positive": [positive], "negative": [negative] }).to_string() + "\n"
    };
    let lines = [
        line("slow boot", "boot slow", "the wifi"),
        line("install wifi", "how to install", "slow sound"),
        line("the sound", "sound", "boot"),
        line("how to boot", "to boot", "the wifi sound"),
    ];
    workspace.put("dev.jsonl", lines.concat());
    workspace.put("faq.csv", "query,answer\nslow boot,boot\nthe wifi,install wifi\nsound,the sound\n");
    workspace.put("topics.tsv", "text\tlabel\nslow boot\ta\nboot\ta\nwifi\tb\nthe wifi\tb\n");
    for (data, unit) in [("dev.jsonl", "4 queries"), ("faq.csv", "3 pairs"), ("topics.tsv", "4 texts")] {
        let text = workspace.stdout(&format!("eval compare --model model --against other --data {data} --show 1"));
        assert!(text.starts_with(&format!("{unit} scored\n\n")), "{text}");
        assert!(text.contains("difference [95% interval]\n") && !text.contains("NaN"), "{text}");
    }
    workspace.put("x.csv", "one,two\na,b\n");
    let error = workspace.error("eval compare --model model --against other --data x.csv", 1);
    assert!(error.starts_with("error: x.csv: expected an evaluation set of one kind, found what cannot be"), "{error}");
    let error = workspace.error("eval compare --model model --against other --data x.csv --kind sts", 1);
    assert!(error.contains("--columns"), "{error}");
}
