//! One client: a real `rmcp` client over streamable HTTP, in a session of its own.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientConfig, ClientRequest, CustomRequest,
    GetPromptRequest, GetPromptRequestParams, ListToolsRequest, PingRequest,
    ProgressNotificationParam, ProgressToken, ServerResult,
};
use rmcp::service::{
    NotificationContext, PeerRequestOptions, RequestHandle, RoleClient, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, Peer, ServiceError, ServiceExt};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::deck::Card;
use super::swarm::{NOTES, note};
use super::tally::{End, Kind, Tally};

/// Long past anything that the server does.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Agents that a client keeps.
const AGENTS: usize = 4;

/// A connected client.
pub(super) struct Client {
    running: RunningService<RoleClient, Arc<Listener>>,
    caller: Arc<Caller>,
}

/// What sends a client's requests, several at a time.
pub(super) struct Caller {
    peer: Peer<RoleClient>,
    listener: Arc<Listener>,
    tally: Arc<Tally>,
    tools: HashSet<String>,
    agents: Mutex<VecDeque<u64>>,
    chance: Mutex<fastrand::Rng>,
}

/// Hears which of the client's requests the server reports progress on.
#[derive(Default)]
pub(super) struct Listener {
    heard: Mutex<HashSet<ProgressToken>>,
    news: Notify,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        lock(&self.heard).insert(progress.progress_token);
        self.news.notify_waiters();
    }
}

impl Listener {
    /// Returns once there was progress on the request of this token.
    async fn progress(&self, token: &ProgressToken) {
        loop {
            let news = self.news.notified();
            if lock(&self.heard).remove(token) {
                return;
            }
            news.await;
        }
    }
}

impl Client {
    /// Opens a session and learns the server's tools.
    pub(super) async fn connect(
        url: &str,
        http: reqwest::Client,
        tally: Arc<Tally>,
        seed: u64,
    ) -> Result<Client, String> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(url);
        // The transport would initialize again by itself, uncounted.
        config.reinit_on_expired_session = false;
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let listener = Arc::new(Listener::default());
        let running = listener.clone().serve(transport).await.map_err(|error| error.to_string())?;
        tally.count(Kind::new("server", "initialize"), End::Success);
        tally.session();
        let mut caller = Caller {
            peer: running.peer().clone(),
            listener,
            tally,
            tools: HashSet::new(),
            agents: Mutex::default(),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
        };
        let kind = Kind::new("tools", "list");
        match caller.send(kind, list_tools()).await {
            Some(ServerResult::ListToolsResult(listed)) => {
                caller.tools = listed.tools.into_iter().map(|tool| tool.name.into()).collect();
            }
            _ => return Err("the server does not list its tools".to_owned()),
        }
        Ok(Client { running, caller: Arc::new(caller) })
    }

    pub(super) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Ends the session.
    pub(super) async fn leave(mut self) {
        let _ = self.running.close_with_timeout(Duration::from_secs(5)).await;
    }
}

impl Caller {
    /// Sends what the card says, waits for its end and counts it.
    pub(super) async fn play(&self, card: Card) {
        match card {
            Card::SwarmInit => {
                self.call("swarm_init", json!({"topology": self.one_of(["mesh", "ring", "star"])}))
                    .await;
            }
            Card::Agent => self.agent().await,
            Card::Task => {
                let kind = self.one_of(["review", "search", "test"]);
                self.call("task_orchestrate", self.task(kind)).await;
            }
            Card::Impatient => self.lose_patience().await,
            Card::Store => {
                let value = self.one_of(["done", "half done", "to be done by somebody else"]);
                let arguments = json!({"action": "store", "key": self.key(), "value": value});
                self.call("memory_usage", arguments).await;
            }
            Card::Retrieve => {
                self.call("memory_usage", json!({"action": "retrieve", "key": self.key()})).await;
            }
            Card::Search => {
                self.call("memory_usage", json!({"action": "search", "key": "done"})).await;
            }
            Card::Delete => {
                self.call("memory_usage", json!({"action": "delete", "key": self.key()})).await;
            }
            Card::PredictSmall => self.predict("small", "what comes next").await,
            Card::PredictLarge => self.predict("large", "what comes next, and what after").await,
            Card::PredictRetired => self.predict("retired", "are you there").await,
            Card::EmptyPrompt => self.predict("small", "").await,
            Card::BadArguments => {
                self.call("swarm_init", json!({"topology": 7})).await;
            }
            Card::Login => {
                let user = self.one_of(["ada", "bob", "cleo", "dan", "eve"]);
                // A slip of the finger now and then.
                let secret = if self.number(30) == 0 { "swordfihs" } else { "swordfish" };
                let method = self.one_of(["password", "token"]);
                let arguments = json!({"user": user, "method": method, "secret": secret});
                self.call("auth_login", arguments).await;
            }
            Card::Intruder => {
                let secret = format!("guess {}", self.number(1_000_000));
                let arguments = json!({"user": "root", "method": "password", "secret": secret});
                self.call("auth_login", arguments).await;
            }
            Card::UnknownTool => {
                let name = self.one_of(["agent_clone", "swarm_destroy", "swarm_fork"]);
                self.call(name, json!({})).await;
            }
            Card::UnknownPrompt => {
                let params = GetPromptRequestParams::new("haiku");
                let request = ClientRequest::GetPromptRequest(GetPromptRequest::new(params));
                self.send(Kind::new("prompts", "get"), request).await;
            }
            Card::UnknownMethod => {
                let request = CustomRequest::new("swarm/dance", None);
                let request = ClientRequest::CustomRequest(request);
                self.send(Kind::new("_other", "_other"), request).await;
            }
            Card::Ping => {
                let request = ClientRequest::PingRequest(PingRequest::default());
                self.send(Kind::new("server", "ping"), request).await;
            }
            Card::ListTools => {
                self.send(Kind::new("tools", "list"), list_tools()).await;
            }
        }
    }

