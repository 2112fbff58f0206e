//! The processes that make a cluster: a scheduler, and executors on as many machines as there are.
//!
//! Executors ask the scheduler for work; nobody calls them. So the scheduler's is the only port that a cluster opens.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::default_session_builder;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::{BallistaCluster, ClusterState};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::execution::FunctionRegistry;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::service::Routes;

use super::bench::Bench;
use super::desk::Desk;
use super::function::settle_item;
use super::roster;
use crate::config::Scheduler;
use crate::pipeline::engine::Control;
use crate::pipeline::lock::Holder;
use crate::pipeline::machine;
use crate::words::counted;

/// What a scheduler is told.
pub struct SchedulerOptions {
    /// Where it listens; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Without a word for so long, an executor counts as lost, and others do what it was doing. A busy one asks every five seconds.
    pub timeout: Duration,
}

/// What an executor is told.
pub struct ExecutorOptions {
    pub scheduler: Scheduler,
    /// Partitions that are mined at a time, each on one thread; 0: as many as there are cores.
    pub slots: usize,
    /// The only folder whose work is done.
    pub work: PathBuf,
    /// Where searches put what they derive from a store; the system's folder for such things unless named.
    pub scratch: Option<PathBuf>,
    /// Bytes of anonymous memory, at most; three quarters of the machine's unless named.
    pub memory: Option<u64>,
}

/// How long an executor looks for its scheduler before it gives up.
const CONNECT: u16 = 60;
/// What those who were asked to stop may take to take leave.
const LEAVE: Duration = Duration::from_millis(600);
/// Between two looks at whether they were.
const TICK: Duration = Duration::from_millis(20);
/// Between the name of an executor and what tells it from others of that name.
const APART: char = '~';
/// Threads for messages; those that mine are others.
const MESSENGERS: usize = 2;

/// Hands out work until it is asked to stop.
///
/// # Errors
/// When it cannot listen.
pub fn serve_scheduler(options: &SchedulerOptions, control: &Control) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.bind).with_context(|| format!("cannot listen on {}", options.bind))?;
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
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            state.register_udf(Arc::new(settle_item(None)))?;
            Ok(state)
        })),
        ..SchedulerConfig::default()
    };
    let runtime = runtime()?;
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let executors = cluster.cluster_state();
        let scheduler = create_scheduler(cluster, Arc::new(config)).await?;
        let routes = routes(scheduler, executors).into_make_service_with_connect_info::<SocketAddr>();
        Ok(axum::serve(listener, routes).await?)
    };
    let served = runtime.spawn(serve);
    control.progress.note(&format!("scheduler at df://{address}"));
    until_asked(runtime, served, control, &mpsc::channel().1)
}

/// What it answers: Ballista's calls, who is there, and whether it is alive.
fn routes(scheduler: SchedulerServer<LogicalPlanNode, PhysicalPlanNode>, executors: Arc<dyn ClusterState>) -> Router {
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
}

/// Mines what the scheduler hands out, until it is asked to stop.
///
/// # Errors
/// When the folder of work is not there; when the scheduler cannot be reached for a minute.
pub fn serve_executor(options: &ExecutorOptions, control: &Control) -> anyhow::Result<()> {
    let slots = match options.slots {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        slots => slots,
    };
    let memory = options.memory.or_else(machine::memory).unwrap_or(u64::MAX);
    let scratch = match &options.scratch {
        Some(folder) => tempfile::tempdir_in(folder).with_context(|| format!("--scratch {}", folder.display()))?,
        None => tempfile::tempdir()?,
    };
    let Holder { pid, host, .. } = Holder::myself();
    let name = format!("{host}-{pid}");
    let bench = Bench::new(&options.work, scratch.path().to_owned(), name.clone(), slots, memory)?;
    let (log, refusals) = mpsc::channel();
    let mut functions = BallistaFunctionRegistry::default();
    let function = settle_item(Some(Arc::new(Desk::new(bench, log))));
    functions.scalar_functions.insert(function.name().to_owned(), Arc::new(function));
    let Scheduler { host: scheduler_host, port: scheduler_port } = options.scheduler.clone();
    let config = ExecutorProcessConfig {
        // Names of hosts may be alike, and numbers of processes come again.
        executor_id: format!("{name}{APART}{}", scratch.path().file_name().unwrap_or_default().display()),
        // For results, which nobody fetches: what is mined is committed to the work folder.
        bind_host: "127.0.0.1".to_owned(),
        port: 0,
        grpc_port: 0,
        external_host: Some(host),
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: CONNECT,
        vcores: slots,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(scratch.path().display().to_string()),
        memory_pool_size: Some(0),
        override_function_registry: Some(Arc::new(functions)),
        ..ExecutorProcessConfig::default()
    };
    let runtime = runtime()?;
    let address = options.scheduler.to_string();
    let serve = async move {
        start_executor_process(Arc::new(config)).await.map_err(|error| anyhow!("scheduler {address}: {error}"))
    };
    let served = runtime.spawn(serve);
    let slots = counted(slots as u64, "slot");
    let told = format!("executor {name} of {}: {slots}, work below {}", options.scheduler, options.work.display());
    control.progress.note(&told);
    until_asked(runtime, served, control, &refusals)
}

/// Of what a scheduler knows an executor by, its name: the one that its signs of life have.
pub fn executor_of(id: &str) -> &str {
    id.split(APART).next().unwrap_or(id)
}

fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(MESSENGERS).enable_all().build().context("cannot start threads")
}

/// Waits for a server to fail, or to be asked to stop; then it may take leave of the others. What it has to tell is told meanwhile.
fn until_asked(
    runtime: Runtime,
    served: JoinHandle<anyhow::Result<()>>,
    control: &Control,
    lines: &mpsc::Receiver<String>,
) -> anyhow::Result<()> {
    while control.brake.go_on().is_ok() && !served.is_finished() {
        lines.try_iter().for_each(|line| control.progress.note(&line));
        std::thread::sleep(TICK);
    }
    let asked = control.brake.go_on().is_err();
    let left = runtime.block_on(async { tokio::time::timeout(LEAVE, served).await });
    // What is being mined is not waited for: it is committed whole or not at all.
    runtime.shutdown_background();
    match left {
        _ if asked => Ok(()),
        Ok(Ok(served)) => served,
        Ok(Err(panicked)) => Err(panicked.into()),
        Err(_) => Ok(()),
    }
}
