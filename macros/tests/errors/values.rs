use mcp_vitals::Labels;

#[derive(Labels)]
enum Never {}

#[derive(Labels)]
enum Status {
    Success,
    #[label("success")]
    Ok,
    RateLimited(u32),
    #[label("")]
    Nothing,
    #[label("_other")]
    Other,
}

#[derive(Labels)]
#[label(rename_all = "snake")]
enum Operation {
    #[label(name = "read")]
    Read,
    #[label]
    Write,
}

#[derive(Labels)]
enum Le {
    A,
}

fn main() {}