    /// Spawns an agent, or finishes the oldest where there are enough.
    async fn agent(&self) {
        let oldest = {
            let mut agents = lock(&self.agents);
            if agents.len() < AGENTS { None } else { agents.pop_front() }
        };
        if let Some(number) = oldest {
            self.call("agent_finish", json!({"agent": number})).await;
            return;
        }
        let kind = self.one_of(["analyst", "coder", "researcher", "tester"]);
        let answer = self.call("agent_spawn", json!({"type": kind})).await;
        if let Some(ServerResult::CallToolResult(result)) = answer
            && let Some(number) = result.structured_content.and_then(|said| said["agent"].as_u64())
        {
            lock(&self.agents).push_back(number);
        }
    }

    async fn predict(&self, model: &str, prompt: &str) {
        self.call("neural_predict", json!({"model": model, "prompt": prompt})).await;
    }

    /// Asks for a long task, and withdraws it a moment after the server has said that it is at it.
    ///
    /// A request that is withdrawn before it has arrived may never be counted by the server, so the
    /// client waits for that word.
    async fn lose_patience(&self) {
        let kind = self.kind("task_orchestrate");
        let request = tool_call("task_orchestrate", self.task("research"));
        let options = PeerRequestOptions::no_options();
        let Ok(mut handle) = self.peer.send_cancellable_request(request, options).await else {
            return self.tally.count(kind, End::Unknown);
        };
        let token = handle.progress_token.clone();
        let patience = Duration::from_millis(40 + self.number(160));
        let bored = async {
            self.listener.progress(&token).await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            answer = &mut handle.rx => {
                let answer = answer.unwrap_or(Err(ServiceError::TransportClosed));
                self.tally.count(kind, end(&answer));
            }
            done = tokio::time::timeout(TIMEOUT, bored) => {
                let withdrawn = handle.cancel(Some("too slow".to_owned())).await;
                let known = done.is_ok() && withdrawn.is_ok();
                self.tally.count(kind, if known { End::Cancelled } else { End::Unknown });
            }
        }
    }

    /// Calls a tool; what it answered, if it did.
    async fn call(&self, tool: &'static str, arguments: Value) -> Option<ServerResult> {
        self.send(self.kind(tool), tool_call(tool, arguments)).await
    }

    /// Sends a request, waits for its end and counts it; the answer, if one came.
    async fn send(&self, kind: Kind, request: ClientRequest) -> Option<ServerResult> {
        let options = PeerRequestOptions::with_timeout(TIMEOUT);
        let sent = self.peer.send_cancellable_request(request, options).await;
        let answer = match sent {
            Ok(handle) => RequestHandle::await_response(handle).await,
            Err(error) => Err(error),
        };
        self.tally.count(kind, end(&answer));
        answer.ok()
    }

    /// A tool's name if the server listed it.
    fn kind(&self, tool: &'static str) -> Kind {
        let tool = if self.tools.contains(tool) { tool } else { "_other" };
        Kind::new(tool, "execute")
    }

    fn task(&self, kind: &str) -> Value {
        json!({"task_type": kind, "priority": self.one_of(["low", "normal", "normal", "high"])})
    }

    fn key(&self) -> String {
        note(self.number(NOTES))
    }

    fn number(&self, below: u64) -> u64 {
        lock(&self.chance).u64(..below)
    }

    fn one_of<const N: usize>(&self, words: [&'static str; N]) -> &'static str {
        words[lock(&self.chance).usize(..N)]
    }
}

/// How a request ended, as this side can tell.
fn end(answer: &Result<ServerResult, ServiceError>) -> End {
    match answer {
        Ok(ServerResult::CallToolResult(result)) if result.is_error == Some(true) => End::Error,
        Ok(_) => End::Success,
        Err(ServiceError::McpError(_)) => End::Error,
        // The SDK has withdrawn the request by itself.
        Err(ServiceError::Timeout { .. }) => End::Cancelled,
        Err(_) => End::Unknown,
    }
}

fn tool_call(tool: &'static str, arguments: Value) -> ClientRequest {
    let mut params = CallToolRequestParams::new(tool);
    if let Value::Object(arguments) = arguments {
        params = params.with_arguments(arguments);
    }
    ClientRequest::CallToolRequest(CallToolRequest::new(params))
}

fn list_tools() -> ClientRequest {
    ClientRequest::ListToolsRequest(ListToolsRequest::default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
