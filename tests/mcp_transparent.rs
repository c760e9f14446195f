//! Wrapping changes nothing that a client can see: the same bytes go to a plain server and to a
//! wrapped one, and the same bytes come back.
#![cfg(feature = "rmcp")]
#![allow(deprecated)] // parts of the protocol on their way out are forwarded, too

mod mcp_fixture;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use mcp_fixture::*;
use mcp_vitals::{InstrumentExt, InstrumentServiceExt};
use rmcp::model::*;
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};

/// Overrides every method. A request is answered with a code of its method's own, so that one that
/// is not forwarded shows: the trait's default bodies answer something else.
#[derive(Clone, Default)]
struct Everything {
    heard: Arc<Mutex<Vec<&'static str>>>,
    refuse_initialize: bool,
}

macro_rules! refuse {
    ($($code:literal $name:ident($($type:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $(_: $type,)* _: RequestContext<RoleServer>)
            -> Result<$answer, ErrorData>
        {
            Err(ErrorData::new(ErrorCode($code), stringify!($name), Some(json!({"at": $code}))))
        })*
    };
}

macro_rules! hear {
    ($($name:ident($($type:ty),*);)*) => {
        $(async fn $name(&self, $(_: $type,)* _: NotificationContext<RoleServer>) {
            self.heard.lock().unwrap().push(stringify!($name));
        })*
    };
}

impl ServerHandler for Everything {
    refuse! {
        1001 ping() -> ();
        1002 discover() -> DiscoverResult;
        1003 complete(CompleteRequestParams) -> CompleteResult;
        1004 set_level(SetLevelRequestParams) -> ();
        1005 get_prompt(GetPromptRequestParams) -> GetPromptResponse;
        1006 list_prompts(Option<PaginatedRequestParams>) -> ListPromptsResult;
        1007 list_resources(Option<PaginatedRequestParams>) -> ListResourcesResult;
        1008 list_resource_templates(Option<PaginatedRequestParams>) -> ListResourceTemplatesResult;
        1009 read_resource(ReadResourceRequestParams) -> ReadResourceResponse;
        1010 read_resource_directory(ReadResourceDirectoryRequestParams) -> ReadResourceDirectoryResult;
        1011 subscribe(SubscribeRequestParams) -> ();
        1012 unsubscribe(UnsubscribeRequestParams) -> ();
        1013 get_task(GetTaskParams) -> GetTaskResult;
        1014 update_task(UpdateTaskParams) -> ();
        1015 cancel_task(CancelTaskParams) -> ();
        1016 list_skills(Option<PaginatedRequestParams>) -> ListSkillsResult;
        1017 get_skill(GetSkillRequestParams) -> GetSkillResult;
        1018 call_tool(CallToolRequestParams) -> CallToolResponse;
        1019 list_tools(Option<PaginatedRequestParams>) -> ListToolsResult;
        1020 on_custom_request(CustomRequest) -> CustomResult;
    }

    hear! {
        on_cancelled(CancelledNotificationParam);
        on_progress(ProgressNotificationParam);
        on_initialized();
        on_roots_list_changed();
        on_custom_notification(CustomNotification);
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        if self.refuse_initialize {
            return Err(ErrorData::new(ErrorCode(1021), "initialize", None));
        }
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn listen(&self, _: SubscriptionContext) -> Result<(), ErrorData> {
        Err(ErrorData::new(ErrorCode(1022), "listen", None))
    }

    fn negotiate_initialize(
        &self,
        _: &InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData> {
        let mut info = self.get_info();
        info.instructions = Some("negotiated here".to_owned());
        Ok(info)
    }

    fn accepted_subscription_filter(
        &self,
        asked: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(asked.clone())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == "known").then(|| Tool::new("known", "a tool", Arc::new(JsonObject::new())))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&[ProtocolVersion::V_2026_07_28, ProtocolVersion::V_2025_06_18])
    }

    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_resources()
            .enable_logging()
            .enable_completions()
            .enable_tasks()
            .enable_skills_with_directory_read()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.instructions = Some("do as you are told".to_owned());
        info
    }
}

/// Requests of the protocol with a handshake, with the code that the method's own answer bears.
fn legacy_requests() -> Vec<(&'static str, Value, i32)> {
    let tasks = json!({"taskId": "t", "inputResponses": {}, "_meta": tasks_meta()});
    vec![
        ("ping", json!({}), 1001),
        (
            "completion/complete",
            json!({
                "ref": {"type": "ref/prompt", "name": "p"},
                "argument": {"name": "a", "value": "v"},
            }),
            1003,
        ),
        ("logging/setLevel", json!({"level": "info"}), 1004),
        ("prompts/get", json!({"name": "p"}), 1005),
        ("prompts/list", json!({}), 1006),
        ("resources/list", json!({}), 1007),
        ("resources/templates/list", json!({}), 1008),
        ("resources/read", json!({"uri": "file:///x"}), 1009),
        ("resources/directory/read", json!({"uri": "file:///x"}), 1010),
        ("resources/subscribe", json!({"uri": "file:///x"}), 1011),
        ("resources/unsubscribe", json!({"uri": "file:///x"}), 1012),
        ("tasks/get", tasks.clone(), 1013),
        ("tasks/update", tasks.clone(), 1014),
        ("tasks/cancel", tasks, 1015),
        ("skills/list", json!({}), 1016),
        ("skills/get", json!({"uri": "skill://x/SKILL.md"}), 1017),
        ("tools/call", json!({"name": "x"}), 1018),
        ("tools/list", json!({}), 1019),
        ("acme/thing", json!({"x": 1}), 1020),
    ]
}

