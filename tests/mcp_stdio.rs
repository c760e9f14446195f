//! The examples as real processes on stdio: they answer, say nothing on stdout that is not the
//! protocol's, and leave their metrics in the textfile.
#![cfg(all(feature = "rmcp", feature = "http"))]

mod mcp_examples;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mcp_examples::{Folder, example, sample};
use serde_json::{Value, json};

struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(name: &str, folder: &Path) -> Server {
        let mut child = Command::new(example(name))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the example starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Server { child, stdin, stdout };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        server.ask(0, "initialize", hello);
        server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        server
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").expect("the server reads");
    }

    /// Sends a request; the answer has to be the next line on stdout.
    fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the server writes");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(id)));
        answer
    }

    /// Closes stdin and waits for the end. Nothing more may come on stdout.
    fn end(mut self) {
        drop(self.stdin);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).expect("stdout ends");
        assert_eq!(rest, "");
        assert!(self.child.wait().expect("it ends").success());
    }
}

fn script(server: &mut Server) -> Vec<Value> {
    let mut answers = vec![server.ask(1, "tools/list", json!({}))];
    for id in 2..12 {
        let call = json!({"name": "add", "arguments": {"a": id, "b": 1}});
        answers.push(server.ask(id, "tools/call", call));
    }
    answers.push(server.ask(20, "tools/call", json!({"name": "fail"})));
    answers.push(server.ask(21, "tools/call", json!({"name": "rest"})));
    answers.push(server.ask(22, "tools/call", json!({"name": "nosuch"})));
    answers.push(server.ask(23, "prompts/get", json!({"name": "nosuch"})));
    answers.push(server.ask(24, "acme/thing", json!({})));
    answers
}

#[test]
fn a_measured_server_answers_as_the_plain_one_and_leaves_its_counts() {
    let folder = Folder::new("stdio");
    let mut plain = Server::start("plain_stdio_server", folder.path());
    let mut measured = Server::start("stdio_server", folder.path());
    assert_eq!(script(&mut measured), script(&mut plain));
    plain.end();
    measured.end();
    let text = std::fs::read_to_string(folder.path().join("mcp.prom")).expect("the textfile");
    for (labels, count) in [
        ([("tool", "add"), ("operation", "execute"), ("status", "success")], 10.0),
        ([("tool", "rest"), ("operation", "execute"), ("status", "success")], 1.0),
        ([("tool", "fail"), ("operation", "execute"), ("status", "error")], 1.0),
        ([("tool", "_other"), ("operation", "execute"), ("status", "error")], 1.0),
        ([("tool", "prompts"), ("operation", "get"), ("status", "error")], 1.0),
        ([("tool", "_other"), ("operation", "_other"), ("status", "error")], 1.0),
        ([("tool", "server"), ("operation", "initialize"), ("status", "success")], 1.0),
    ] {
        assert_eq!(sample(&text, "mcp_requests_total", &labels), Some(count), "{labels:?}");
    }
    let labels = [("tool", "add"), ("operation", "execute")];
    assert_eq!(sample(&text, "mcp_request_duration_seconds_count", &labels), Some(10.0));
}

#[test]
fn five_copies_with_the_same_settings_all_answer() {
    let folder = Folder::new("copies");
    let mut servers: Vec<Server> =
        (0..5).map(|_| Server::start("stdio_server", folder.path())).collect();
    for server in &mut servers {
        let sum =
            server.ask(1, "tools/call", json!({"name": "add", "arguments": {"a": 20, "b": 22}}));
        assert_eq!(sum["result"]["content"][0]["text"], "42");
    }
    servers.into_iter().for_each(Server::end);
}
