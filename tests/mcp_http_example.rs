//! The HTTP examples as real processes: the measured one answers as the plain one does, and `/metrics`
//! holds what was sent.
#![cfg(all(feature = "rmcp", feature = "http"))]

mod mcp_examples;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use mcp_examples::{example, sample};
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, CallToolResult, Tool};
use rmcp::transport::StreamableHttpClientTransport;
use serde_json::json;

/// A child that is stopped whatever becomes of the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(name: &str, arguments: &[&str]) -> Server {
        let mut child = Command::new(example(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let url = stderr
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("mcp: ").map(str::to_owned))
            .expect("it says where it is");
        Server { child, url }
    }

    /// Stops it; what it wrote to stdout.
    fn stop(mut self) -> String {
        self.child.kill().expect("it runs");
        let mut stdout = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("UTF-8");
        stdout
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn script(url: &str) -> (Vec<Tool>, Vec<CallToolResult>, i32) {
    let client = ().serve(StreamableHttpClientTransport::from_uri(url)).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    let mut answers = Vec::new();
    for n in 0..10 {
        let arguments = json!({"a": n, "b": 1}).as_object().cloned().unwrap();
        let sum = CallToolRequestParams::new("add").with_arguments(arguments);
        answers.push(client.call_tool(sum).await.unwrap());
    }
    answers.push(client.call_tool(CallToolRequestParams::new("fail")).await.unwrap());
    let unknown = match client.call_tool(CallToolRequestParams::new("nosuch")).await {
        Err(rmcp::ServiceError::McpError(error)) => error.code.0,
        other => panic!("{other:?}"),
    };
    client.cancel().await.unwrap();
    (tools, answers, unknown)
}

fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the answer ends");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

#[tokio::test]
async fn a_measured_server_answers_as_the_plain_one_and_exposes_its_counts() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
    let plain = Server::start("plain_http_server", &["127.0.0.1:0"]);
    let measured = Server::start("http_server", &["127.0.0.1:0", &free.to_string()]);
    assert_eq!(script(&measured.url).await, script(&plain.url).await);
    let text = scrape(free);
    for (tool, operation, status, count) in [
        ("add", "execute", "success", 10.0),
        ("fail", "execute", "error", 1.0),
        ("_other", "execute", "error", 1.0),
        ("tools", "list", "success", 1.0),
        ("server", "initialize", "success", 1.0),
    ] {
        let labels = [("tool", tool), ("operation", operation), ("status", status)];
        assert_eq!(sample(&text, "mcp_requests_total", &labels), Some(count), "{labels:?}");
    }
    assert_eq!(measured.stop(), "");
}
