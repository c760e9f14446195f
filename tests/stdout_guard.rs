//! The guard of stdout, each time in a process of its own: this one again, with a word that says
//! what to do. Without libtest, which prints to stdout itself.

#[cfg(not(unix))]
fn main() {
    let refused = mcp_vitals::Vitals::disabled().guard_stdout();
    assert!(matches!(refused, Err(mcp_vitals::Error::StdoutGuard(_))));
}

#[cfg(unix)]
fn main() {
    match std::env::var("MCP_VITALS_CHILD").as_deref() {
        Err(_) => unix::tests(),
        Ok("protocol") => unix::child::protocol(),
        Ok("stuck") => unix::child::stuck(),
        Ok("closed") => unix::child::closed(),
        Ok("restored") => unix::child::restored(),
        #[cfg(feature = "rmcp")]
        Ok("rmcp") => unix::child::rmcp(),
        Ok(other) => unreachable!("{other}"),
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// What "for ever" is in a test that fails.
    const LONG: Duration = Duration::from_secs(60);

    /// Rounds of `child::protocol`, and the lines that go astray in each: together less than may wait
    /// for stderr, so that none is dropped.
    const ROUNDS: usize = 300;
    const STRAYS: usize = 3;

    pub fn tests() {
        // A test's name among the arguments chooses, as with libtest; `--list` and such do not run.
        let chosen: Vec<String> = std::env::args().skip(1).collect();
        if chosen.iter().any(|argument| argument == "--list") {
            return;
        }
        let wanted = |name: &str| {
            let mut names = chosen.iter().filter(|argument| !argument.starts_with('-')).peekable();
            names.peek().is_none() || names.any(|part| name.contains(part.as_str()))
        };
        let all: &[(&str, fn())] = &[
            ("prints_go_to_stderr_and_the_protocol_stays_whole", prints_go_to_stderr),
            ("a_stderr_that_nobody_reads_stops_no_print", nobody_reads_stderr),
            ("a_stderr_that_is_closed_stops_no_print", stderr_is_closed),
            ("a_restored_stdout_is_the_real_one", restored),
            #[cfg(feature = "rmcp")]
            ("an_rmcp_server_serves_on_it", served_by_rmcp),
        ];
        for (name, test) in all.iter().filter(|(name, _)| wanted(name)) {
            test();
            eprintln!("test {name} ... ok");
        }
    }

    fn child(what: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("MCP_VITALS_CHILD", what).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Both outputs of a child that ends well.
    fn outputs(command: &mut Command) -> (String, String) {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let (out, err) = (output.stdout, output.stderr);
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert!(output.status.success(), "{err}");
        (out, err)
    }

    fn prints_go_to_stderr() {
        let (out, err) = outputs(&mut child("protocol"));
        let out: Vec<&str> = out.lines().collect();
        assert_eq!(out[0], "before the guard");
        for (n, line) in out[1..=ROUNDS].iter().enumerate() {
            assert_eq!(*line, format!("{{\"jsonrpc\":\"2.0\",\"id\":{n}}}"));
        }
        let count = format!("mcp_vitals_stdout_strays_total {}", ROUNDS * STRAYS + 3);
        assert_eq!(out[ROUNDS + 1..], [&count]);
        for n in 0..ROUNDS {
            for kind in ["whole", "in pieces", "by another thread"] {
                let line = format!("mcp-vitals: stdout: stray {n} {kind}");
                assert_eq!(err.lines().filter(|it| **it == line).count(), 1, "{line}");
            }
        }
        assert!(err.contains("mcp-vitals: stdout: from a child\n"));
        assert!(err.contains("mcp-vitals: stdout: \\u{1b}[31mred\\r\n"));
        let long = format!("mcp-vitals: stdout: {} ...\n", "x".repeat(4096));
        assert!(err.contains(&long));
        assert!(err.contains("second guard: cannot guard stdout: it is guarded already\n"));
        let strangers = err.lines().filter(|line| !line.starts_with("mcp-vitals: stdout: "));
        assert_eq!(strangers.count(), 1, "{err}");
    }

    /// The first line of what `child` writes to stdout, which must come.
    fn first_line(child: &mut Child) -> String {
        let (said, heard) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line).unwrap();
            let _ = said.send(line);
        });
        let line = heard.recv_timeout(LONG);
        if line.is_err() {
            child.kill().unwrap();
        }
        line.expect("a print hangs")
    }

    fn nobody_reads_stderr() {
        let mut child = child("stuck").spawn().unwrap();
        let counted = first_line(&mut child);
        assert!(counted.starts_with("mcp_vitals_stdout_strays_total 10000"), "{counted}");
        child.kill().unwrap();
        let mut some = String::new();
        child.stderr.take().unwrap().read_to_string(&mut some).unwrap();
        assert!(some.starts_with("mcp-vitals: stdout: stray 0 "), "{some:.100}");
        child.wait().unwrap();
    }

    fn stderr_is_closed() {
        let mut child = child("closed").spawn().unwrap();
        drop(child.stderr.take());
        let counted = first_line(&mut child);
        assert_eq!(counted, "mcp_vitals_stdout_strays_total 50000\n");
        assert!(child.wait().unwrap().success());
    }

    fn restored() {
        let (out, err) = outputs(&mut child("restored"));
        assert_eq!(out, "real\nagain\n");
        assert_eq!(err, "mcp-vitals: stdout: stray\nmcp-vitals: stdout: astray again\n");
    }

    #[cfg(feature = "rmcp")]
    fn served_by_rmcp() {
        use std::io::Write;
        let mut child = child("rmcp").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answer = || -> serde_json::Value {
            serde_json::from_str(&from.next().unwrap().unwrap()).expect("a line of the protocol")
        };
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
        writeln!(to, "{hello}").unwrap();
        assert_eq!(answer()["id"], 0);
        writeln!(to, r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#).unwrap();
        for id in 1..50 {
            writeln!(to, r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#).unwrap();
            assert_eq!(answer()["id"], id);
        }
        drop(to);
        assert!(from.next().is_none(), "the end of the session is the end of stdout");
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{err}");
        let pings = err.lines().filter(|line| *line == "mcp-vitals: stdout: pinged").count();
        assert_eq!(pings, 49, "{err}");
        assert!(err.ends_with("mcp-vitals: stdout: after the session\n"), "{err}");
    }

    pub mod child {
        use std::io::Write;
        use std::process::Command;

        use mcp_vitals::{StdoutGuard, Vitals};

        use super::{LONG, ROUNDS};

        fn start() -> (Vitals, StdoutGuard) {
            let vitals = Vitals::builder().system_metrics(false).build().unwrap();
            let guard = vitals.guard_stdout().unwrap();
            (vitals, guard)
        }

        /// The counter's line, by way of the protocol, once all that was printed is out.
        fn tell(vitals: &Vitals, guard: &StdoutGuard) {
            let text = vitals.export_prometheus();
            let mut lines = text.lines();
            let line = lines.find(|line| line.starts_with("mcp_vitals_stdout_strays_total"));
            writeln!(guard.protocol().unwrap(), "{}", line.unwrap()).unwrap();
        }

        pub fn protocol() {
            // In the standard library's buffer until the guard comes: it has no end of line.
            print!("before the guard");
            let (vitals, guard) = start();
            let mut protocol = guard.protocol().unwrap();
            protocol.write_all(b"\n").unwrap();
            let again = vitals.guard_stdout().unwrap_err();
            eprintln!("second guard: {again}");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    (0..ROUNDS).for_each(|n| println!("stray {n} by another thread"));
                });
                for n in 0..ROUNDS {
                    println!("stray {n} whole");
                    writeln!(protocol, "{{\"jsonrpc\":\"2.0\",\"id\":{n}}}").unwrap();
                }
            });
            for n in 0..ROUNDS {
                print!("stray {n} ");
                std::io::stdout().flush().unwrap();
                println!("in pieces");
            }
            assert!(Command::new("echo").arg("from a child").status().unwrap().success());
            println!("\u{1b}[31mred\r");
            println!("{}", "x".repeat(10_000));
            vitals.shutdown(LONG);
            tell(&vitals, &guard);
        }

        /// More than all buffers on the way hold, while nobody reads stderr and somebody waits for
        /// that.
        pub fn stuck() {
            let (vitals, guard) = start();
            flood();
            let waiting = vitals.clone();
            std::thread::spawn(move || waiting.shutdown(LONG));
            flood();
            // A line may have been in the middle when the shutdown looked: it counts as two then.
            let counted = |text: String| {
                let mut lines = text.lines();
                let count = lines
                    .find_map(|line| line.strip_prefix("mcp_vitals_stdout_strays_total "))
                    .and_then(|count| count.parse::<u32>().ok());
                count.is_some_and(|count| (100_000..=100_001).contains(&count))
            };
            while !counted(vitals.export_prometheus()) {
                std::thread::yield_now();
            }
            tell(&vitals, &guard);
            std::thread::sleep(LONG);
        }

        pub fn closed() {
            let (vitals, guard) = start();
            flood();
            vitals.shutdown(LONG);
            tell(&vitals, &guard);
        }

        fn flood() {
            (0..50_000).for_each(|n| println!("stray {n} {}", "x".repeat(100)));
        }

        pub fn restored() {
            let (vitals, guard) = start();
            println!("stray");
            vitals.shutdown(LONG);
            guard.restore().unwrap();
            println!("real");
            let guard = vitals.guard_stdout().unwrap();
            println!("astray again");
            vitals.shutdown(LONG);
            writeln!(guard.protocol().unwrap(), "again").unwrap();
        }

        #[cfg(feature = "rmcp")]
        pub fn rmcp() {
            use rmcp::service::RequestContext;
            use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};

            struct Chatty;

            impl ServerHandler for Chatty {
                async fn ping(&self, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
                    println!("pinged");
                    Ok(())
                }
            }

            let vitals = Vitals::builder().system_metrics(false).build().unwrap();
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Chatty.serve(vitals.guard_stdout().unwrap()).await.unwrap();
                server.waiting().await.unwrap();
            });
            println!("after the session");
            vitals.shutdown(LONG);
        }
    }
}
