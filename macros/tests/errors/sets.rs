use mcp_vitals::Labels;

#[derive(Labels)]
struct Tuple(bool, bool);

#[derive(Labels)]
struct Empty {}

#[derive(Labels)]
struct Names<'a> {
    le: bool,
    __reserved: bool,
    #[label(name = "tool-name")]
    tool: &'a str,
    cached: bool,
    #[label(name = "cached")]
    again: bool,
    #[label("status")]
    st: bool,
}

#[derive(Labels)]
#[label(rename_all = "camelCase")]
struct Case {
    cached: bool,
}

#[derive(Labels)]
union Union {
    cached: bool,
}

fn main() {}
