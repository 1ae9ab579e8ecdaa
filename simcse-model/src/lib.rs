//! BERT, RoBERTa and DistilBERT sentence encoders on simcse-tensor, read from and written to sentence-transformers directories.
