//! Who judges how similar texts are: a model's embeddings, or a baseline.
//!
//! This room knows texts. It must not know what the similarities are used for.
//!
//! | judge | similarity |
//! |---|---|
//! | [`Cosine`] of [`Encoded`] | cosine of a model's embeddings |
//! | [`Cosine`] of [`WordEmbeddings`] | cosine of the means of a model's input word embeddings |
//! | [`Cosine`] of [`Given`] | cosine of vectors from anywhere else |
//! | [`Lexical`] | words in common: TF-IDF or BM25 |

pub(crate) mod cosine;
pub(crate) mod encoded;
pub(crate) mod given;
pub(crate) mod judge;
pub(crate) mod lexical;
pub(crate) mod store;
pub(crate) mod top;
pub(crate) mod word_embeddings;

pub use cosine::{Cosine, Embedder};
pub use encoded::Encoded;
pub use given::Given;
pub use judge::{Hit, Relation, Role, Similarity};
pub use lexical::Lexical;
pub use word_embeddings::WordEmbeddings;
