//! Dense layers on sentence embeddings: their shape, and their files.
//!
//! sentence-transformers: `Dense`, after the Pooling. LaBSE and the distiluse models have one.

use std::path::PathBuf;

use serde_json::{Value, json};
use simcse_tensor::{DenseActivation, Named, Params, Slot};

use crate::directory::config::WIDTH;
use crate::directory::weights::file::WeightsFile;
use crate::error::Result;
use crate::io::json::JsonObject;

/// The names of its tensors.
pub(crate) const WEIGHT: &str = "linear.weight";
pub(crate) const BIAS: &str = "linear.bias";

const CONFIG: &str = "config.json";
const EMBEDDING: &str = "sentence_embedding";

/// The shape of a dense layer on sentence embeddings, `f(x·Wᵀ + b)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenseModule {
    /// Values in an embedding that goes in.
    pub in_features: usize,
    /// Values in an embedding that comes out.
    pub out_features: usize,
    /// Whether there is a `b`.
    pub bias: bool,
    /// `f`.
    pub activation: DenseActivation,
    /// The directory of its files; empty for a new layer.
    pub(crate) folder: PathBuf,
}

impl DenseModule {
    /// A new layer with a bias.
    pub fn new(in_features: usize, out_features: usize, activation: DenseActivation) -> Self {
        Self { in_features, out_features, bias: true, activation, folder: PathBuf::new() }
    }

    /// Reads the configuration in `folder` of a layer on embeddings `in_features` wide.
    ///
    /// # Errors
    /// [`Error::Field`] for another width, and for what is not computed here.
    pub(super) fn read(folder: PathBuf, in_features: usize) -> Result<Self> {
        let json = JsonObject::read_required(&folder.join(CONFIG), "modules.json names a Dense module there")?;
        let names = ["module_input_name", "module_output_name"];
        let others = ["in_features", "out_features", "bias", "activation_function", "use_residual"];
        json.require_known(&[&others[..], &names].concat())?;
        let found = json.size("in_features", WIDTH)?;
        if found != Some(in_features) {
            return Err(json.invalid("in_features", in_features));
        }
        let out_features = json.size("out_features", WIDTH)?;
        let out_features = out_features.ok_or_else(|| json.invalid("out_features", "an integer"))?;
        json.require("use_residual", &json!(false))?;
        names.into_iter().try_for_each(|field| json.require(field, &json!(EMBEDDING)))?;
        let bias = json.argument("bias", true)?;
        Ok(Self { in_features, out_features, bias, activation: activation(&json)?, folder })
    }

    /// Opens the weights, and checks that they have the layer's shape.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Tensor`].
    pub(crate) fn weights(&self) -> Result<WeightsFile> {
        let weights = WeightsFile::find(&self.folder)?;
        weights.check(WEIGHT, &[self.out_features, self.in_features])?;
        if self.bias {
            weights.check(BIAS, &[self.out_features])?;
        }
        Ok(weights)
    }

    /// Its `config.json`, as every version of sentence-transformers reads it.
    pub(super) fn to_json(&self) -> Value {
        let class = match self.activation {
            DenseActivation::Tanh => "torch.nn.modules.activation.Tanh",
            DenseActivation::Identity => "torch.nn.modules.linear.Identity",
        };
        json!({
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias,
            "activation_function": class,
        })
    }
}

/// Reads the weights of a dense layer, which must be all that the file holds, to their places among
/// the parameters.
///
/// # Errors
/// As [`WeightsFile::take`] and [`WeightsFile::finish`].
pub(crate) fn take_weights(mut file: WeightsFile, weight: Slot, bias: Option<Slot>, params: &mut Params) -> Result<()> {
    file.take(WEIGHT, &[weight.rows(), weight.cols()], params.slice_mut(weight))?;
    if let Some(bias) = bias {
        file.take(BIAS, &[bias.rows()], params.slice_mut(bias))?;
    }
    file.finish()
}

/// The function whose class in PyTorch a field names; its path differs between versions.
fn activation(json: &JsonObject) -> Result<DenseActivation> {
    const FIELD: &str = "activation_function";
    let Some(path) = json.text(FIELD)? else {
        return Ok(DenseActivation::default());
    };
    let class = path.rsplit_once('.').filter(|(module, _)| *module == "torch.nn" || module.starts_with("torch.nn."));
    let known = class.and_then(|(_, class)| DenseActivation::from_name(class).ok());
    known.ok_or_else(|| {
        let names: Vec<_> = DenseActivation::ALL.iter().map(|known| format!("torch.nn.{}", known.name())).collect();
        json.invalid(FIELD, names.join(" or "))
    })
}
