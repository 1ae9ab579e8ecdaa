use std::fs;

use super::*;

fn write(directory: &Path, name: &str, content: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn shown(pair: &ScoredPair) -> String {
    format!("{:?} {}", pair.score, pair.sentences.join("|"))
}

#[test]
fn every_layout_is_read() {
    for prefix in ["", "STS/"] {
        let dir = tempfile::tempdir().unwrap();
        for name in SentEvalTask::Sts13.subsets() {
            let folder = format!("{prefix}STS13-en-test/STS");
            write(dir.path(), &format!("{folder}.input.{name}.txt"), "a  b .\tc\u{a0}d\textra\n\"e\tf\n");
            write(dir.path(), &format!("{folder}.gs.{name}.txt"), "4.5\n\n");
        }
        let file = "main-captions\tMSRvid\t2012test\t0024\t2.500\ta\tb\n";
        write(dir.path(), &format!("{prefix}STSBenchmark/sts-test.csv"), file);
        let file = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n6\ta\tb\t3.3\tNEUTRAL\n";
        write(dir.path(), "SICK/SICK_test_annotated.txt", file);

        let found = |task| read_task(dir.path(), task).unwrap();
        let subsets = found(SentEvalTask::Sts13).unwrap();
        assert_eq!(subsets.len(), 3);
        assert!(subsets[2].path.ends_with("STS13-en-test/STS.gs.OnWN.txt"));
        assert_eq!(subsets[2].pairs.iter().map(shown).collect::<Vec<_>>(), ["Some(4.5) a b .|c d", "None \"e|f"]);
        assert_eq!(shown(&found(SentEvalTask::StsB).unwrap()[0].pairs[0]), "Some(2.5) a|b");
        assert_eq!(shown(&found(SentEvalTask::SickR).unwrap()[0].pairs[0]), "Some(3.3) a|b");
        assert!(found(SentEvalTask::Sts12).is_none());
    }
}

#[test]
fn damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |gold: &str, input: &str, expected: &str| {
        for name in SentEvalTask::Sts13.subsets() {
            write(dir.path(), &format!("STS13-en-test/STS.input.{name}.txt"), input);
            write(dir.path(), &format!("STS13-en-test/STS.gs.{name}.txt"), gold);
        }
        let message = read_task(dir.path(), SentEvalTask::Sts13).err().expect("an error").to_string();
        assert!(message.contains(expected), "{message}");
    };
    refused("1\n2\n", "a\tb\n", "STS.gs.FNWN.txt, line 2: expected as many lines as");
    refused("1\n", "a\tb\na\tb\n", "STS.input.FNWN.txt, line 2: expected as many lines as");
    refused("x\n", "a\tb\n", "STS.gs.FNWN.txt, line 1: expected a number as score, or nothing, found \"x\"");
    refused("1\n", "a\n", "STS.input.FNWN.txt, line 1: expected two sentences, separated by a tab");
    fs::remove_file(dir.path().join("STS13-en-test/STS.gs.OnWN.txt")).unwrap();
    write(dir.path(), "STS13-en-test/STS.input.FNWN.txt", "a\tb\n");
    write(dir.path(), "STS13-en-test/STS.input.headlines.txt", "a\tb\n");
    write(dir.path(), "STS13-en-test/STS.gs.FNWN.txt", "1\n");
    write(dir.path(), "STS13-en-test/STS.gs.headlines.txt", "1\n");
    let message = read_task(dir.path(), SentEvalTask::Sts13).err().expect("an error").to_string();
    assert!(message.contains("STS13-en-test: expected STS.gs.OnWN.txt, found"), "{message}");
}
