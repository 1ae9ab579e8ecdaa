//! `modules.json`: what a sentence-transformers model does with the output of its Transformer.
//!
//! Source: sentence-transformers' `Pooling` and `Normalize`; the layout of versions 2.x to 5.3
//! (`sentence_transformers.models.…`, `pooling_mode_*` booleans) and of 5.4+ (new class paths, one
//! `pooling_mode`).

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use simcse_tensor::{Named, Pooling};

use crate::error::{Error, Result};
use crate::io::files::{create_directory, read_configuration, write_bytes};
use crate::io::json::JsonObject;

/// The list of a sentence-transformers model's modules.
pub(crate) const MODULES: &str = "modules.json";
const CONFIG: &str = "config.json";
const POOLING: &str = "1_Pooling";

/// What the two layouts call the width of an embedding.
const WIDTHS: [&str; 2] = ["word_embedding_dimension", "embedding_dimension"];

/// The classic layout's name of each mode, as `Pooling.forward` orders them.
const BOOLEANS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The modes that every version of sentence-transformers knows.
const OLDEST: [&str; 4] = ["cls", "max", "mean", "mean_sqrt_len_tokens"];

/// What a Pooling module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolingSettings {
    pub(crate) mode: Pooling,
    /// Whether the tokens of a prompt are pooled, too.
    pub(crate) include_prompt: bool,
}

impl PoolingSettings {
    /// Reads a `1_Pooling/config.json`, whose embeddings are `hidden_size` wide.
    fn read(file: &Path, hidden_size: usize) -> Result<Self> {
        let json = JsonObject::read_required(file, "modules.json names a Pooling module there")?;
        let known = ["pooling_mode", "include_prompt"].into_iter().chain(WIDTHS);
        json.require_known(&known.chain(BOOLEANS.map(|(field, _)| field)).collect::<Vec<_>>())?;
        for width in WIDTHS {
            json.require(width, &json!(hidden_size))?;
        }
        if WIDTHS.iter().all(|width| json.get(width).is_none()) {
            return Err(json.invalid(WIDTHS[0], hidden_size));
        }
        let include_prompt = json.flag("include_prompt")?.unwrap_or(true);
        Ok(Self { mode: pooling_mode(&json, file)?, include_prompt })
    }
}

/// The mode of a Pooling module, in either layout.
fn pooling_mode(json: &JsonObject, file: &Path) -> Result<Pooling> {
    let mode = match json.get("pooling_mode") {
        Some(Value::String(mode)) => mode.as_str(),
        Some(Value::Array(modes)) if modes.len() == 1 => modes[0].as_str().unwrap_or_default(),
        Some(_) => "",
        None => {
            let mut modes = Vec::new();
            for (field, mode) in BOOLEANS {
                if json.flag(field)? == Some(true) {
                    modes.push(mode);
                }
            }
            match modes[..] {
                [] => "mean", // sentence-transformers' default
                [mode] => mode,
                _ => {
                    return Err(Error::field(file, "pooling_mode", "one mode", modes.join(" and ")));
                }
            }
        }
    };
    Pooling::from_name(mode).map_err(|unknown| match mode {
        "" => json.invalid("pooling_mode", unknown.expected),
        mode => Error::field(file, "pooling_mode", unknown.expected, mode),
    })
}

