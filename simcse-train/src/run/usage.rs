use simcse_model::SentenceEncoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let encoder = SentenceEncoder::load("path/to/this/directory")?;
    let embeddings = encoder.encode(&["one sentence", "another"])?;
    println!("{embeddings}");
    Ok(())
}
