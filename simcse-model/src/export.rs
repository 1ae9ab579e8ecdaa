//! A model for other programs: where it may be written, its card, and its directory with smaller
//! weights. The graph for ONNX Runtime is in `onnx/`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use half::f16;

use crate::directory::ModelDirectory;
use crate::directory::weights::write::WeightType;
use crate::error::{Error, Result};
use crate::io::files::{directory_atomically, read_configuration, write_bytes};
use crate::sentence_encoder::SentenceEncoder;

/// The model card of a directory.
const CARD: &str = "README.md";
/// What a card begins with that the hub knows the library by, as sentence-transformers writes it.
const FRONT_MATTER: &str = "\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
---
";

/// How the part of a card begins that says how to load the directory.
const USAGE: &str = "\n## This directory on ";

impl SentenceEncoder {
    /// Checks that a model may be exported to `dir`: nothing is there, or an empty directory.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Io`].
    pub fn check_export(dir: &Path) -> Result<()> {
        const EXPECTED: &str = "a directory that is empty or does not exist yet";
        match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Err(Error::format(dir, EXPECTED, "a file")),
            entries => match entries.map_err(Error::io(dir))?.next() {
                None => Ok(()),
                Some(entry) => {
                    let name = entry.map_err(Error::io(dir))?.file_name();
                    Err(Error::format(dir, EXPECTED, format_args!("one with {}", name.display())))
                }
            },
        }
    }

    /// Writes the directory that [`save`](Self::save) writes, with weights of any type, and returns
    /// the path of the weights of the encoder. It appears complete or not at all.
    ///
    /// PyTorch: `model.half().save_pretrained(dir)`.
    ///
    /// # Errors
    /// As [`check_export`](Self::check_export); [`Error::Tensor`] if a weight is too large for the
    /// type; [`Error::Io`].
    pub fn export_safetensors(&self, dir: &Path, weights: WeightType) -> Result<PathBuf> {
        Self::check_export(dir)?;
        let path = ModelDirectory::weights_path(dir);
        for tensor in &self.params.layout().parameters()[..self.network.mlp_tensors.start] {
            if let Some(value) = weights.overflow(&self.params.values()[tensor.range()]) {
                let expected = format!("values between -{most} and {most}, the largest of f16", most = f16::MAX);
                return Err(Error::tensor(&path, &tensor.name, expected, value));
            }
        }
        directory_atomically(
            dir,
            |path, error| Error::io(path)(error),
            |partial| {
                self.write(partial, weights)?;
                self.write_card(partial, "PyTorch", "")
            },
        )?;
        Ok(path)
    }

    /// Writes the card of an exported model: that of the model itself, or else what it computes;
    /// and how to load it on `runtime`, by further `arguments`.
    pub(crate) fn write_card(&self, dir: &Path, runtime: &str, arguments: &str) -> Result<()> {
        let own = read_configuration(&self.directory.transformer.join(CARD)).ok().flatten();
        let card = own.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| {
            let (width, most) = (self.dimension(), self.directory.max_seq_length);
            format!(
                "{FRONT_MATTER}\n# A sentence-transformers model\n\nIt turns sentences of at most {most} tokens into \
                 vectors of {width} values.\n"
            )
        });
        // What an earlier export has added is of another directory.
        let card = card.split(USAGE).next().unwrap_or_default();
        let end = if card.ends_with('\n') { "" } else { "\n" };
        let card = format!(
            "{card}{end}{USAGE}{runtime}\n\n```python\nfrom sentence_transformers import \
             SentenceTransformer\n\nmodel = SentenceTransformer(\"path/to/this/directory\"{arguments})\nembeddings = \
             model.encode([\"one sentence\", \"another\"])\n```\n"
        );
        write_bytes(&dir.join(CARD), card.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, SafeTensors};
    use simcse_tensor::{DenseActivation, Pooling};

    use super::*;
    use crate::architecture::Architecture;
    use crate::directory::config::ModelConfig;
    use crate::directory::dense::DenseModule;
    use crate::tokenizer::encode::Tokenizer;

    /// A model with everything that has weights.
    fn encoder() -> SentenceEncoder {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps"];
        let config = ModelConfig {
            vocab_size: words.len(),
            hidden_size: 8,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 12,
            max_position_embeddings: 9,
            ..ModelConfig::defaults(Architecture::Bert)
        };
        let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
        let mut encoder = SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, 9).unwrap(), 1);
        encoder.add_dense(DenseModule::new(8, 5, DenseActivation::Tanh), 2);
        encoder.add_mlm_head(3).unwrap();
        encoder
    }

    #[test]
    fn every_tensor_is_the_original_in_half_precision() {
        let mut encoder = encoder();
        let temporary = tempfile::tempdir().unwrap();
        let [whole, half] = ["whole", "half"].map(|name| temporary.path().join(name));
        assert_eq!(encoder.export_safetensors(&whole, WeightType::F32).unwrap(), whole.join("model.safetensors"));
        encoder.export_safetensors(&half, WeightType::F16).unwrap();
        let mut count = 0;
        for file in ["model.safetensors", "2_Dense/model.safetensors", "mlm_head.safetensors"] {
            let [whole, half] = [&whole, &half].map(|dir| fs::read(dir.join(file)).unwrap());
            let [whole, half] = [&whole, &half].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
            assert_eq!(whole.len(), half.len());
            for (name, tensor) in whole.iter() {
                let written = half.tensor(name).unwrap();
                assert_eq!((tensor.dtype(), written.dtype()), (Dtype::F32, Dtype::F16), "{name}");
                assert_eq!(tensor.shape(), written.shape(), "{name}");
                let values = tensor.data().as_chunks().0.iter().map(|&four| f32::from_le_bytes(four));
                let expected: Vec<u8> = values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
                assert!(written.data() == expected, "{name}");
                count += 1;
            }
        }
        assert_eq!(count, encoder.params.layout().parameters().len());
        let card = fs::read_to_string(half.join(CARD)).unwrap();
        assert!(card.starts_with(FRONT_MATTER) && card.contains("at most 9 tokens into vectors of 5 values"), "{card}");

        // It is the model whose weights are rounded.
        let values = encoder.params.values_mut();
        values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        let texts = ["the cat sleeps", "cat"];
        let loaded = SentenceEncoder::load_directory(&half).unwrap();
        assert_eq!(loaded.encode(&texts).unwrap(), encoder.encode(&texts).unwrap());
    }

    #[test]
    fn the_card_of_a_model_is_kept_and_says_how_to_load_the_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let [model, out] = ["model", "out"].map(|name| temporary.path().join(name));
        encoder().save(&model).unwrap();
        fs::write(model.join(CARD), "---\nlicense: mit\n---\n# Mine").unwrap();
        SentenceEncoder::load_directory(&model).unwrap().export_onnx(&out).unwrap();
        let card = fs::read_to_string(out.join(CARD)).unwrap();
        assert!(card.starts_with("---\nlicense: mit\n---\n# Mine\n\n## This directory on ONNX Runtime\n"), "{card}");
        assert!(card.contains(r#"SentenceTransformer("path/to/this/directory", backend="onnx")"#), "{card}");
        let again = temporary.path().join("again");
        fs::write(model.join(CARD), &card).unwrap();
        SentenceEncoder::load_directory(&model).unwrap().export_onnx(&again).unwrap();
        assert_eq!(fs::read_to_string(again.join(CARD)).unwrap(), card);
        // One that is no text is replaced.
        fs::write(model.join(CARD), b"\xff").unwrap();
        let loaded = SentenceEncoder::load_directory(&model).unwrap();
        loaded.export_safetensors(&temporary.path().join("whole"), WeightType::F32).unwrap();
        assert!(fs::read_to_string(temporary.path().join("whole").join(CARD)).unwrap().starts_with(FRONT_MATTER));
    }

    #[test]
    fn a_weight_that_is_too_large_is_named() {
        let mut encoder = encoder();
        let temporary = tempfile::tempdir().unwrap();
        let out = temporary.path().join("out");
        let range = encoder.params.layout().parameters()[3].range();
        let largest = &mut encoder.params.values_mut()[range.end - 1];
        // Halfway to the number that would come next, the nearest one is no longer the largest.
        *largest = -65519.0;
        encoder.export_safetensors(&out, WeightType::F16).unwrap();
        fs::remove_dir_all(&out).unwrap();
        encoder.params.values_mut()[range.end - 1] = -65520.0;
        let error = encoder.export_safetensors(&out, WeightType::F16).unwrap_err().to_string();
        let name = &encoder.params.layout().parameters()[3].name;
        let expected = "expected values between -65504 and 65504, the largest of f16, found -65520";
        assert_eq!(error, format!("{}: tensor {name}: {expected}", out.join("model.safetensors").display()));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
        encoder.export_safetensors(&out, WeightType::F32).unwrap();
    }
}
