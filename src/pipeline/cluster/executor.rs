//! The process that does the work. It asks the scheduler for it, and nobody calls it: it listens nowhere.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::BallistaCodec;
use ballista_core::serde::protobuf::executor_resource::Resource;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecutorOperatingSystemSpecification, ExecutorRegistration, ExecutorResource, ExecutorSpecification,
    ExecutorStoppedParams,
};
use ballista_core::utils::default_config_producer;
use ballista_core::{BALLISTA_PROTOCOL_VERSION, RuntimeProducer};
use ballista_executor::execution_engine::DefaultExecutionEngine;
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::sync::oneshot;
use tonic::transport::Channel;

use super::bench::Bench;
use super::desk::Desk;
use super::dial::{Dial, DialError};
use super::function::settle_item;
use super::order::Program;
use super::roster;
use super::serve::{LEAVE, runtime, until_asked};
use super::site::Site;
use super::spills::Spills;
use crate::config::{Meeting, Scheduler, Tls};
use crate::pipeline::engine::Control;
use crate::pipeline::lock::Holder;
use crate::pipeline::machine;
use crate::words::counted;

/// What an executor is told.
pub struct ExecutorOptions {
    pub scheduler: Scheduler,
    /// To show to the scheduler, and to know it by; nothing where messages go in the clear.
    pub tls: Option<Tls>,
    /// Partitions that are mined at a time, each on one thread; 0: as many as there are cores.
    pub slots: usize,
    /// The only folder whose work is done, here or in a store.
    pub work: Meeting,
    /// Where searches put what they derive from a store; the system's folder for such things unless named.
    pub scratch: Option<PathBuf>,
    /// Bytes of anonymous memory, at most; three quarters of the machine's unless named.
    pub memory: Option<u64>,
}

/// How long an executor looks for its scheduler before it gives up.
const CONNECT: Duration = Duration::from_secs(60);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);
/// For an answer of the scheduler.
const ANSWER: Duration = Duration::from_secs(20);
/// Bytes of one, at most: plans of thousands of items are long.
const MESSAGE: usize = 16 << 20;
/// Between the name of an executor and what tells it from others of that name.
const APART: char = '~';

/// Mines what the scheduler hands out, until it is asked to stop.
///
/// # Errors
/// When the folder of work is not there; when certificates cannot be used; when the scheduler cannot be reached for a minute, or
/// is none.
pub fn serve_executor(options: &ExecutorOptions, control: &Control) -> anyhow::Result<()> {
    let slots = match options.slots {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        slots => slots,
    };
    let memory = options.memory.or_else(machine::memory).unwrap_or(u64::MAX);
    let scratch = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Spills::begin(&scratch).context("--scratch: expected a folder that is there and can be written")?;
    // A hash of the executable, which the first run need not wait for.
    Program::this();
    let Holder { pid, host, .. } = Holder::myself();
    let name = format!("{host}-{pid}");
    let site = Site::open(&options.work, scratch.path())?;
    // Names of hosts may be alike, and numbers of processes come again.
    let id = format!("{name}{APART}{}", scratch.path().file_name().unwrap_or_default().display());
    let bench = Bench::new(site, scratch.path().to_owned(), id.clone(), slots, memory)?;
    let (log, told) = mpsc::channel();
    let desk = Desk::new(bench, log.clone());
    let executor = Arc::new(executor(id.clone(), host, slots, scratch.path(), desk));
    let (scheduler, dial) = (options.scheduler.clone(), Dial::new(&options.scheduler, options.tls.as_ref())?);
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = async move {
        let channel = reach(&scheduler, &dial, &log).await?;
        let calls =
            SchedulerGrpcClient::new(channel).max_decoding_message_size(MESSAGE).max_encoding_message_size(MESSAGE);
        let codec = BallistaCodec::<LogicalPlanNode, PhysicalPlanNode>::default();
        let work = poll_loop(calls.clone(), executor, codec, None, None, ExecutorHealth::new());
        tokio::select! {
            ended = work => ended.map_err(|error| anyhow!("{scheduler}: {error}")),
            _ = stopped => {
                // What it was doing is then done by others, at once.
                let left = ExecutorStoppedParams { executor_id: id, reason: "it was asked to stop".to_owned() };
                let _ = tokio::time::timeout(LEAVE, { calls }.executor_stopped(left)).await;
                Ok(())
            }
        }
    };
    let runtime = runtime()?;
    let served = runtime.spawn(serve);
    let slots = counted(slots as u64, "slot");
    let line = format!("executor {name} of {}: {slots}, work below {}", options.scheduler, options.work);
    control.progress.note(&line);
    until_asked(runtime, served, control, &told, || {
        // Who has ended already listens no more.
        stop.send(()).is_ok()
    })
}

/// What asks for work and does it. Of its results nothing is fetched: what is mined is committed to the work folder.
fn executor(id: String, host: String, slots: usize, scratch: &Path, desk: Desk) -> Executor {
    let vcores = ExecutorResource { resource: Some(Resource::Vcores(u32::try_from(slots).unwrap_or(u32::MAX))) };
    let registration = ExecutorRegistration {
        id,
        host: Some(host),
        port: 0,
        grpc_port: 0,
        specification: Some(ExecutorSpecification { resources: vec![vcores] }),
        os_info: Some(ExecutorOperatingSystemSpecification::default()),
        ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
    };
    let mut functions = BallistaFunctionRegistry::default();
    let function = settle_item(Some(Arc::new(desk)));
    functions.scalar_functions.insert(function.name().to_owned(), Arc::new(function));
    let spills = scratch.to_owned();
    let runtimes: RuntimeProducer =
        Arc::new(move |_| RuntimeEnvBuilder::new().with_temp_file_path(spills.clone()).build_arc());
    Executor::new(
        registration,
        &scratch.display().to_string(),
        runtimes,
        Arc::new(default_config_producer),
        Arc::new(functions),
        Arc::new(LoggingMetricsCollector::default()),
        slots,
        Arc::new(DefaultExecutionEngine::new()),
    )
}

/// Of what tells an executor from all others, its name for people.
pub fn executor_of(id: &str) -> &str {
    id.split(APART).next().unwrap_or(id)
}

/// A connection to the scheduler, which may be on its way up. Who is another, or does not want to be spoken to, is not asked again.
async fn reach(scheduler: &Scheduler, dial: &Dial, log: &mpsc::Sender<String>) -> anyhow::Result<Channel> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let error = match look(dial).await {
            Ok(channel) => return Ok(channel),
            Err(error) => dial.explain(error).await,
        };
        let is_away = matches!(error.downcast_ref(), Some(DialError::Away(_)));
        if !is_away || begun.elapsed() >= CONNECT {
            return Err(error.context(scheduler.to_string()));
        }
        if !std::mem::replace(&mut told, true) {
            let _ =
                log.send(format!("{scheduler}: does not answer ({error}); tried again for {} s", CONNECT.as_secs()));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn look(dial: &Dial) -> anyhow::Result<Channel> {
    let channel = dial.channel(ANSWER).await?;
    roster::ask(channel.clone()).await?;
    Ok(channel)
}
