//! The demo's MCP server: an ordinary `rmcp` server, as anybody would write one.

use std::sync::Arc;
use std::time::Instant;

use mcp_vitals::traces::{InSpan, SpanKind, SpanStatus};
use mcp_vitals::{Status, Vitals, debug, error};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolResult, ContentBlock, Implementation, ProgressNotificationParam, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::bug::Bug;
use super::swarm::Swarm;

/// Bytes of a value that `memory_usage` keeps.
const LONGEST_VALUE: usize = 1024;
const LONGEST_KEY: usize = 128;

/// Text out of a closed list. What comes from a client and may become a label is one of these.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Deserialize, JsonSchema)]
        enum $name { $(#[serde(rename = $text)] $word),* }

        impl $name {
            fn as_str(self) -> &'static str {
                match self { $($name::$word => $text),* }
            }
        }
    };
}

words!(Topology { Mesh = "mesh", Ring = "ring", Star = "star" });
words!(AgentType {
    Analyst = "analyst",
    Coder = "coder",
    Researcher = "researcher",
    Tester = "tester",
});
words!(TaskType { Review = "review", Search = "search", Test = "test", Research = "research" });
words!(Priority { Low = "low", Normal = "normal", High = "high" });
words!(Model { Small = "small", Large = "large", Retired = "retired" });
words!(Method { Password = "password", Token = "token" });

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Store,
    Retrieve,
    Search,
    Delete,
}

#[derive(Deserialize, JsonSchema)]
struct SwarmInit {
    topology: Topology,
}

#[derive(Deserialize, JsonSchema)]
struct AgentSpawn {
    #[serde(rename = "type")]
    kind: AgentType,
}

#[derive(Deserialize, JsonSchema)]
struct AgentFinish {
    /// The number that agent_spawn gave.
    agent: u64,
}

#[derive(Deserialize, JsonSchema)]
struct TaskOrchestrate {
    /// research takes half a minute, the others less than a second.
    task_type: TaskType,
    priority: Priority,
}

#[derive(Deserialize, JsonSchema)]
struct MemoryUsage {
    action: Action,
    /// The key, or the text to search for.
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize, JsonSchema)]
struct NeuralPredict {
    model: Model,
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
struct AuthLogin {
    user: String,
    method: Method,
    /// The right one is: swordfish.
    secret: String,
}

/// The server. All sessions work on one swarm.
#[derive(Clone)]
pub(super) struct Demo {
    swarm: Arc<Swarm>,
    tool_router: ToolRouter<Demo>,
}

#[tool_router]
impl Demo {
    pub(super) fn new(vitals: &Vitals, seed: u64) -> Demo {
        let tool_router = Demo::tool_router();
        // Else a tool has its series from when a client lists the tools, or calls it: a panic in the
        // very first call would be a counter born at 1, in which no alert sees an increase.
        let tools = tool_router.list_all();
        vitals.mcp().learn_tools(tools.iter().map(|tool| &*tool.name));
        Demo { swarm: Arc::new(Swarm::new(vitals, seed)), tool_router }
    }

    #[tool(description = "Starts a swarm of agents")]
    async fn swarm_init(&self, Parameters(request): Parameters<SwarmInit>) -> String {
        self.swarm.work("place_agents", 1, 12).await;
        format!("a {} is ready for agents", request.topology.as_str())
    }

    #[tool(description = "Starts an agent and answers with its number; now and then one fails")]
    async fn agent_spawn(
        &self,
        Parameters(request): Parameters<AgentSpawn>,
    ) -> Result<CallToolResult, ErrorData> {
        self.swarm.work("start_process", 4, 60).await;
        Ok(match self.swarm.spawn(request.kind.as_str()) {
            Ok(number) => CallToolResult::structured(json!({ "agent": number })),
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        })
    }

    #[tool(description = "Ends an agent")]
    async fn agent_finish(&self, Parameters(request): Parameters<AgentFinish>) -> String {
        self.swarm.work("stop_process", 1, 8).await;
        self.swarm.finish(request.agent)
    }

    #[tool(description = "Queues a task for the swarm's workers and waits until it is done")]
    async fn task_orchestrate(
        &self,
        Parameters(request): Parameters<TaskOrchestrate>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        let withdrawn = context.ct.clone();
        tokio::select! {
            done = self.task(request, context) => done,
            // Dropping the task gives its worker back.
            () = withdrawn.cancelled() => Err("withdrawn".to_owned()),
        }
    }

