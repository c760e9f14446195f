//! The wrapper around an `rmcp` [`ServerHandler`].
//!
//! `ServerHandler` gets new methods with default bodies in minor releases of `rmcp`; one that is not
//! forwarded here would be lost to the wrapped server. `tests/mcp_trait.rs` compares the list.

// Parts of the protocol that are on their way out still have to be forwarded.
#![allow(deprecated)]

use std::borrow::Cow;

use rmcp::model::*;
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};

use super::caller;
use super::method::Method;
use super::request::InFlight;
use super::session::Session;
use super::spans::Target;
use super::watch::{ask, watch, watched};
use crate::Vitals;
use crate::catalog::Outcome;
use crate::logs::Ready;

/// `server.instrumented(&vitals)` for every `rmcp` server.
pub trait InstrumentExt: ServerHandler {
    /// Wraps the server so that every request to it is counted and timed.
    ///
    /// A client sees no difference. Cheap enough to be called in the factory of a
    /// `StreamableHttpService`, which makes a server for each session or request: one
    /// reference count, no registration.
    fn instrumented(self, vitals: &Vitals) -> Instrumented<Self> {
        Instrumented {
            inner: self,
            vitals: vitals.clone(),
            answer_panics: false,
            session: Session::default(),
        }
    }
}

impl<H: ServerHandler> InstrumentExt for H {}

/// A [`ServerHandler`] that records each request to the one inside it, from
/// [`InstrumentExt::instrumented`].
///
/// A warm request costs two clock readings, one look-up of the tool's name and a few adds; it
/// allocates nothing and takes no lock of ours.
pub struct Instrumented<H> {
    inner: H,
    vitals: Vitals,
    answer_panics: bool,
    session: Session,
}

impl<H> Instrumented<H> {
    /// Whether a panic in a handler is answered with a JSON-RPC error `-32603`, by this wrapper.
    /// Default false: the panic then ends the request's task, as it does without the wrapper, and
    /// the client waits until its own time-out. It is counted either way. Has no effect under
    /// `panic = "abort"`, and works on a disabled engine, too.
    #[must_use]
    pub fn answer_panics(mut self, answer: bool) -> Self {
        self.answer_panics = answer;
        self
    }

    /// The server inside.
    pub fn inner(&self) -> &H {
        &self.inner
    }
}

/// The clone is a server of its own, with a session of its own.
impl<H: Clone> Clone for Instrumented<H> {
    fn clone(&self) -> Self {
        Instrumented {
            inner: self.inner.clone(),
            vitals: self.vitals.clone(),
            answer_panics: self.answer_panics,
            session: Session::default(),
        }
    }
}

impl<H: std::fmt::Debug> std::fmt::Debug for Instrumented<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instrumented").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<H: ServerHandler> Instrumented<H> {
    /// `name` is that of a method which the client made up.
    #[inline]
    fn start(
        &self,
        method: Method,
        name: &str,
        target: Target<'_>,
        context: &RequestContext<RoleServer>,
    ) -> InFlight {
        let edge = &self.vitals.mcp().edge;
        if edge.is_disabled() {
            return InFlight::DISABLED;
        }
        caller::enter(edge, edge.method(method).clone(), name, target, context)
    }

    #[inline]
    fn start_tool(&self, name: &str, context: &RequestContext<RoleServer>) -> InFlight {
        let edge = &self.vitals.mcp().edge;
        if edge.is_disabled() {
            return InFlight::DISABLED;
        }
        let has = |name: &str| Some(ask(|| self.inner.get_tool(name).is_some()));
        caller::enter(edge, edge.tool(name, has), "", Target::Tool(name), context)
    }
}

/// An answer that came is a success, whatever is in it.
fn answered<T>(_: &T) -> Outcome {
    Outcome::Ok
}

fn tool_outcome(answer: &CallToolResponse) -> Outcome {
    match answer {
        CallToolResponse::Complete(result) if result.is_error == Some(true) => Outcome::ToolError,
        CallToolResponse::InputRequired(_) => Outcome::InputRequired,
        CallToolResponse::Task(_) => Outcome::Task,
        _ => Outcome::Ok,
    }
}

fn prompt_outcome(answer: &GetPromptResponse) -> Outcome {
    match answer {
        GetPromptResponse::InputRequired(_) => Outcome::InputRequired,
        _ => Outcome::Ok,
    }
}

fn resource_outcome(answer: &ReadResourceResponse) -> Outcome {
    match answer {
        ReadResourceResponse::InputRequired(_) => Outcome::InputRequired,
        _ => Outcome::Ok,
    }
}

/// Forwards request methods under a record of their own.
macro_rules! requests {
    ($($method:ident: $name:ident($($param:ident: $type:ty),*) -> $answer:ty, $judge:expr;)*) => {
        $(async fn $name(
            &self,
            $($param: $type,)*
            context: RequestContext<RoleServer>,
        ) -> Result<$answer, ErrorData> {
            let record = self.start(Method::$method, "", Target::None, &context);
            watched!(self, record, context.ct, self.inner.$name($($param,)* context), $judge)
        })*
    };
}

