//! An APNs of sorts on hyper.
//!
//!     rust-peer PORT CHAIN KEY [REQUESTS]
//!
//! Answers 410 to tokens that begin with "dead" and 200 to others, writes each token it has read to standard output, and
//! ends a connection gracefully after so many requests.

use std::{cell::Cell, convert::Infallible, env, fs, io::BufReader, rc::Rc, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Notify, task::LocalSet};
use tokio_rustls::{rustls::ServerConfig, TlsAcceptor};

/// hyper's tasks stay on this thread.
#[derive(Clone)]
struct OnThisThread;

impl<F: std::future::Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let token = request.uri().path().trim_start_matches("/3/device/").to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    println!("{} {}", token, body.len());
    let dead = token.starts_with("dead");
    let said = if dead { r#"{"reason":"Unregistered","timestamp":1790000000000}"# } else { "" };
    Ok(Response::builder()
        .status(if dead { 410 } else { 200 })
        .header("apns-id", "00000000-0000-0000-0000-000000000000")
        .body(Full::new(Bytes::from(said)))
        .expect("a fixed answer"))
}

async fn serve(acceptor: TlsAcceptor, socket: tokio::net::TcpStream, limit: usize) {
    let Ok(stream) = acceptor.accept(socket).await else { return };
    let (seen, over) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
    let service = {
        let (seen, over) = (seen.clone(), over.clone());
        service_fn(move |request| {
            seen.set(seen.get() + 1);
            if seen.get() == limit {
                over.notify_one();
            }
            answer(request)
        })
    };
    let connection = http2::Builder::new(OnThisThread)
        .max_concurrent_streams(100)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = over.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn listen(port: u16, acceptor: TlsAcceptor, limit: usize) -> Result<Infallible, std::io::Error> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::task::spawn_local(serve(acceptor.clone(), socket, limit));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().collect();
    let mut chain = BufReader::new(fs::File::open(&arguments[2]).expect("the chain"));
    let mut key = BufReader::new(fs::File::open(&arguments[3]).expect("the key"));
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            rustls_pemfile::certs(&mut chain).collect::<Result<_, _>>().expect("certificates"),
            rustls_pemfile::private_key(&mut key).expect("a PEM file").expect("a key"),
        )
        .expect("a usable certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let port = arguments[1].parse().expect("a port");
    let limit = arguments.get(4).map_or(0, |text| text.parse().expect("a number"));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    LocalSet::new().run_until(listen(port, acceptor, limit)).await.expect("a free port");
}
