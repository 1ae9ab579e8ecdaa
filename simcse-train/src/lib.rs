//! Unsupervised SimCSE training: sentences, contrastive loss, AdamW, checkpoints and the loop.