/// The same for those that are about something, which has a name.
macro_rules! requests_about {
    ($($method:ident: $name:ident($type:ty) -> $answer:ty, $judge:expr, $target:ident($of:ident);)*) => {
        $(async fn $name(
            &self,
            request: $type,
            context: RequestContext<RoleServer>,
        ) -> Result<$answer, ErrorData> {
            let record = self.start(Method::$method, "", Target::$target(&request.$of), &context);
            watched!(self, record, context.ct, self.inner.$name(request, context), $judge)
        })*
    };
}

/// Forwards notifications, which have no outcome.
macro_rules! notifications {
    ($($name:ident($($param:ident: $type:ty),*);)*) => {
        $(async fn $name(&self, $($param: $type,)* context: NotificationContext<RoleServer>) {
            let caller = caller::of_notification(&self.vitals.mcp().edge, &context);
            let handler = self.inner.$name($($param,)* context);
            Ready::around(caller.as_ref(), handler).await
        })*
    };
}

impl<H: ServerHandler> ServerHandler for Instrumented<H> {
    requests! {
        Ping: ping() -> (), answered;
        Discover: discover() -> DiscoverResult, answered;
        Complete: complete(request: CompleteRequestParams) -> CompleteResult, answered;
        SetLevel: set_level(request: SetLevelRequestParams) -> (), answered;
        PromptsList: list_prompts(request: Option<PaginatedRequestParams>) -> ListPromptsResult,
            answered;
        ResourcesList: list_resources(request: Option<PaginatedRequestParams>)
            -> ListResourcesResult, answered;
        ResourceTemplates: list_resource_templates(request: Option<PaginatedRequestParams>)
            -> ListResourceTemplatesResult, answered;
        DirectoryRead: read_resource_directory(request: ReadResourceDirectoryRequestParams)
            -> ReadResourceDirectoryResult, answered;
        TasksGet: get_task(request: GetTaskParams) -> GetTaskResult, answered;
        TasksUpdate: update_task(request: UpdateTaskParams) -> (), answered;
        TasksCancel: cancel_task(request: CancelTaskParams) -> (), answered;
        SkillsList: list_skills(request: Option<PaginatedRequestParams>) -> ListSkillsResult,
            answered;
        SkillsGet: get_skill(request: GetSkillRequestParams) -> GetSkillResult, answered;
    }

    requests_about! {
        PromptsGet: get_prompt(GetPromptRequestParams) -> GetPromptResponse, prompt_outcome,
            Prompt(name);
        ResourcesRead: read_resource(ReadResourceRequestParams) -> ReadResourceResponse,
            resource_outcome, Resource(uri);
        ResourcesSubscribe: subscribe(SubscribeRequestParams) -> (), answered, Resource(uri);
        ResourcesUnsubscribe: unsubscribe(UnsubscribeRequestParams) -> (), answered, Resource(uri);
    }

    notifications! {
        on_cancelled(notification: CancelledNotificationParam);
        on_progress(notification: ProgressNotificationParam);
        on_initialized();
        on_roots_list_changed();
        on_custom_notification(notification: CustomNotification);
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let record = self.start(Method::Initialize, "", Target::None, &context);
        let answer =
            watched!(self, record, context.ct, self.inner.initialize(request, context), answered);
        if answer.is_ok() && !self.vitals.is_disabled() {
            self.session.open(&self.vitals);
        }
        answer
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let record = self.start_tool(&request.name, &context);
        watched!(self, record, context.ct, self.inner.call_tool(request, context), tool_outcome)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let record = self.start(Method::ToolsList, "", Target::None, &context);
        let answer =
            watched!(self, record, context.ct, self.inner.list_tools(request, context), answered);
        if let Ok(listed) = &answer {
            self.vitals.mcp().edge.learn(listed.tools.iter().map(|tool| &*tool.name));
        }
        answer
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let record = self.start(Method::Listen, "", Target::None, context.request_context());
        watched!(self, record, context.request_context().ct, self.inner.listen(context), answered)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // By its name: one that MCP has and this `rmcp` does not model yet is still itself.
        let method = Method::parse(&request.method);
        let record = self.start(method, &request.method, Target::None, &context);
        watched!(self, record, context.ct, self.inner.on_custom_request(request, context), answered)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        // The SDK asks here about names out of HTTP headers. What the server answers is what it
        // knows.
        let tool = self.inner.get_tool(name);
        if let Some(tool) = &tool {
            self.vitals.mcp().edge.learn(std::iter::once(&*tool.name));
        }
        tool
    }

    fn get_info(&self) -> ServerConfig {
        self.inner.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }

    fn negotiate_initialize(
        &self,
        request: &InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData> {
        self.inner.negotiate_initialize(request)
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.inner.accepted_subscription_filter(requested)
    }
}