    #[tool(description = "Stores, retrieves, searches or deletes what the swarm remembers")]
    fn memory_usage(&self, Parameters(request): Parameters<MemoryUsage>) -> Result<String, String> {
        let MemoryUsage { action, key, value } = request;
        if key.len() > LONGEST_KEY || value.len() > LONGEST_VALUE {
            return Err(format!(
                "more than {LONGEST_KEY} bytes of key or {LONGEST_VALUE} of value"
            ));
        }
        match action {
            Action::Store => Ok(self.swarm.store(key, value)),
            Action::Retrieve => self.swarm.retrieve(&key),
            Action::Search => Ok(self.swarm.search(&key)),
            Action::Delete => self.swarm.delete(&key),
        }
    }

    #[tool(description = "Asks a model; the retired one does not answer, and an empty prompt is \
                          more than this tool can take")]
    async fn neural_predict(
        &self,
        Parameters(request): Parameters<NeuralPredict>,
    ) -> Result<String, ErrorData> {
        let words = request.prompt.split_whitespace().count() as u64;
        if words == 0 {
            // The demo's bug, so that there is a panic to see.
            std::panic::panic_any(Bug);
        }
        let started = Instant::now();
        let model = request.model.as_str();
        let tracer = &self.swarm.tracer;
        let mut span = tracer.span("inference");
        span.set_kind(SpanKind::Client);
        span.set_attribute("gen_ai.operation.name", "text_completion");
        span.set_attribute("gen_ai.request.model", model);
        span.set_attribute("gen_ai.usage.input_tokens", words);
        let generate = tracer.child("generate", span.as_parent());
        match request.model {
            Model::Small => self.swarm.pause(15, 250).in_span(generate).await,
            Model::Large => self.swarm.pause(60, 900).in_span(generate).await,
            Model::Retired => self.swarm.pause(1, 3).in_span(generate).await,
        }
        if matches!(request.model, Model::Retired) || self.swarm.happens(0.5) {
            error!(self.swarm.logger, "the model does not answer", model);
            span.set_status(SpanStatus::Error, "the model does not answer");
            return Err(ErrorData::internal_error("the model does not answer", None));
        }
        let written = self.swarm.number(8..400);
        span.set_attribute("gen_ai.usage.output_tokens", written);
        let took = started.elapsed();
        self.swarm.vitals.mcp().inference(model, "predict", took, words, written);
        let logger = &self.swarm.logger;
        debug!(logger, "predicted", model, tokens = written, duration_seconds = took);
        Ok(format!("{written} tokens of wisdom"))
    }

    #[tool(description = "Logs a user in; refuses a user who failed too often")]
    async fn auth_login(
        &self,
        Parameters(request): Parameters<AuthLogin>,
    ) -> Result<String, String> {
        self.swarm.work("find_user", 8, 40).await;
        let right = request.secret == "swordfish";
        self.swarm.login(request.user, request.method.as_str(), right)
    }
}

impl Demo {
    async fn task(
        &self,
        request: TaskOrchestrate,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        let kind = request.task_type.as_str();
        let queued = async {
            // Only research is long enough to report on.
            if let (TaskType::Research, Some(token)) =
                (request.task_type, context.meta.get_progress_token())
            {
                let progress = ProgressNotificationParam::new(token, 0.0).with_message("queued");
                let _ = context.peer.notify_progress(progress).await;
            }
        };
        let worker = self.swarm.start(kind, request.priority.as_str(), queued).await?;
        let mut span = self.swarm.tracer.span("run_task");
        span.set_attribute("task_type", kind);
        span.set_attribute("priority", request.priority.as_str());
        let read = self.swarm.tracer.child("read_notes", span.as_parent());
        self.swarm.pause(1, 10).in_span(read).await;
        let work = self.swarm.tracer.child(kind, span.as_parent());
        match request.task_type {
            TaskType::Research => self.swarm.pause(30_000, 40_000).in_span(work).await,
            TaskType::Test => self.swarm.pause(40, 700).in_span(work).await,
            TaskType::Review | TaskType::Search => self.swarm.pause(20, 300).in_span(work).await,
        }
        if self.swarm.happens(3.0) {
            worker.finish(Status::Error);
            span.set_status(SpanStatus::Error, "it failed");
            return Err(format!("the {kind} failed"));
        }
        worker.finish(Status::Success);
        Ok(format!("the {kind} is done"))
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(super::SERVICE, env!("CARGO_PKG_VERSION")))
            .with_instructions("A swarm that is there to be measured: nothing it does is real.")
    }
}