/// The chain of modules: a Transformer, a Pooling, perhaps a Normalize. Paths are relative to the
/// model's directory, and stay inside it.
pub(crate) struct Modules {
    /// The directory of `config.json`, tokenizer and weights.
    pub(crate) transformer: PathBuf,
    /// The directory of the Pooling module's `config.json`.
    pub(crate) pooling: PathBuf,
    /// The directory of the Normalize module, if there is one.
    pub(crate) normalize: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ModuleEntry {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl ModuleEntry {
    /// The name of a class that sentence-transformers defines, such as `Transformer`, without the
    /// path, which differs between versions.
    fn kind(&self) -> Option<&str> {
        let (module, class) = self.class.rsplit_once('.')?;
        module.starts_with("sentence_transformers.").then_some(class)
    }
}

impl Modules {
    /// The modules of the model in `dir`, or `None` if it is not a sentence-transformers model.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Field`] for any other chain of modules and for a path that
    /// leaves `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let file = dir.join(MODULES);
        let Some(bytes) = read_configuration(&file)? else {
            return Ok(None);
        };
        let entries: Vec<ModuleEntry> =
            serde_json::from_slice(&bytes).map_err(|error| Error::format(&file, "a list of modules", error))?;
        let known = ["Transformer", "Pooling", "Normalize"];
        if let Some(other) = entries.iter().find(|entry| !entry.kind().is_some_and(|kind| known.contains(&kind))) {
            return Err(Error::field(&file, "type", "a Transformer, Pooling or Normalize", &other.class));
        }
        let kinds: Vec<_> = entries.iter().filter_map(ModuleEntry::kind).collect();
        let normalize = match kinds[..] {
            ["Transformer", "Pooling"] => None,
            ["Transformer", "Pooling", "Normalize"] => Some(inside(&file, &entries[2].path)?),
            _ => {
                let expected = "a Transformer, a Pooling and perhaps a Normalize, in this order";
                return Err(Error::field(&file, "type", expected, kinds.join(", ")));
            }
        };
        Ok(Some(Self {
            transformer: inside(&file, &entries[0].path)?,
            pooling: inside(&file, &entries[1].path)?,
            normalize,
        }))
    }

    /// The Pooling module of the model in `dir`, for embeddings `hidden_size` wide.
    pub(crate) fn pooling(&self, dir: &Path, hidden_size: usize) -> Result<PoolingSettings> {
        PoolingSettings::read(&dir.join(&self.pooling).join(CONFIG), hidden_size)
    }

    /// Refuses a Normalize module of the model in `dir` that scales something other than sentence
    /// embeddings. The classic layout has no file for it.
    pub(crate) fn check_normalize(&self, dir: &Path) -> Result<()> {
        let Some(normalize) = &self.normalize else {
            return Ok(());
        };
        let json = JsonObject::read(&dir.join(normalize).join(CONFIG))?;
        ["module_input_name", "module_output_name"]
            .into_iter()
            .try_for_each(|field| json.require(field, &json!("sentence_embedding")))
    }
}

/// A module's relative `path`, which must stay inside the model's directory.
fn inside(file: &Path, path: &str) -> Result<PathBuf> {
    let stays = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays || path.contains(['\\', '\0']) {
        return Err(Error::field(file, "path", "a path inside the model directory", path));
    }
    Ok(PathBuf::from(path))
}

/// Writes `modules.json` and `1_Pooling/config.json` in the classic layout, which every version
/// reads.
pub(crate) fn write(dir: &Path, pooling: PoolingSettings, normalize: bool, hidden_size: usize) -> Result<()> {
    let mut config = json!({ "word_embedding_dimension": hidden_size });
    for (field, mode) in BOOLEANS {
        let chosen = mode == pooling.mode.name();
        // The oldest versions know the first four modes only.
        if chosen || OLDEST.contains(&mode) {
            config[field] = json!(chosen);
        }
    }
    if !pooling.include_prompt {
        // Versions before 2.4 do not know the field, and could not compute what it says.
        config["include_prompt"] = json!(false);
    }
    let pooling_dir = dir.join(POOLING);
    create_directory(&pooling_dir).map_err(Error::io(&pooling_dir))?;
    write_bytes(&pooling_dir.join(CONFIG), format!("{config:#}\n").as_bytes())?;

    let chain = [("", "Transformer"), (POOLING, "Pooling"), ("2_Normalize", "Normalize")];
    let modules: Value = chain[..if normalize { 3 } else { 2 }]
        .iter()
        .enumerate()
        .map(|(index, (path, class))| {
            let class = format!("sentence_transformers.models.{class}");
            json!({ "idx": index, "name": index.to_string(), "path": path, "type": class })
        })
        .collect();
    write_bytes(&dir.join(MODULES), format!("{modules:#}\n").as_bytes())
}
