//! The process that hands out work. Executors ask it for some, and nobody calls them: so its port is the only one that a cluster opens.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::http::StatusCode;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::{BallistaCluster, ClusterState};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::execution::FunctionRegistry;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::service::Routes;

use super::function::settle_item;
use super::items::Items;
use super::listen::TlsListener;
use super::{roster, tls};
use crate::config::Tls;
use crate::pipeline::engine::Control;

/// What a scheduler is told.
pub struct SchedulerOptions {
    /// Where it listens; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Who it is, and whom it lets in; nothing where it asks nobody.
    pub tls: Option<Tls>,
    /// Without a word for so long, an executor counts as lost, and others do what it was doing. A busy one asks every five seconds.
    pub timeout: Duration,
}

/// What those who were asked to stop may take to take leave.
pub const LEAVE: Duration = Duration::from_millis(600);
/// Between two looks at whether they were.
const TICK: Duration = Duration::from_millis(20);
/// What became of work that is over is known so long.
const FORGET: Duration = Duration::from_secs(300);
/// Threads for messages; those that mine are others.
const MESSENGERS: usize = 2;

/// Hands out work until it is asked to stop.
///
/// # Errors
/// When it cannot listen; when certificates cannot be used.
pub fn serve_scheduler(options: &SchedulerOptions, control: &Control) -> anyhow::Result<()> {
    let acceptor = options.tls.as_ref().map(tls::acceptor).transpose()?;
    let listener = TcpListener::bind(options.bind).map_err(|source| {
        let cure = match source.kind() {
            io::ErrorKind::AddrInUse => "does a scheduler run already? or choose another port with --bind",
            io::ErrorKind::AddrNotAvailable => "--bind takes an address of this machine, or 0.0.0.0 for all of them",
            _ => "choose another address or port with --bind",
        };
        anyhow!("cannot listen on {}: {source}; {cure}", options.bind)
    })?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let seconds = options.timeout.as_secs();
    let config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: address.ip().to_string(),
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: seconds,
        expire_dead_executor_interval_seconds: (seconds / 8).max(1),
        no_executors_grace_period_seconds: seconds,
        // Whoever hands work out asks about it all the time, and may hand out a large one again and again.
        finished_job_state_clean_up_interval_seconds: FORGET.as_secs(),
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            state.register_udf(Arc::new(settle_item(None)))?;
            Ok(state)
        })),
        override_logical_codec: Some(Arc::new(Items::default())),
        ..SchedulerConfig::default()
    };
    let runtime = runtime()?;
    let serve = async move {
        let port = tokio::net::TcpListener::from_std(listener)?;
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let executors = cluster.cluster_state();
        let routes = routes(create_scheduler(cluster, Arc::new(config)).await?, executors);
        match acceptor {
            None => axum::serve(port.tap_io(|stream| drop(stream.set_nodelay(true))), routes).await?,
            Some(acceptor) => axum::serve(TlsListener::new(port, acceptor).tap_io(|_| {}), routes).await?,
        }
        Ok(())
    };
    let served = runtime.spawn(serve);
    let how = if options.tls.is_some() { " in TLS" } else { "" };
    control.progress.note(&format!("scheduler{how} at df://{address}"));
    until_asked(runtime, served, control, &mpsc::channel().1, || false)
}

/// What it answers: Ballista's calls, who is there, and whether it is alive.
fn routes(
    scheduler: SchedulerServer<LogicalPlanNode, PhysicalPlanNode>,
    executors: Arc<dyn ClusterState>,
) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    let config = scheduler.state.config.clone();
    let calls = SchedulerGrpcServer::new(scheduler)
        .max_decoding_message_size(config.grpc_server_max_decoding_message_size as usize)
        .max_encoding_message_size(config.grpc_server_max_encoding_message_size as usize);
    let timeout = Duration::from_secs(config.executor_timeout_seconds);
    let known = move || async move { Json(roster::known(executors.as_ref(), timeout).await) };
    Routes::new(calls)
        .into_axum_router()
        .route(roster::PATH, get(known))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .into_make_service_with_connect_info()
}

pub fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(MESSENGERS).enable_all().build().context("cannot start threads")
}

/// Waits for a server to fail, or to be asked to stop; then it may take `leave` of the others, where there is anybody to take leave
/// of. What it has to tell is told meanwhile.
pub fn until_asked(
    runtime: Runtime,
    served: JoinHandle<anyhow::Result<()>>,
    control: &Control,
    lines: &mpsc::Receiver<String>,
    leave: impl FnOnce() -> bool,
) -> anyhow::Result<()> {
    while control.brake.go_on().is_ok() && !served.is_finished() {
        lines.try_iter().for_each(|line| control.progress.note(&line));
        std::thread::sleep(TICK);
    }
    let asked = control.brake.go_on().is_err();
    let within = if asked && !leave() { Duration::ZERO } else { LEAVE };
    let left = runtime.block_on(async { tokio::time::timeout(within, served).await });
    // What is being mined is not waited for: it is committed whole or not at all.
    runtime.shutdown_background();
    match left {
        _ if asked => Ok(()),
        Ok(Ok(served)) => served,
        Ok(Err(panicked)) => Err(panicked.into()),
        Err(_) => Ok(()),
    }
}