/// Declares the tasks extension for one request.
fn tasks_meta() -> Value {
    json!({
        "io.modelcontextprotocol/clientCapabilities": {
            "extensions": {"io.modelcontextprotocol/tasks": {}},
        },
    })
}

async fn answers_of<S: rmcp::Service<RoleServer>>(server: S) -> Vec<String> {
    let mut raw = Raw::connect(server);
    let mut lines = vec![raw.initialize().await];
    for (id, (method, params, _)) in legacy_requests().into_iter().enumerate() {
        lines.push(raw.ask(id as u64 + 1, method, params).await);
    }
    lines
}

#[tokio::test]
async fn every_request_reaches_the_servers_own_method() {
    let plain = answers_of(Everything::default()).await;
    assert!(plain[0].contains("negotiated here"), "{}", plain[0]);
    for (line, (method, _, code)) in plain[1..].iter().zip(legacy_requests()) {
        assert!(line.contains(&format!("\"code\":{code}")), "{method}: {line}");
    }
    let vitals = vitals();
    assert_eq!(answers_of(Everything::default().instrumented(&vitals)).await, plain);
    assert_eq!(answers_of(Everything::default().instrumented_service(&vitals)).await, plain);
    let answering = Everything::default().instrumented(&vitals).answer_panics(true);
    assert_eq!(answers_of(answering).await, plain);
    let off = mcp_vitals::Vitals::disabled();
    assert_eq!(answers_of(Everything::default().instrumented(&off)).await, plain);
}

#[tokio::test]
async fn a_refused_handshake_is_the_servers_own() {
    let server = Everything { refuse_initialize: true, ..Default::default() };
    let vitals = vitals();
    let plain = Raw::connect(server.clone()).initialize_only().await;
    assert!(plain.contains("1021"), "{plain}");
    assert_eq!(Raw::connect(server.instrumented(&vitals)).initialize_only().await, plain);
    assert_eq!(total(&vitals, "server", "initialize", "error"), 1.0);
    assert_eq!(value(&vitals, "mcp_sessions_total", &[]), 0.0);
}

#[tokio::test]
async fn the_protocol_without_handshake_comes_through() {
    async fn lines<S: rmcp::Service<RoleServer>>(server: S) -> Vec<String> {
        let mut raw = Raw::connect(server);
        let discovered = raw.ask(1, "server/discover", json!({"_meta": meta()})).await;
        let call = json!({"name": "x", "_meta": meta()});
        let called = raw.ask(2, "tools/call", call).await;
        let filter = json!({"notifications": {"toolsListChanged": true}, "_meta": meta()});
        let acknowledged = raw.ask(3, "subscriptions/listen", filter).await;
        let ended = raw.receive().await;
        let version = json!({
            "io.modelcontextprotocol/protocolVersion": "1999-01-01",
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let unsupported = raw.ask(4, "tools/list", json!({"_meta": version})).await;
        vec![discovered, called, acknowledged, ended, unsupported]
    }
    let plain = lines(Everything::default()).await;
    for (line, code) in plain.iter().zip(["1002", "1018", "acknowledged", "1022", "-32022"]) {
        assert!(line.contains(code), "{code}: {line}");
    }
    let vitals = vitals();
    assert_eq!(lines(Everything::default().instrumented(&vitals)).await, plain);
    assert_eq!(total(&vitals, "subscriptions", "listen", "error"), 1.0);
    let never = [("tool", "subscriptions"), ("operation", "listen")];
    assert_eq!(vitals.snapshot().value("mcp_request_duration_seconds", &never), None);
    assert_eq!(lines(Everything::default().instrumented_service(&vitals)).await, plain);
    assert_eq!(errors(&vitals, "tools", "list", "client_unsupported_version"), 1.0);
}

#[tokio::test]
async fn every_notification_is_heard() {
    let vitals = vitals();
    let server = Everything::default();
    let heard = server.heard.clone();
    let mut raw = Raw::connect(server.instrumented(&vitals));
    raw.initialize().await;
    for (method, params) in [
        ("notifications/cancelled", json!({"requestId": 99})),
        ("notifications/progress", json!({"progressToken": 1, "progress": 0.5})),
        ("notifications/roots/list_changed", json!({})),
        ("notifications/acme", json!({"x": 1})),
    ] {
        raw.send(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }
    until("all are heard", || heard.lock().unwrap().len() == 5).await;
    let mut names = heard.lock().unwrap().clone();
    names.sort_unstable();
    let all = [
        "on_cancelled",
        "on_custom_notification",
        "on_initialized",
        "on_progress",
        "on_roots_list_changed",
    ];
    assert_eq!(names, all);
}

#[test]
fn what_is_asked_without_a_request_is_the_servers_own_answer() {
    let vitals = vitals();
    let plain = Everything::default();
    let wrapped = plain.clone().instrumented(&vitals);
    assert_eq!(wrapped.get_tool("known"), plain.get_tool("known"));
    assert_eq!(wrapped.get_tool("unknown"), None);
    assert_eq!(ServerHandler::get_info(&wrapped), ServerHandler::get_info(&plain));
    let versions = ServerHandler::supported_protocol_versions(&wrapped);
    assert_eq!(versions, ServerHandler::supported_protocol_versions(&plain));
    let filter = SubscriptionFilter::default();
    assert_eq!(wrapped.accepted_subscription_filter(&filter), Some(filter));
    // What the SDK asked about is known from then on.
    assert_eq!(total(&vitals, "known", "execute", "success"), 0.0);
}
