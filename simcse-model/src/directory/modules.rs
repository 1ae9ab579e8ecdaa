//! `modules.json`: what a sentence-transformers model does with the output of its Transformer.
//!
//! Source: sentence-transformers' `SentenceTransformer`; the layout of versions 2.x to 5.3 (classes
//! in `sentence_transformers.models`) and of 5.4+ (other class paths).

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use simcse_tensor::{Named, Pooling};

use crate::directory::config::ModelConfig;
use crate::directory::dense::DenseModule;
use crate::directory::layer_mix::LayerMix;
use crate::directory::pooling::PoolingSettings;
use crate::directory::word_weights::WordWeights;
use crate::error::{Error, Result};
use crate::io::files::{create_directory, read_configuration, write_bytes};
use crate::io::json::JsonObject;

/// The list of a sentence-transformers model's modules.
pub(crate) const MODULES: &str = "modules.json";
const CONFIG: &str = "config.json";

/// The modules that are read, trained and written.
const KNOWN: [&str; 6] = ["Transformer", "WeightedLayerPooling", "WordWeights", "Pooling", "Dense", "Normalize"];

/// The chain of modules: a Transformer, perhaps a WeightedLayerPooling, perhaps a WordWeights, a
/// Pooling, any number of Dense, perhaps a Normalize. Paths are relative to the model's directory,
/// and stay inside it.
pub(crate) struct Modules {
    /// The directory of `config.json`, tokenizer and weights.
    pub(crate) transformer: PathBuf,
    /// The directory of the WeightedLayerPooling module, if there is one.
    pub(crate) layer_mix: Option<PathBuf>,
    /// The directory of the WordWeights module, if there is one.
    pub(crate) word_weights: Option<PathBuf>,
    /// The directory of the Pooling module's `config.json`.
    pub(crate) pooling: PathBuf,
    /// The directories of the Dense modules.
    pub(crate) dense: Vec<PathBuf>,
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
        if let Some(other) = entries.iter().find(|entry| !entry.kind().is_some_and(|kind| KNOWN.contains(&kind))) {
            let expected = "a Transformer, WeightedLayerPooling, WordWeights, Pooling, Dense or Normalize";
            return Err(Error::field(&file, "type", expected, &other.class));
        }

