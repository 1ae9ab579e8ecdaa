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

/// Launchers start a command as many times as it has processes. Those that do not know of one
/// another must not all do the same, and write into one directory.
#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_is_not_launched_several_times() {
    let workspace = Workspace::new();
    workspace.put("sentences.txt", "how to install wifi ?\nslow boot\nthe sound to boot\n");
    let launchers = [
        ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
        ["PMI_SIZE", "PMI_RANK"],
        ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
    ];
    for [size, rank] in launchers {
        let run = |arguments: &str, processes: &str| {
            workspace.command(arguments).env(size, processes).env(rank, "0").output().unwrap()
        };
        let train = "train sentences.txt --model model --batch-size 2 --max-steps 1 --output-dir out";
        let encode = "encode sentences.txt --model model --output out.npy";
        for (arguments, reason) in [(train, "built without MPI"), (encode, "only `train`")] {
            let output = run(arguments, "4");
            assert_eq!(output.status.code(), Some(2), "{arguments}");
            let message = text(&output.stderr);
            assert!(message.starts_with(&format!("error: 4 processes were launched ({size}), but")), "{message}");
            assert!(message.contains(reason), "{message}");
        }
        assert!(!workspace.path("out").exists());
        assert_eq!(run("completions bash", "1").status.code(), Some(0), "one process");
    }
}
