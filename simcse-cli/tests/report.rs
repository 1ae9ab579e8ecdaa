//! `report.html`: what is on it, and that it stands on its own.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;

use common::Workspace;
use runs::{sentences, train, workspace};

const DEV: &str = "{\"query\": \"slow wifi\", \"positive\": [\"wifi boot\"], \"negative\": [\"how to\"]}\n\
                   {\"query\": \"boot\", \"positive\": [\"the boot\"], \"negative\": [\"sound\"]}\n";

fn page(workspace: &Workspace) -> String {
    fs::read_to_string(workspace.path("out/report.html")).unwrap()
}

#[test]
fn a_run_leaves_a_page_that_shows_it() {
    let workspace = workspace();
    workspace.put("dev.jsonl", DEV);
    train(&workspace, "in.txt --model model --output-dir out --eval-rerank dev.jsonl --eval-steps 2 --logging-steps 2");
    let page = page(&workspace);
    for part in ["Warnings", "Scores", "Training", "Embeddings", "Map of sentences", "Nearest neighbors", "Settings"] {
        assert!(page.contains(&format!(">{part}</h2>")), "{part}");
    }
    for shown in [
        "aria-label=\"Loss\"",
        "aria-label=\"Learning rate\"",
        "aria-label=\"map\"",
        "aria-label=\"Alignment against uniformity\"",
        "Map before training (step 0)",
        "Map after training (step 5)",
        "<strong>few-batches</strong>",
        "<th scope=\"row\">batch_size</th><td>8</td>",
        "<bdi>how how how install</bdi>",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    // 40 dots on each map, each with its sentence.
    assert_eq!(page.matches("<circle data-i=").count(), 80);
    assert_eq!(page.matches("</title></circle>").count(), 80);

    // Written again from the files, it is the same.
    fs::remove_file(workspace.path("out/report.html")).unwrap();
    assert_eq!(workspace.stdout("report out"), "out/report.html\n");
    assert_eq!(fs::read_to_string(workspace.path("out/report.html")).unwrap(), page);
}

#[test]
fn a_page_needs_nothing_but_itself_and_takes_sentences_for_text() {
    let workspace = workspace();
    let hostile = [
        "<script>alert(1)</script> install boot",
        "</title></svg><img src=x onerror=alert(2)> slow",
        "\u{202e}the other way \u{1b}[31mround boot",
        "\"onmouseover='alert(3)' wifi sound",
    ];
    workspace.put("in.txt", sentences(30) + &hostile.join("\n"));
    train(&workspace, "in.txt --model model --output-dir out --max-steps 3");
    let page = page(&workspace);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_eq!((page.matches("<script").count(), page.matches("<img").count()), (1, 0));
    assert!(!page.contains(['\u{202e}', '\u{1b}']));
    for outside in ["src=\"", "href=\"http", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_stopped_run_has_a_page_and_a_directory_without_a_run_is_refused() {
    let workspace = workspace();
    let error = workspace.error("report nowhere", 1);
    assert!(error.starts_with("error: nowhere: No such file or directory"), "{error}");
    fs::create_dir(workspace.path("out")).unwrap();
    let error = workspace.error("report out", 1);
    assert_eq!(error, "error: out: no run, with run.toml and metrics.jsonl, is in it or below");
    workspace.put("out/metrics.jsonl", "{\"step\":1,\"epoch\":0.5,\"eval_map\":0.25}\nnothing\n");
    let error = workspace.error("report out", 1);
    assert!(error.contains("out/metrics.jsonl: expected the log of a run, found in line 2: "), "{error}");
    // The last line is being written.
    workspace.put("out/metrics.jsonl", "{\"step\":1,\"epoch\":0.5,\"eval_map\":0.25}\n{\"step\":2");
    workspace.stdout("report out");
    assert!(page(&workspace).contains("No step has been done yet"));
}

/// Somebody's own page is not a run's.
#[test]
fn a_page_that_is_there_already_is_kept() {
    let workspace = workspace();
    fs::create_dir(workspace.path("out")).unwrap();
    workspace.put("out/report.html", "mine");
    let error = workspace.error("train in.txt --model model --batch-size 8 --output-dir out", 1);
    assert!(error.contains("already holds a run or a model (report.html)"), "{error}");
    assert_eq!(page(&workspace), "mine");
}