        let mut rest = entries.iter().peekable();
        let mut next = |kind: &str| {
            let entry = rest.next_if(|entry| entry.kind() == Some(kind))?;
            Some(inside(&file, &entry.path))
        };
        let transformer = next("Transformer");
        let layer_mix = next("WeightedLayerPooling");
        let word_weights = next("WordWeights");
        let pooling = next("Pooling");
        let dense: Vec<_> = std::iter::from_fn(|| next("Dense")).collect();
        let normalize = next("Normalize");
        let (Some(transformer), Some(pooling), None) = (transformer, pooling, rest.next()) else {
            let expected = "a Transformer, perhaps a WeightedLayerPooling, perhaps a WordWeights, a Pooling, any number \
                            of Dense and perhaps a Normalize, in this order";
            let kinds: Vec<_> = entries.iter().filter_map(ModuleEntry::kind).collect();
            return Err(Error::field(&file, "type", expected, kinds.join(", ")));
        };
        Ok(Some(Self {
            transformer: transformer?,
            layer_mix: layer_mix.transpose()?,
            word_weights: word_weights.transpose()?,
            pooling: pooling?,
            dense: dense.into_iter().collect::<Result<_>>()?,
            normalize: normalize.transpose()?,
        }))
    }

    /// The directories of all modules but the Transformer.
    pub(crate) fn after_transformer(&self) -> impl Iterator<Item = &Path> {
        let in_front = self.layer_mix.iter().chain(&self.word_weights);
        in_front.chain([&self.pooling]).chain(&self.dense).chain(&self.normalize).map(PathBuf::as_path)
    }

    /// The directories of modules with files of weights, apart from the Transformer.
    pub(crate) fn with_weights(&self) -> impl Iterator<Item = &Path> {
        self.layer_mix.iter().chain(&self.dense).map(PathBuf::as_path)
    }

    /// The mix of hidden states of the model in `dir`, if there is one. `config_json` is the
    /// `config.json` that `config` was read from.
    pub(crate) fn layer_mix(
        &self,
        dir: &Path,
        config: &ModelConfig,
        config_json: &JsonObject,
    ) -> Result<Option<LayerMix>> {
        self.layer_mix.as_ref().map(|folder| LayerMix::read(&dir.join(folder), config, config_json)).transpose()
    }

    /// What the tokens of the model in `dir` count for, if it says so. The first `tokens` ids may
    /// occur in texts.
    pub(crate) fn word_weights(&self, dir: &Path, tokens: usize) -> Result<Option<WordWeights>> {
        self.word_weights.as_ref().map(|folder| WordWeights::read(&dir.join(folder), tokens)).transpose()
    }

    /// The Pooling module of the model in `dir`, for embeddings `hidden_size` wide.
    pub(crate) fn pooling(&self, dir: &Path, hidden_size: usize) -> Result<PoolingSettings> {
        let file = dir.join(&self.pooling).join(CONFIG);
        let pooling = PoolingSettings::read(&file, hidden_size)?;
        if self.word_weights.is_some() && pooling.mode != Pooling::Mean {
            let expected = "mean with a WordWeights module (others are not supported)";
            return Err(Error::field(&file, "pooling_mode", expected, pooling.mode.name()));
        }
        Ok(pooling)
    }

    /// The Dense modules of the model in `dir`, the first of which gets embeddings `hidden_size`
    /// wide.
    pub(crate) fn dense(&self, dir: &Path, hidden_size: usize) -> Result<Vec<DenseModule>> {
        let mut width = hidden_size;
        let mut next = |folder| {
            let dense = DenseModule::read(dir.join(folder), width)?;
            width = dense.out_features;
            Ok(dense)
        };
        self.dense.iter().map(&mut next).collect()
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

/// Whether a directory has the name of one of the modules that are written, such as `1_Pooling`.
pub(super) fn is_module(name: &str) -> bool {
    let of_module = |(index, class): (&str, &str)| index.parse::<u16>().is_ok() && KNOWN[1..].contains(&class);
    name.split_once('_').is_some_and(of_module)
}

/// A module's relative `path`, which must stay inside the model's directory.
fn inside(file: &Path, path: &str) -> Result<PathBuf> {
    let stays = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays || path.contains(['\\', '\0']) {
        return Err(Error::field(file, "path", "a path inside the model directory", path));
    }
    Ok(PathBuf::from(path))
}

/// A module of a model that is written.
#[derive(Clone, Copy)]
pub(super) enum Module<'a> {
    Transformer,
    LayerMix(&'a LayerMix),
    WordWeights(&'a WordWeights),
    Pooling(PoolingSettings),
    Dense(&'a DenseModule),
    Normalize,
}

impl Module<'_> {
    fn class(self) -> &'static str {
        match self {
            Self::Transformer => "Transformer",
            Self::LayerMix(_) => "WeightedLayerPooling",
            Self::WordWeights(_) => "WordWeights",
            Self::Pooling(_) => "Pooling",
            Self::Dense(_) => "Dense",
            Self::Normalize => "Normalize",
        }
    }

    /// The path of the module that is number `index` in its chain, as in sentence-transformers.
    pub(super) fn path(self, index: usize) -> String {
        match self {
            Self::Transformer => String::new(),
            _ => format!("{index}_{}", self.class()),
        }
    }

    /// Writes everything of the module but weights that are trained.
    fn write(self, folder: &Path, hidden_size: usize) -> Result<()> {
        let file = folder.join(CONFIG);
        let write = |config: Value| write_bytes(&file, format!("{config:#}\n").as_bytes());
        if !matches!(self, Self::Transformer | Self::Normalize) {
            create_directory(folder).map_err(Error::io(folder))?;
        }
        match self {
            Self::Transformer | Self::Normalize => Ok(()), // it is elsewhere, or has no file
            Self::LayerMix(mix) => {
                write(mix.to_json(hidden_size))?;
                mix.write_weights(folder)
            }
            Self::WordWeights(weights) => weights.write(&file),
            Self::Pooling(pooling) => write(pooling.to_json(hidden_size)),
            Self::Dense(dense) => write(dense.to_json()),
        }
    }
}

/// Writes `modules.json` and the files of the modules in the classic layout, which every version
/// reads. The Transformer and the weights of Dense modules are written elsewhere.
pub(super) fn write(dir: &Path, chain: &[Module], hidden_size: usize) -> Result<()> {
    for (index, module) in chain.iter().enumerate() {
        module.write(&dir.join(module.path(index)), hidden_size)?;
    }
    let modules: Value = chain
        .iter()
        .enumerate()
        .map(|(index, module)| {
            let class = format!("sentence_transformers.models.{}", module.class());
            json!({ "idx": index, "name": index.to_string(), "path": module.path(index), "type": class })
        })
        .collect();
    write_bytes(&dir.join(MODULES), format!("{modules:#}\n").as_bytes())
}
