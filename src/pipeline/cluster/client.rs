//! What the driver of a run says to a scheduler: here is work, how does it go, forget it. Results are not asked for.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use ballista_core::BALLISTA_VERSION;
use ballista_core::extension::{BallistaGrpcMetadataInterceptor, SessionConfigExt, SessionConfigHelperExt};
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, FailedJob, GetJobStatusParams, execute_query_result, job_status,
};
use ballista_core::version::BALLISTA_VERSION_HEADER;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use datafusion_proto::bytes::logical_plan_to_bytes_with_extension_codec;
use tonic::transport::Channel;

use super::dial::{Dial, DialError};
use super::function::{REFUSES, SAYS, settle_item};
use super::items::{Items, NUMBER};
use super::roster;
use crate::config::{Scheduler, Tls};
use crate::pipeline::roster::Executor;

/// A scheduler, and the threads to wait for it.
pub struct Client {
    dial: Dial,
    runtime: tokio::runtime::Runtime,
}

/// How a job stands.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Not known: not yet, or not any more.
    Unknown,
    UnderWay,
    Done,
    /// And why.
    Failed(String),
    /// By an executor that the work is not for, and why.
    Refused(String),
}

/// For an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The same where a run could do without it.
const LOOK: Duration = Duration::from_secs(2);
/// And where nobody waits for what comes of it.
const PARTING: Duration = Duration::from_millis(400);

impl Client {
    /// # Errors
    /// When threads cannot be started; when certificates cannot be used.
    pub fn new(scheduler: &Scheduler, tls: Option<&Tls>) -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().context("cannot start threads")?;
        Ok(Self { dial: Dial::new(scheduler, tls)?, runtime })
    }

    /// Waits for an answer, but not for ever.
    fn wait<T>(&self, limit: Duration, answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            match tokio::time::timeout(limit, answer).await {
                Ok(Err(error)) => Err(self.dial.explain(error).await),
                Ok(answered) => answered,
                Err(_) => Err(anyhow!("no answer within {limit:?}")),
            }
        })
    }

    /// Hands out the work of a run whose order lies in `folder`, a path or a URL. Gives the name of the job.
    pub fn submit(&self, items: &Items, folder: &str) -> anyhow::Result<String> {
        self.wait(ANSWER, async {
            let config = settings(items);
            let context = SessionContext::new_with_config(config.clone());
            let plan = plan(&context, items, folder)?;
            let plan = logical_plan_to_bytes_with_extension_codec(&plan, items)?;
            let version = HashMap::from([(BALLISTA_VERSION_HEADER.to_owned(), BALLISTA_VERSION.to_owned())]);
            let version = BallistaGrpcMetadataInterceptor::new(version);
            let mut scheduler = SchedulerGrpcClient::with_interceptor(self.connect().await?, version);
            let answer = scheduler.execute_query(ExecuteQueryParams {
                session_id: context.session_id(),
                settings: config.to_key_value_pairs(),
                operation_id: context.session_id(),
                query: Some(Query::LogicalPlan(plan.to_vec())),
            });
            match answer.await.map_err(DialError::of_call)?.into_inner().result {
                Some(execute_query_result::Result::Success(accepted)) => Ok(accepted.job_id),
                Some(execute_query_result::Result::Failure(refused)) => bail!("{refused:?}"),
                None => bail!("an empty answer"),
            }
        })
    }

    /// How a job stands.
    pub fn state(&self, job: &str) -> anyhow::Result<State> {
        self.wait(ANSWER, async {
            let asked = GetJobStatusParams { job_id: job.to_owned() };
            let answer = SchedulerGrpcClient::new(self.connect().await?).get_job_status(asked).await;
            Ok(match answer.map_err(DialError::of_call)?.into_inner().status.and_then(|status| status.status) {
                Some(job_status::Status::Failed(FailedJob { error, .. })) => told(&error),
                Some(job_status::Status::Successful(_)) => State::Done,
                Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) => State::UnderWay,
                None => State::Unknown,
            })
        })
    }

    /// Who is there to work.
    ///
    /// # Errors
    /// When nobody answers, or somebody else does.
    pub fn executors(&self) -> anyhow::Result<Vec<Executor>> {
        self.wait(LOOK, async { Ok(roster::ask(self.connect().await?).await?) })
    }

    async fn connect(&self) -> anyhow::Result<Channel> {
        Ok(self.dial.channel(ANSWER).await?)
    }

    /// Lets a job be forgotten, as far as anybody listens.
    pub fn cancel(&self, job: &str) {
        let _ = self.wait(PARTING, async {
            let asked = CancelJobParams { job_id: job.to_owned() };
            Ok(SchedulerGrpcClient::new(self.connect().await?).cancel_job(asked).await?)
        });
    }
}

