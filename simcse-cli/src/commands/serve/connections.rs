//! Connections: how many there are, how slow they may be, and how they end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::commands::serve::errors::{ApiError, Dialect, ErrorKind};
use crate::commands::serve::limits::LimitArgs;
use crate::commands::serve::metrics::Metrics;
use crate::{report, stop};

/// How often to look for a signal.
const PAUSE: Duration = Duration::from_millis(50);
/// How long requests may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);
/// How long a connection without a request stays after a signal.
const LINGER: Duration = Duration::from_millis(500);
/// Connections over the limit that get an answer; others are closed.
const TURNED_AWAY: usize = 64;
/// Bytes of a connection that are read ahead; also a bound on the head of a request.
const BUFFER: usize = 1 << 16;

/// Answers requests until a signal asks to stop, and then those that are there. Returns how many
/// connections had to be cut.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: &LimitArgs, metrics: &Metrics) -> usize {
    let (most, client_timeout) = (limits.max_connections, limits.client_timeout());
    let places = Arc::new(Semaphore::new(most as usize));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let full = ApiError::new(ErrorKind::Unhealthy, format!("more than {most} connections"));
    let busy = Router::new().fallback(move |request: Request| {
        let response = full.response(Dialect::of(request.uri().path()));
        async { response }
    });
    let (stopping, stop) = watch::channel(false);
    let mut signal = pin!(signal());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut signal => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Of one connection, or too many open files: others may end meanwhile.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    report::warn(&format!("cannot accept a connection: {error}"));
                    sleep(PAUSE).await;
                }
                continue;
            }
        };
        let (router, place) = match (places.clone().try_acquire_owned(), turned_away.clone().try_acquire_owned()) {
            (Ok(place), _) => (router.clone(), place),
            (_, Ok(place)) => (busy.clone(), place),
            _ => continue,
        };
        let (open, connection) =
            (metrics.connections.clone(), Connection { router, client_timeout, stop: stop.clone() });
        tokio::spawn(async move {
            open.inc();
            connection.run(stream).await;
            open.dec();
            drop(place);
        });
    }
    drop(listener);
    report::note("stopping: answering what is there");
    stopping.send_replace(true);
    // When all places are free, all connections have ended.
    let ended = async {
        let _ = places.acquire_many(most).await;
        let _ = turned_away.acquire_many(TURNED_AWAY as u32).await;
    };
    match timeout(GRACE, ended).await {
        Ok(()) => 0,
        Err(_) => most as usize - places.available_permits(),
    }
}

/// Waits for a signal.
async fn signal() {
    while !stop::requested() {
        sleep(PAUSE).await;
    }
}

/// What a connection needs.
struct Connection {
    router: Router,
    client_timeout: Duration,
    stop: watch::Receiver<bool>,
}

impl Connection {
    /// Answers the requests of a client.
    async fn run(self, stream: TcpStream) {
        let Self { router, client_timeout, mut stop } = self;
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(client_timeout));
        let stream = TokioIo::new(Box::pin(stream));

        let answering = Arc::new(AtomicBool::new(false));
        let service = TowerToHyperService::new(router);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (answering, answer) = (answering.clone(), service.call(request));
            answering.store(true, SeqCst);
            Box::pin(async move {
                let answer = answer.await;
                answering.store(false, SeqCst);
                answer
            })
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(client_timeout).max_buf_size(BUFFER);
        let mut connection = http.serve_connection(stream, service);

        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let ended = tokio::select! {
            ended = Pin::new(&mut connection) => ended,
            () = stopped => {
                Pin::new(&mut connection).graceful_shutdown();
                loop {
                    let ended = timeout(LINGER, Pin::new(&mut connection)).await;
                    match ended {
                        Ok(ended) => break ended,
                        Err(_) if answering.load(SeqCst) => {}
                        Err(_) => return,
                    }
                }
            }
        };
        let Err(error) = ended else { return };
        let parts = connection.into_parts();
        if error.is_timeout() && !parts.read_buf.is_empty() {
            let message = format!("the head of the request took more than {} s", client_timeout.as_secs());
            let answer = ApiError::new(ErrorKind::Slow, message).to_bytes();
            let mut stream = parts.io.into_inner();
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    }
}
