//! `simcse serve`: a model over HTTP, for programs on the same machine.
//!
//! | file | what it knows |
//! |---|---|
//! | `limits.rs` | what clients may do |
//! | `connections.rs` | connections, their deadlines, and how they end |
//! | `routes.rs` | paths, and what happens to every request |
//! | `embeddings.rs`, `queries.rs`, `status.rs`, `page.rs` | the answers of each route |
//! | `body.rs`, `fields.rs`, `errors.rs` | bodies, their fields, and errors |
//! | `batcher.rs` | the queue, and the thread that encodes |
//! | `searcher.rs` | the index in memory |
//! | `server.rs`, `memory.rs`, `metrics.rs` | what all of these share |
//!
//! One thread reads and writes all connections, and one encodes, with all threads of the pool. They
//! meet in the queue.

mod batcher;
mod body;
mod connections;
mod embeddings;
mod errors;
mod fields;
mod limits;
mod memory;
mod metrics;
mod page;
mod queries;
mod routes;
mod searcher;
mod server;
mod status;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use simcse_eval::Index;
use simcse_model::io::format_bytes;
use simcse_train::ModelSource;
use tokio::net::{TcpListener, TcpSocket};

use crate::args::PrecisionArgs;
use crate::commands::serve::batcher::Batcher;
use crate::commands::serve::body::BodyLimits;
use crate::commands::serve::limits::LimitArgs;
use crate::commands::serve::memory::Memory;
use crate::commands::serve::metrics::Metrics;
use crate::commands::serve::searcher::Searcher;
use crate::commands::serve::server::Server;
use crate::error::Failure;
use crate::hits::check_model;
use crate::inputs::load_to_encode;
use crate::report::{self, counted};
use crate::stop;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;

const HELP: &str = "\
  POST /embed          as in text-embeddings-inference: {\"inputs\": \"a text\"} or a list of texts
  POST /v1/embeddings  as in OpenAI's interface: {\"input\": …, \"model\": …}
  POST /search         with --index: {\"query\": …} or {\"queries\": […]}, \"top_k\", \"filter\"
  GET  /               a page to try it in a browser
  GET  /health, /info, /metrics (for Prometheus)

Texts of all requests that wait are encoded together. Ctrl-C or SIGTERM stops the server after the
requests that are there; its status is then 0. Whoever reaches the address may use it: there are no
passwords and no TLS, which is why it is one of this machine unless --host says otherwise.

Examples:
  simcse serve --model output/my-model
  simcse serve --index questions --port 0
  curl 127.0.0.1:8080/embed -H 'Content-Type: application/json' -d '{\"inputs\": [\"slow boot\"]}'";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ServeArgs {
    /// The model: a sentence-transformers or Hugging Face directory, or a name on the hub [default:
    /// that of the index]
    #[arg(long, value_name = "MODEL", required_unless_present = "index", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Directory of an index to search, made by `simcse index` with the same model
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
    /// Address or name to listen at
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", value_parser = NonEmptyStringValueParser::new())]
    host: String,
    /// Port to listen at; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    if args.limits.max_queue < args.limits.max_client_batch_size {
        return Err(Failure::Usage("--max-queue: expected at least --max-client-batch-size".to_owned()));
    }
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    // Before the model is loaded: a port that is in use is known at once.
    let (listener, address) = runtime.block_on(async { listen(args) })?;
    let server = Arc::new(server(args, address)?);
    let metrics = server.metrics.clone();
    let router = routes::router(server);
    report::note(&format!("serving at http://{address} (Ctrl-C stops)"));

    let _deferred = stop::defer();
    let cut = runtime.block_on(connections::serve(listener, router, &args.limits, &metrics));
    if cut > 0 {
        let connections = counted(cut, "connection", "connections");
        report::warn(&format!("{connections} had not ended and had to be cut"));
    }
    // A search or a batch may still be running; nobody waits for it.
    runtime.shutdown_background();
    Ok(())
}

/// The model and the index, ready to answer.
fn server(args: &ServeArgs, address: SocketAddr) -> Result<Server, Failure> {
    let index = args.index.as_deref().map(Index::open).transpose()?;
    let of_index = index.as_ref().map(|index| index.description.model.clone());
    let name = args.model.clone().or(of_index).expect("a model, or else an index, is required");
    let encoder = load_to_encode(&name, args.precision.get())?;
    if let Some(index) = &index {
        check_model(index, &name, &encoder)?;
    }
    let searcher = index.map(Searcher::new).transpose()?;
    if let Some(searcher) = &searcher {
        let rows = counted(searcher.rows(), "row", "rows");
        report::note(&format!("{rows} to search, {} in memory", format_bytes(searcher.vector_bytes())));
    }
    let is_local = address.ip().is_loopback();
    if !is_local {
        report::warn(&format!("{address} may be reached from other machines, and whoever reaches it may use it"));
    }
    let (encoder, metrics) = (Arc::new(encoder), Arc::new(Metrics::new()));
    Ok(Server {
        page: page::html(&name, searcher.as_ref().map(Searcher::rows)).into(),
        digest: ModelSource::of(&name, &encoder).sha256,
        batcher: Batcher::start(encoder.clone(), args.limits.max_queue as usize, metrics.clone())?,
        encoder,
        model: name,
        searcher,
        limits: args.limits.clone(),
        bodies: BodyLimits {
            memory: Memory::new(args.limits.memory()),
            most: args.limits.payload_limit as usize,
            client_timeout: args.limits.client_timeout(),
        },
        metrics,
        only_name: is_local.then(|| args.host.clone()),
    })
}

/// Listens at the first address of the host that lets it.
fn listen(args: &ServeArgs) -> Result<(TcpListener, SocketAddr), Failure> {
    let bind = |address: SocketAddr| -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let place = format!("{}:{}", args.host, args.port);
    let unknown = |error: io::Error| Failure::Failed(format!("--host: {}: {error}", args.host));
    let mut result = Err(io::Error::other("it has no address"));
    for address in (args.host.as_str(), args.port).to_socket_addrs().map_err(unknown)? {
        result = bind(address);
        if result.is_ok() {
            break;
        }
    }
    let listener = result.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::Failed(format!(
            "{place}: expected a free port, found one that another program listens at: choose another with --port"
        )),
        _ => Failure::Failed(format!("cannot listen at {place}: {error}")),
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Raises the limit of open files, which are connections here, as far as it goes without asking
/// anyone.
fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it there are fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