/// One stage, of one task a partition: a stage that is begun again does no harm, as no later one has read from it.
fn settings(items: &Items) -> SessionConfig {
    SessionConfig::new_with_ballista()
        .with_target_partitions(items.tasks())
        .with_ballista_job_name("miner")
        .set_usize("ballista.scheduler.max_partitions_per_task", 1)
}

/// `SELECT settle_item(folder, number) FROM items`.
fn plan(context: &SessionContext, items: &Items, folder: &str) -> anyhow::Result<LogicalPlan> {
    let settled = settle_item(None).call(vec![lit(folder), col(NUMBER)]);
    Ok(context.read_table(items.table()?)?.select(vec![settled])?.into_optimized_plan()?)
}

/// What an executor said, out of what the engine made of it.
fn told(error: &str) -> State {
    let after = |mark: &str| {
        let (before, said) = error.split_once(mark)?;
        Some(if before.ends_with('"') { unquoted(said) } else { said.trim_end().to_owned() })
    };
    match after(REFUSES) {
        Some(why) => State::Refused(why),
        None => State::Failed(after(SAYS).unwrap_or_else(|| error.trim_end().to_owned())),
    }
}

/// A text up to the quote that ends it, as it was before it was quoted for programmers.
fn unquoted(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next().filter(|&c| c != '"') {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'r' | 't') => plain.push(' '),
                Some('u') => plain.push_str("\\u"),
                Some(c) => plain.push(c),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use ballista_core::error::BallistaError;
    use ballista_core::serde::protobuf::FailedTask;
    use datafusion::common::DataFusionError;
    use datafusion::physical_plan::ExecutionPlanProperties;
    use datafusion_proto::bytes::logical_plan_from_bytes_with_extension_codec;

    use super::*;

    #[test]
    fn a_scheduler_finds_the_work_in_the_plan_a_task_an_item_until_there_are_many() {
        for (numbers, tasks) in [(vec![7], 1), ((0..4_096).collect(), 4_096), ((0..10_000).rev().collect(), 3_334)] {
            let items = Items::of(&numbers);
            let context = SessionContext::new_with_config(settings(&items));
            context.register_udf(settle_item(None));
            let sent =
                logical_plan_to_bytes_with_extension_codec(&plan(&context, &items, "/w/run").unwrap(), &items).unwrap();
            let codec = Items::default();
            let found = logical_plan_from_bytes_with_extension_codec(&sent, &context.task_ctx(), &codec).unwrap();
            let found = futures::executor::block_on(context.state().create_physical_plan(&found)).unwrap();
            assert_eq!(found.output_partitioning().partition_count(), tasks);
            assert!(sent.len() < 100_000, "{}", sent.len());
        }
    }

    #[test]
    fn an_executor_is_quoted_without_what_was_put_around_it() {
        let said = "a-1: /x (of \"y\"\\): it's full (or not) with --work";
        for (mark, state) in [(SAYS, State::Failed(said.to_owned())), (REFUSES, State::Refused(said.to_owned()))] {
            let error = DataFusionError::Execution(format!("{mark}{said}"));
            let error = DataFusionError::Shared(error.context("while it works").into());
            let task = FailedTask::from(BallistaError::DataFusionError(Box::new(error)));
            assert_eq!(told(&format!("Job failed due to stage 1 failed: {}\n", task.error)), state);
            assert_eq!(told(&format!("Execution error: {mark}{said}\n")), state);
        }
        assert_eq!(told("all executors were lost\n"), State::Failed("all executors were lost".to_owned()));
    }
}
