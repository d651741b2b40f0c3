//! a2 on the work of the benchmarks. bench/client.py has the protocol.
//!
//! The endpoint is an enum in a2 and cannot be chosen: the benchmark runs this program where Apple's name leads to its
//! own server, on port 443.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use a2::request::notification::{NotificationOptions, Priority, PushType};
use a2::request::payload::PayloadLike;
use a2::{Client, ClientConfig, Endpoint, Error};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Deserialize)]
struct Work {
    key_file: String,
    key_id: String,
    team_id: String,
    topic: String,
    tokens_file: String,
    payload_file: String,
    pushes: usize,
    connections: usize,
    streams: usize,
}

#[derive(Default, Serialize)]
struct Outcome {
    accepted: usize,
    rejected: usize,
    failed: usize,
    errors: HashMap<String, usize>,
}

/// One push, with a payload that is JSON already: a2's own trait allows it.
#[derive(Debug, Serialize)]
struct Push<'a> {
    #[serde(skip)]
    token: &'a str,
    #[serde(skip)]
    options: NotificationOptions<'a>,
    #[serde(skip)]
    payload: &'a str,
}

impl PayloadLike for Push<'_> {
    fn to_json_string(&self) -> Result<String, Error> {
        Ok(self.payload.to_owned())
    }

    fn get_device_token(&self) -> &str {
        self.token
    }

    fn get_options(&self) -> &NotificationOptions<'_> {
        &self.options
    }
}

struct Shared {
    work: Work,
    tokens: Vec<String>,
    payload: String,
    clients: Vec<Client>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let path = std::env::args().nth(1).expect("the path of work.json");
    let work: Work = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let tokens = fs::read_to_string(&work.tokens_file).unwrap();
    let clients = (0..work.connections)
        .map(|_| {
            let mut key = fs::File::open(&work.key_file).unwrap();
            let config = ClientConfig { request_timeout_secs: Some(600), ..ClientConfig::new(Endpoint::Production) };
            Client::token(&mut key, &work.key_id, &work.team_id, config).unwrap()
        })
        .collect();
    let shared = Arc::new(Shared {
        tokens: tokens.lines().take(work.pushes).map(str::to_owned).collect(),
        payload: fs::read_to_string(&work.payload_file).unwrap(),
        clients,
        work,
    });
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await.unwrap().is_some() {
        println!("{}", serde_json::to_string(&round(&shared).await).unwrap());
    }
}

/// A fresh connection to APNs takes one request and then more: one push each goes ahead.
async fn round(shared: &Arc<Shared>) -> Outcome {
    let mut all = Outcome::default();
    let first = shared.clients.len().min(shared.tokens.len());
    push(shared, 0..first, 1, &mut all).await;
    push(shared, first..shared.tokens.len(), shared.work.streams, &mut all).await;
    all
}

/// As many tasks as there may be requests in flight share the list.
async fn push(shared: &Arc<Shared>, places: Range<usize>, streams: usize, all: &mut Outcome) {
    let next = Arc::new(AtomicUsize::new(places.start));
    let tasks: Vec<_> = (0..shared.work.connections * streams)
        .map(|number| {
            let (shared, next) = (shared.clone(), next.clone());
            tokio::spawn(async move { carry(&shared, &next, places.end, number).await })
        })
        .collect();
    for task in tasks {
        let one = task.await.unwrap();
        all.accepted += one.accepted;
        all.rejected += one.rejected;
        all.failed += one.failed;
        for (text, count) in one.errors {
            *all.errors.entry(text).or_default() += count;
        }
    }
}

async fn carry(shared: &Shared, next: &AtomicUsize, end: usize, number: usize) -> Outcome {
    let client = &shared.clients[number % shared.clients.len()];
    let mut outcome = Outcome::default();
    while let Some(token) = shared.tokens[..end].get(next.fetch_add(1, Ordering::Relaxed)) {
        let options = NotificationOptions {
            apns_topic: Some(&shared.work.topic),
            apns_priority: Some(Priority::High),
            apns_push_type: Some(PushType::LiveActivity),
            ..Default::default()
        };
        match client.send(Push { token, options, payload: &shared.payload }).await {
            Ok(_) => outcome.accepted += 1,
            Err(Error::ResponseError(_)) => outcome.rejected += 1,
            Err(error) => {
                outcome.failed += 1;
                *outcome.errors.entry(format!("{error:?}")).or_default() += 1;
            }
        }
    }
    outcome
}
