//! The wrapper around an `rmcp` [`Service`], for servers that are no `ServerHandler`: routers and
//! services written by hand. (Streamable HTTP takes only the other kind.)

use std::borrow::Cow;

use rmcp::ErrorData;
use rmcp::model::{ClientNotification, ClientRequest, ProtocolVersion, ServerConfig, ServerResult};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, Service};

use super::caller;
use super::method::Method;
use super::request::InFlight;
use super::session::Session;
use super::spans::Target;
use super::watch::{watch, watched};
use crate::Vitals;
use crate::catalog::Outcome;
use crate::logs::Ready;

/// `service.instrumented_service(&vitals)` for every `rmcp` service.
pub trait InstrumentServiceExt: Service<RoleServer> + Sized {
    /// Wraps the service so that every request to it is counted and timed, those included that
    /// `rmcp`'s own dispatcher refuses. A client sees no difference.
    ///
    /// Tool names are known from the answers to `tools/list`, or by
    /// [`Mcp::learn_tools`](crate::Mcp::learn_tools): a service cannot be asked about one name.
    fn instrumented_service(self, vitals: &Vitals) -> InstrumentedService<Self> {
        InstrumentedService {
            inner: self,
            vitals: vitals.clone(),
            answer_panics: false,
            session: Session::default(),
        }
    }
}

impl<S: Service<RoleServer>> InstrumentServiceExt for S {}

/// A [`Service`] that records each request to the one inside it, from
/// [`InstrumentServiceExt::instrumented_service`].
pub struct InstrumentedService<S> {
    inner: S,
    vitals: Vitals,
    answer_panics: bool,
    session: Session,
}

impl<S> InstrumentedService<S> {
    /// As [`Instrumented::answer_panics`](super::Instrumented::answer_panics).
    #[must_use]
    pub fn answer_panics(mut self, answer: bool) -> Self {
        self.answer_panics = answer;
        self
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

fn outcome(answer: &ServerResult) -> Outcome {
    match answer {
        ServerResult::CallToolResult(result) if result.is_error == Some(true) => Outcome::ToolError,
        ServerResult::InputRequiredResult(_) => Outcome::InputRequired,
        ServerResult::CreateTaskResult(_) => Outcome::Task,
        _ => Outcome::Ok,
    }
}

impl<S: Service<RoleServer>> Service<RoleServer> for InstrumentedService<S> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        let edge = &self.vitals.mcp().edge;
        let method = Method::parse(request.method());
        let record = match &request {
            _ if edge.is_disabled() => InFlight::DISABLED,
            ClientRequest::CallToolRequest(call) => {
                let name = &call.params.name;
                caller::enter(edge, edge.tool(name, |_| None), "", Target::Tool(name), &context)
            }
            _ => {
                let target = match &request {
                    ClientRequest::GetPromptRequest(get) => Target::Prompt(&get.params.name),
                    ClientRequest::ReadResourceRequest(read) => Target::Resource(&read.params.uri),
                    ClientRequest::SubscribeRequest(to) => Target::Resource(&to.params.uri),
                    ClientRequest::UnsubscribeRequest(from) => Target::Resource(&from.params.uri),
                    _ => Target::None,
                };
                let series = edge.method(method).clone();
                caller::enter(edge, series, request.method(), target, &context)
            }
        };
        let answer = watched!(
            self,
            record,
            context.ct,
            self.inner.handle_request(request, context),
            outcome
        );
        match &answer {
            Ok(ServerResult::ListToolsResult(listed)) => {
                edge.learn(listed.tools.iter().map(|tool| &*tool.name));
            }
            Ok(ServerResult::InitializeResult(_)) if !edge.is_disabled() => {
                self.session.open(&self.vitals);
            }
            _ => {}
        }
        answer
    }

    async fn handle_notification(
        &self,
        notification: ClientNotification,
        context: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = caller::of_notification(&self.vitals.mcp().edge, &context);
        let handler = self.inner.handle_notification(notification, context);
        Ready::around(caller.as_ref(), handler).await
    }

    fn get_info(&self) -> ServerConfig {
        self.inner.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }
}
