//! Who is in the cluster: its scheduler tells whoever asks, on the port that it listens on anyway.

use std::future::poll_fn;
use std::time::Duration;

use ballista_scheduler::cluster::ClusterState;
use ballista_scheduler::scheduler_server::timestamp_secs;
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::Channel;

use super::client::Client;
use super::dial::DialError;
use super::executor::executor_of;
use crate::config::{Machines, Meeting, Plan, Scheduler};
use crate::pipeline::roster::{Executor, Roster};

/// Where it is told.
pub const PATH: &str = "/executors";

/// The answer: that of another program is none of this form.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    executors: Vec<Executor>,
}

/// Bytes of an answer, at most: more than there are for ten thousand executors.
const LONGEST: usize = 4 << 20;
/// Characters of a name, at most: whoever reaches the port may have told it.
const LONGEST_NAME: usize = 128;

/// Those that were heard of within `timeout`, by name.
pub async fn known(state: &dyn ClusterState, timeout: Duration) -> Answer {
    let (heard, now) = (state.executor_heartbeats(), timestamp_secs());
    let mut executors = Vec::new();
    for metadata in state.registered_executor_metadata().await {
        let silent_seconds = heard.get(&metadata.id).map(|heard| now.saturating_sub(heard.timestamp));
        if let Some(silent_seconds) = silent_seconds.filter(|&seconds| seconds <= timeout.as_secs()) {
            let name = executor_of(&metadata.id).chars().take(LONGEST_NAME).collect();
            executors.push(Executor { name, slots: metadata.specification.vcores, silent_seconds });
        }
    }
    executors.sort_by(|one, other| one.name.cmp(&other.name));
    Answer { executors }
}

/// Asks over a connection to the scheduler.
///
/// # Errors
/// When somebody else answers.
pub async fn ask(mut channel: Channel) -> Result<Vec<Executor>, DialError> {
    let request = Request::get(PATH).body(Body::empty()).map_err(|error| DialError::of(&error))?;
    poll_fn(|cx| channel.poll_ready(cx)).await.map_err(|error| DialError::of(&error))?;
    let answer = channel.call(request).await.map_err(|error| DialError::of(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(DialError::Stranger(format!("it answers {}", answer.status())));
    }
    let bytes = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), LONGEST).await;
    let bytes = bytes.map_err(|error| DialError::of(&error))?;
    let Answer { executors } = serde_json::from_slice(&bytes).map_err(|error| DialError::of(&error))?;
    Ok(executors)
}

/// How to start an executor.
pub fn cure(Scheduler { host, port }: &Scheduler, meeting: &Meeting) -> String {
    format!("miner executor --scheduler {host}:{port} --work {meeting}")
}

/// Looks at the cluster that a plan names; nothing where this machine does all the work.
pub fn look(plan: &Plan) -> Option<Roster> {
    let Machines::Cluster { scheduler, tls, meeting, .. } = &plan.run.machines else { return None };
    let asked = Client::new(scheduler, tls.as_ref()).and_then(|client| client.executors());
    let hide = |text: String| plan.environment.hide(&text).into_owned();
    let (cure, scheduler) = (hide(cure(scheduler, meeting)), hide(scheduler.to_string()));
    Some(match asked {
        Ok(executors) => Roster { scheduler, answers: true, trouble: None, executors, cure },
        Err(error) => {
            let trouble = Some(hide(format!("{error:#}")));
            Roster { scheduler, answers: false, trouble, executors: Vec::new(), cure }
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use ballista_core::serde::protobuf::{ExecutorHeartbeat, ExecutorOperatingSystemSpecification};
    use ballista_core::serde::scheduler::{ExecutorMetadata, ExecutorSpecification};
    use ballista_scheduler::cluster::memory::InMemoryClusterState;

    use super::*;

    /// Asks a server that answers so.
    fn asked(path: &'static str, answer: &'static str, times: usize) -> Result<Vec<Executor>, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = Router::new().route(path, get(move || async move { answer.repeat(times) }));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        let client = Client::new(&Scheduler { host: "127.0.0.1".to_owned(), port }, None).unwrap();
        let asked = client.executors().map_err(|error| error.to_string());
        runtime.shutdown_background();
        asked
    }

    #[test]
    fn an_answer_is_read_and_none_is_believed_that_is_another() {
        let one = r#"{"executors":[{"name":"a\u001b[2J","slots":3,"silent_seconds":2}]}"#;
        let name = "a\u{1b}[2J".to_owned();
        assert_eq!(asked(PATH, one, 1), Ok(vec![Executor { name, slots: 3, silent_seconds: 2 }]));
        assert_eq!(asked(PATH, r#"{"executors":[]}"#, 1), Ok(Vec::new()));
        for (path, answer, times, told) in [
            ("/", "", 1, "(it answers 404 Not Found)"),
            (PATH, "[]x", 1, "no scheduler of this miner"),
            (PATH, "{}", 1, "missing field `executors`"),
            (PATH, r#"{"executors":[{"name":"a","slots":-1,"silent_seconds":0}]}"#, 1, "invalid value"),
            (PATH, " ", LONGEST + 1, "length limit exceeded"),
        ] {
            let found = asked(path, answer, times).unwrap_err();
            assert!(found.contains(told), "{answer:?}: {found}");
        }
    }

    #[test]
    fn who_was_not_heard_of_lately_is_not_counted() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let state = InMemoryClusterState::default();
        let now = timestamp_secs();
        let heard = |id: &str, ago: u64| ExecutorHeartbeat {
            executor_id: id.to_owned(),
            timestamp: now.saturating_sub(ago),
            metrics: Vec::new(),
            status: None,
            peak_proc_physical_memory: 0,
            peak_proc_virtual_memory: 0,
        };
        let Answer { executors } = runtime.block_on(async {
            for (id, ago) in [("b-2~x", 3), ("a-1~y", 5), ("a-1~z", 60), (&"n".repeat(500), 0)] {
                let metadata = ExecutorMetadata {
                    id: id.to_owned(),
                    host: String::new(),
                    port: 0,
                    grpc_port: 0,
                    specification: ExecutorSpecification::default().with_vcores(4),
                    os_info: ExecutorOperatingSystemSpecification::default().into(),
                };
                state.save_executor_metadata(metadata).await.unwrap();
                state.save_executor_heartbeat(heard(id, ago)).await.unwrap();
            }
            known(&state, Duration::from_secs(20)).await
        });
        let told = executors.iter().map(|executor| (executor.name.as_str(), executor.slots)).collect::<Vec<_>>();
        assert_eq!(told, [("a-1", 4), ("b-2", 4), ("n".repeat(LONGEST_NAME).as_str(), 4)]);
    }
}
