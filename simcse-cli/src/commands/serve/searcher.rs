//! The index in memory, which answers queries.

use std::sync::Arc;

use ndarray::Array2;
use serde_json::Value;
use simcse_eval::{Filter, Index, Vectors, nearest};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::error::Failure;
use crate::hits::{allowed, hits_json};

/// An index whose vectors are in memory.
#[derive(Debug)]
pub(crate) struct Searcher {
    open: Arc<Open>,
    /// A search uses all threads, so there is one at a time.
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct Open {
    index: Index,
    vectors: Vectors,
}

impl Searcher {
    /// Reads the vectors of an index.
    pub(crate) fn new(mut index: Index) -> Result<Self, Failure> {
        let vectors = index.vectors(0..index.rows())?;
        Ok(Self { open: Arc::new(Open { index, vectors }), turn: Arc::new(Semaphore::new(1)) })
    }

    pub(crate) fn rows(&self) -> usize {
        self.open.index.rows()
    }

    /// The bytes of all vectors.
    pub(crate) fn vector_bytes(&self) -> u64 {
        self.open.index.vector_bytes()
    }

    /// The hits of each of `queries`, (Q, C), as `simcse search --json` prints them.
    pub(crate) async fn search(
        &self,
        queries: Array2<f32>,
        top_k: usize,
        filter: Vec<(String, String)>,
    ) -> Result<Vec<Value>, ApiError> {
        let failed = |message: String| ApiError::new(ErrorKind::Backend, message);
        let turn = self.turn.clone().acquire_owned().await.map_err(|closed| failed(closed.to_string()))?;
        let open = self.open.clone();
        let search = move || {
            let _turn = turn;
            open.search(&queries, top_k, &filter)
        };
        match spawn_blocking(search).await {
            Ok(Ok(hits)) => Ok(hits),
            Ok(Err(Failure::Failed(message) | Failure::Usage(message) | Failure::Stopped(message))) => {
                Err(failed(message))
            }
            Ok(Err(Failure::ReaderGone)) => Err(failed("the index cannot be read".to_owned())),
            Err(panic) => Err(failed(format!("the search failed: {panic}"))),
        }
    }
}

impl Open {
    fn search(&self, queries: &Array2<f32>, top_k: usize, filter: &[(String, String)]) -> Result<Vec<Value>, Failure> {
        let allowed = allowed(&self.index, filter)?;
        let allowed = allowed.as_ref().map(|allowed| |row: usize| allowed[row]);
        let filter = allowed.as_ref().map(|allowed| allowed as Filter);
        let found = nearest(&self.vectors, queries.view(), top_k, filter);
        found.iter().map(|hits| hits_json(&self.index, hits)).collect()
    }
}
