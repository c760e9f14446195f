use mcp_vitals::{log_operation, trace_mcp_tool, traced, track_request_metrics};

#[track_request_metrics(tool = "t")]
fn missing() {}

#[track_request_metrics]
fn missing_both() {}

#[track_request_metrics(tool = "t", operation = "o", status = "ok")]
fn unknown() {}

#[trace_mcp_tool(tool = 3, operation = "o")]
fn wrong_literal() {}

#[trace_mcp_tool(tool = "", operation = "o")]
fn empty() {}

#[trace_mcp_tool(tool = "t", operation = "o", tool = "t")]
fn twice() {}

#[log_operation(operation = "o", tool = "t", level = "loud")]
fn unknown_level() {}

#[traced("name")]
fn no_key() {}

#[traced(kind = "servant")]
fn unknown_kind() {}

#[traced(skip_all)]
fn skips() {}

#[traced(fields(a + b))]
fn no_field() {}

#[traced(fields(n = ))]
fn no_value() {}

#[traced]
struct Struct;

#[traced]
const NUMBER: u32 = 1;

#[traced]
impl Struct {}

#[traced]
const fn constant() {}

#[traced]
unsafe fn dangerous() {}

trait Trait {
    #[traced]
    fn without_body(&self);
}

#[traced]
fn makes() -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    let future = async {};
    Box::pin(future)
}

fn main() {}
