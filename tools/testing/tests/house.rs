//! Checks rules on the sources of every crate: no files that import one another in a circle, no
//! file that imports from its own room's `mod.rs`, no long files, no wide prose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = ["simcse-tensor", "simcse-model", "simcse-train", "simcse-eval", "simcse-cli"];
const MOST_LINES: usize = 400;
const MOST_COLUMNS: usize = 100;

/// A source file of a crate.
struct Source {
    /// Relative to the crate's `src/`.
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files in a crate's `src/`, except for those that only contain tests.
fn sources(name: &str) -> Vec<Source> {
    let src = root().join(name).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let of_tests =
        |path: &Path| path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "testing");
    let under = files.iter().map(|path| path.strip_prefix(&src).unwrap().to_path_buf());
    let kept = under.filter(|path| !of_tests(path) && path.file_name().unwrap() != "testing.rs");
    kept.map(|path| Source { text: fs::read_to_string(src.join(&path)).unwrap(), path }).collect()
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The production code of a file: without comments, and without the tests, which are at its end.
fn code(text: &str) -> String {
    let heads = ["#[cfg(test)]\nmod tests", "#[cfg(test)]\npub(crate) mod tests", "#[cfg(test)]\n#["];
    let end = heads.iter().filter_map(|head| text.find(head)).min().unwrap_or(text.len());
    let production = &text[..end];
    production.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The module path of a file: `ops/mod.rs` and `ops.rs` are `["ops"]`, `lib.rs` and `main.rs` are
/// `[]`.
fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let file = parts.pop().unwrap();
    match file.as_str() {
        "mod.rs" | "lib.rs" | "main.rs" => {}
        file => parts.push(file.trim_end_matches(".rs").to_owned()),
    }
    parts
}

/// The paths that start with `crate::`, in a `use` or in an expression.
fn named_paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("crate::") {
        let alone = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = &rest[at + "crate::".len()..];
        if alone {
            expand(rest, &mut Vec::new(), &mut paths);
        }
    }
    paths
}

/// Reads a path, possibly with braces (`a::{b, c::d}`), and returns the text after it.
fn expand<'a>(text: &'a str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                rest = expand(rest, prefix, paths).trim_start();
                match rest.chars().next() {
                    Some(',') => rest = rest[1..].trim_start(),
                    Some('}') => {
                        rest = &rest[1..];
                        break;
                    }
                    _ => break,
                }
                if let Some(after) = rest.strip_prefix('}') {
                    rest = after;
                    break;
                }
            }
            break;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        if word.is_empty() {
            break;
        }
        if word != "self" {
            prefix.push(word.to_owned());
        }
        match rest.strip_prefix("::") {
            Some(after) => rest = after.trim_start(),
            None => {
                paths.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    rest
}

/// For each file, the files of its crate from which it imports.
fn imports(sources: &[Source]) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let files: BTreeMap<Vec<String>, &Path> =
        sources.iter().map(|source| (module(&source.path), &*source.path)).collect();
    let file_of = |path: &[String]| (1..=path.len()).rev().find_map(|length| files.get(&path[..length]).copied());
    let of = |source: &Source| {
        let named = named_paths(&code(&source.text));
        let imported = named.iter().filter_map(|path| file_of(path)).filter(|path| *path != source.path);
        (source.path.clone(), imported.map(Path::to_path_buf).collect())
    };
    sources.iter().map(of).collect()
}

/// Follows imports, starting with `file`, and returns the first circle. `way` is the path so far,
/// `done` the files that have been visited.
fn circle(
    file: &Path,
    imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    way: &mut Vec<PathBuf>,
    done: &mut BTreeSet<PathBuf>,
) -> Option<Vec<PathBuf>> {
    if let Some(start) = way.iter().position(|on_the_way| on_the_way == file) {
        return Some(way[start..].to_vec());
    }
    if !done.insert(file.to_path_buf()) {
        return None;
    }
    way.push(file.to_path_buf());
    let found = imports[file].iter().find_map(|next| circle(next, imports, way, done));
    way.pop();
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for name in CRATES {
        let imports = imports(&sources(name));
        let mut done = BTreeSet::new();
        for file in imports.keys() {
            let found = circle(file, &imports, &mut Vec::new(), &mut done);
            assert_eq!(found, None, "{name}: files that import each other in a circle");
        }
    }
}

#[test]
fn no_file_imports_its_own_room() {
    for name in CRATES {
        let sources = sources(name);
        let imports = imports(&sources);
        for source in &sources {
            let room = source.path.parent().unwrap().join("mod.rs");
            let production = code(&source.text);
            if source.path != room && source.path.file_name().unwrap() != "mod.rs" {
                let from_parent = production.contains("super::");
                assert!(!from_parent, "{name}/src/{}: imports from its room with super::", source.path.display());
            }
            assert!(
                !imports[&source.path].contains(&room),
                "{name}/src/{}: imports its own mod.rs",
                source.path.display()
            );
        }
    }
}

#[test]
fn files_are_short_and_prose_is_narrow() {
    let mut broken = Vec::new();
    for name in CRATES {
        for Source { path, text } in sources(name) {
            let lines = text.lines().count();
            if lines > MOST_LINES {
                broken.push(format!("{name}/src/{}: {lines} lines", path.display()));
            }
            for (number, line) in text.lines().enumerate() {
                let comment = line.trim_start().starts_with("//");
                let columns = line.chars().count();
                // A URL cannot be wrapped.
                if comment && columns > MOST_COLUMNS && !line.contains("http") {
                    broken.push(format!("{name}/src/{}:{}: {columns} columns", path.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{} violations:\n{}", broken.len(), broken.join("\n"));
}
