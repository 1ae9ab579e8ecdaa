//! Completions and manual pages.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;
use std::process::Command;

use common::{Workspace, text};

#[test]
fn every_command_has_a_manual_page_with_its_flags() {
    let workspace = Workspace::new();
    workspace.stdout("man pages");
    let help = workspace.stdout("train --help");
    let page = fs::read_to_string(workspace.path("pages/simcse-train.1")).unwrap();
    let flags: Vec<_> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() > 50, "{help}");
    for flag in ["--learning-rate", "--eval-rerank", "--config", "--threads"] {
        assert!(page.contains(&flag.replace('-', "\\-")), "{flag}");
    }
    for command in
        ["pretrain", "eval", "eval-sts", "encode", "serve", "report", "sweep", "fetch", "bench", "completions", "man"]
    {
        let page = fs::read_to_string(workspace.path(&format!("pages/simcse-{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{command}");
    }
}

#[test]
fn shells_complete_commands_and_flags() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = workspace.stdout(&format!("completions {shell}"));
        assert!(script.contains("learning-rate") && script.contains("pretrain"), "{shell}");
    }
    // Bash itself, where there is one.
    workspace.put("completions.sh", workspace.stdout("completions bash"));
    let complete = "source completions.sh; COMP_WORDS=(simcse train --learn); COMP_CWORD=2; \
                    _simcse simcse --learn train; echo \"${COMPREPLY[@]}\"";
    let Ok(output) = Command::new("bash").args(["-c", complete]).current_dir(workspace.path("")).output() else {
        return;
    };
    assert_eq!(text(&output.stdout), "--learning-rate\n", "{}", text(&output.stderr));
}
