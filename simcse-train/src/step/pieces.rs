//! Pieces of a batch: runs of whole blocks of sentences that go through the encoder together.
//!
//! Parameter gradients are sums over blocks ([`Rows::blocks`]), added in order, so pieces of every
//! size give the same bits.

use std::ops::Range;

use simcse_model::{ModelConfig, TokenBatch};
use simcse_tensor::Rows;

/// Consecutive sentences that go through the encoder together.
pub(crate) struct Piece {
    /// Their places in the batch.
    pub(crate) sentences: Range<usize>,
    pub(crate) batch: TokenBatch,
}

/// The number of blocks of sentences in a piece of at most `mini_batch_tokens` tokens.
pub(crate) fn blocks_in(mini_batch_tokens: Option<usize>) -> usize {
    mini_batch_tokens.map_or(usize::MAX, |tokens| (tokens / Rows::BLOCK).max(1))
}

/// Splits the sentences of `share`, of those of a batch given as token ids with their streams, into
/// pieces of `length` blocks. The blocks that are left make the last piece, not the first: in a
/// contrastive step, the first piece is encoded only once, so it should be a full one.
pub(crate) fn pieces(
    config: &ModelConfig,
    sentences: &[&[u32]],
    streams: &[u32],
    share: Range<usize>,
    length: usize,
) -> Vec<Piece> {
    let rows = Rows::new(sentences[share.clone()].iter().map(|ids| ids.len()), streams[share.clone()].to_vec());
    let blocks: Vec<Range<usize>> = rows.blocks().collect();
    let piece = |run: &[Range<usize>]| {
        let range = share.start + run[0].start..share.start + run[run.len() - 1].end;
        let batch = TokenBatch::new(config, &sentences[range.clone()], streams[range.clone()].to_vec());
        Piece { sentences: range, batch }
    };
    blocks.chunks(length).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use simcse_model::Architecture;

    use super::*;
    use crate::testing::batch;

    #[test]
    fn pieces_are_as_full_as_whole_blocks_allow() {
        let config = ModelConfig::defaults(Architecture::Bert);
        let sentences = batch(400, 5);
        let (views, streams) = sentences.rows();
        let tokens = 2 * sentences.texts().iter().map(Vec::len).sum::<usize>();
        let longest = sentences.texts().iter().map(Vec::len).max().unwrap();
        for most in [512, 1024, 2000, 3000, tokens] {
            let pieces = pieces(&config, &views, &streams, 0..views.len(), blocks_in(Some(most)));
            let (last, others) = pieces.split_last().unwrap();
            let fullest = most / Rows::BLOCK * Rows::BLOCK;
            let emptiest = most / Rows::BLOCK * (Rows::BLOCK - longest);
            for piece in others {
                let tokens = piece.batch.rows().tokens();
                assert!(emptiest < tokens && tokens <= fullest, "{tokens} tokens in a piece of {most}");
            }
            assert!(last.batch.rows().tokens() <= fullest);
            assert_eq!(pieces.iter().map(|piece| piece.batch.rows().tokens()).sum::<usize>(), tokens);
            assert!(pieces.windows(2).all(|pair| pair[0].sentences.end == pair[1].sentences.start));
        }
    }
}
