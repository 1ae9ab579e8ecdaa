//! Ranking metrics, AskUbuntu reranking and semantic textual similarity.
