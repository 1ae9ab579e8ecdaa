//! Environment variables that every command reads.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use common::{Workspace, text};

#[test]
fn an_unknown_instruction_set_is_refused_before_anything_else() {
    let workspace = Workspace::new();
    for arguments in ["encode --model model - --output out.npy", "--version", "no-command"] {
        let output = workspace.command(arguments).env("SIMCSE_ISA", "avx1024").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert_eq!(
            text(&output.stderr),
            "error: SIMCSE_ISA: expected portable, neon, avx2, avx512 or amx, found avx1024\n",
            "{arguments}"
        );
        assert_eq!(text(&output.stdout), "", "{arguments}");
    }
    assert!(!workspace.path("out.npy").exists());
}

#[test]
fn a_known_instruction_set_is_used() {
    let workspace = Workspace::new();
    workspace.put("sentences.txt", "how to install wifi ?\nslow boot\nthe sound to boot\n");
    let arguments = "bench sentences.txt --model model --batch-size 2 --steps 1 --json";
    let output = workspace.command(arguments).env("SIMCSE_ISA", "portable").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(r#""instruction_set":"portable""#), "{}", text(&output.stdout));
}
