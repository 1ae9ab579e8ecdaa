//! `simcse export`: a model for other programs.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use simcse_model::io::format_bytes;
use simcse_model::{Named, Precision, SentenceEncoder, WeightType};

use crate::args::{JsonArgs, named};
use crate::error::Failure;
use crate::inputs::load;
use crate::report;

const HELP: &str = "\
With --format onnx, the directory is one that sentence-transformers loads with ONNX Runtime instead of
PyTorch:

  model = SentenceTransformer(\"output/onnx\", backend=\"onnx\")

It has the graph of the encoder, with its weights, in onnx/model.onnx, and next to it everything else
that a saved model has: configuration, tokenizer, pooling and what follows it, prompts. Above 2 GiB, the
weights are in onnx/model.onnx_data. There is no model.safetensors: keep the model that was exported, to
train it further.

With --format safetensors, it is a directory such as training writes, with weights of half the size if
--dtype is f16; every command here reads them.

Examples:
  simcse export --model output/my-model --format onnx --output output/onnx
  simcse export --model output/my-model --format safetensors --dtype f16 --output output/half";

/// What a model can be exported to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Onnx,
    Safetensors,
}

impl Named for Format {
    const ALL: &'static [Self] = &[Self::Onnx, Self::Safetensors];

    fn name(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ExportArgs {
    /// The model: a sentence-transformers or Hugging Face directory, or a name on the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: String,
    /// What to export the model to: onnx, for ONNX Runtime, or safetensors, for PyTorch
    #[arg(long, value_name = "NAME", value_parser = named::<Format>)]
    format: Format,
    /// The type of the weights of safetensors: f32 or f16
    #[arg(long, value_name = "NAME", default_value = "f32", value_parser = named::<WeightType>)]
    dtype: WeightType,
    /// Directory to write, which is empty or does not exist yet; it appears complete or not at all
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &ExportArgs) -> Result<(), Failure> {
    if args.format == Format::Onnx && args.dtype != WeightType::F32 {
        let message = "--dtype: expected f32 with --format onnx, found";
        return Err(Failure::Usage(format!("{message} {}", args.dtype.name())));
    }
    SentenceEncoder::check_export(&args.output)?;
    let encoder = load(&args.model, Precision::F32)?;
    let opset = SentenceEncoder::ONNX_OPSET;
    let (path, detail) = match args.format {
        Format::Onnx => (encoder.export_onnx(&args.output)?, format!("operators of version {opset}")),
        Format::Safetensors => {
            let path = encoder.export_safetensors(&args.output, args.dtype)?;
            (path, format!("weights as {}", args.dtype.name()))
        }
    };
    let bytes = size(&path)?;
    if args.json.json {
        let mut report = json!({ "format": args.format.name(), "path": path, "bytes": bytes });
        match args.format {
            Format::Onnx => report["opset"] = json!(opset),
            Format::Safetensors => report["dtype"] = json!(args.dtype.name()),
        }
        return report::print_json(&report);
    }
    report::note(&format!("{}: {}, {detail}", path.display(), format_bytes(bytes)));
    Ok(())
}

/// The bytes of a file of weights, and of those with a longer name next to it, which go with it.
fn size(path: &Path) -> io::Result<u64> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut bytes = 0;
    for entry in fs::read_dir(path.parent().unwrap_or(path))? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(name) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
