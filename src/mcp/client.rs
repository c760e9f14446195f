//! Requests of an `rmcp` client to other servers, with a span each and its context in `_meta`.

// Not async functions in a trait, of which nobody could say that they are `Send`.
use std::future::Future;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, GetPromptRequestParams, GetPromptResult, MetaObject,
    ReadResourceRequestParams, ReadResourceResult, RequestParamsMeta,
};
use rmcp::service::{Peer, RoleClient, RunningService, Service, ServiceError};

use super::method::Method;
use super::spans::{MOST_TEXT, cut, set_uri};
use crate::traces::{Span, SpanKind, SpanStatus, Tracer};

/// Requests with a span of kind CLIENT, below the current one, whose context goes along in `_meta`:
/// what the other server does is part of the same trace.
///
/// ```
/// # use mcp_vitals::{TracedClient, Vitals, traces::TraceConfig};
/// # use rmcp::{ServerHandler, ServiceExt};
/// # use rmcp::model::CallToolRequestParams;
/// # struct Server;
/// # impl ServerHandler for Server {}
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (here, there) = tokio::io::duplex(4096);
/// # tokio::spawn(async move { Server.serve(there).await.unwrap().waiting().await });
/// # let client = ().serve(here).await?;
/// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
/// let tracer = vitals.tracer("planner");
///
/// let params = CallToolRequestParams::new("swarm_init");
/// let answer = client.call_tool_traced(&tracer, params).await;
/// # assert!(answer.is_err());
/// # Ok(())
/// # }
/// ```
///
/// For any other request, put the current span's context into its parameters:
/// `traces::inject_current(params.meta_or_default())`.
pub trait TracedClient {
    /// `tools/call`.
    fn call_tool_traced(
        &self,
        tracer: &Tracer,
        params: CallToolRequestParams,
    ) -> impl Future<Output = Result<CallToolResult, ServiceError>> + Send;

    /// `prompts/get`.
    fn get_prompt_traced(
        &self,
        tracer: &Tracer,
        params: GetPromptRequestParams,
    ) -> impl Future<Output = Result<GetPromptResult, ServiceError>> + Send;

    /// `resources/read`.
    fn read_resource_traced(
        &self,
        tracer: &Tracer,
        params: ReadResourceRequestParams,
    ) -> impl Future<Output = Result<ReadResourceResult, ServiceError>> + Send;
}

macro_rules! traced {
    ($peer:ident) => {
        async fn call_tool_traced(
            &self,
            tracer: &Tracer,
            mut params: CallToolRequestParams,
        ) -> Result<CallToolResult, ServiceError> {
            let mut call = Call::begin(tracer, Method::ToolsCall, Some(&params.name));
            call.span.set_attribute("gen_ai.tool.name", cut(&params.name, MOST_TEXT));
            call.span.set_attribute("gen_ai.operation.name", "execute_tool");
            call.send(self.$peer(), params.meta_or_default());
            let answer = self.call_tool(params).await;
            call.end(&answer, |result| result.is_error == Some(true));
            answer
        }

        async fn get_prompt_traced(
            &self,
            tracer: &Tracer,
            mut params: GetPromptRequestParams,
        ) -> Result<GetPromptResult, ServiceError> {
            let mut call = Call::begin(tracer, Method::PromptsGet, Some(&params.name));
            call.span.set_attribute("gen_ai.prompt.name", cut(&params.name, MOST_TEXT));
            call.send(self.$peer(), params.meta_or_default());
            let answer = self.get_prompt(params).await;
            call.end(&answer, |_| false);
            answer
        }

        async fn read_resource_traced(
            &self,
            tracer: &Tracer,
            mut params: ReadResourceRequestParams,
        ) -> Result<ReadResourceResult, ServiceError> {
            let mut call = Call::begin(tracer, Method::ResourcesRead, None);
            set_uri(&mut call.span, &params.uri);
            call.send(self.$peer(), params.meta_or_default());
            let answer = self.read_resource(params).await;
            call.end(&answer, |_| false);
            answer
        }
    };
}

trait Itself {
    fn itself(&self) -> &Self {
        self
    }
}

impl Itself for Peer<RoleClient> {}

impl TracedClient for Peer<RoleClient> {
    traced!(itself);
}

/// With what the SDK does for one that runs: it answers a server's demands for input.
impl<S: Service<RoleClient>> TracedClient for RunningService<RoleClient, S> {
    traced!(peer);
}

/// A request that is under way; dropped before its answer, its span says so.
struct Call {
    span: Span,
    ended: bool,
}

impl Call {
    fn begin(tracer: &Tracer, method: Method, target: Option<&str>) -> Call {
        let mut span = tracer.span(method.name());
        if span.is_recording() {
            span.set_kind(SpanKind::Client);
            if let Some(target) = target {
                span.set_name_of(&[method.name(), " ", target]);
            }
            span.set_attribute("mcp.method.name", method.name());
        }
        Call { span, ended: false }
    }

    fn send(&mut self, peer: &Peer<RoleClient>, meta: &mut MetaObject) {
        if self.span.is_recording()
            && let Some(info) = peer.peer_info()
        {
            let version = cut(info.protocol_version.as_str(), MOST_TEXT);
            self.span.set_attribute("mcp.protocol.version", version);
        }
        self.span.inject(&mut meta.0);
    }

    /// Every error is one for whoever asked.
    fn end<T>(mut self, answer: &Result<T, ServiceError>, is_error: impl FnOnce(&T) -> bool) {
        self.ended = true;
        if !self.span.is_recording() {
            return;
        }
        match answer {
            Ok(answer) if is_error(answer) => self.fail("tool_error", "tool_error"),
            Ok(_) => {}
            Err(ServiceError::McpError(error)) => {
                let mut digits = itoa::Buffer::new();
                let code = digits.format(error.code.0);
                self.span.set_attribute("rpc.response.status_code", code);
                self.fail(code, &error.message);
            }
            Err(error) => {
                let kind = match error {
                    ServiceError::Timeout { .. } => "timeout",
                    ServiceError::Cancelled { .. } => "cancelled",
                    ServiceError::TransportClosed | ServiceError::TransportSend(_) => "transport",
                    _ => "_OTHER",
                };
                self.fail(kind, &error.to_string());
            }
        }
    }

    fn fail(&mut self, kind: &str, message: &str) {
        self.span.set_attribute("error.type", kind);
        self.span.set_status(SpanStatus::Error, message);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.span.abandon();
        }
    }
}
