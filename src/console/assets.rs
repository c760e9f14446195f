//! The page's files, in the binary.

use std::sync::LazyLock;

use bytes::Bytes;

/// One file of the page.
pub(super) struct Asset {
    /// Its path below `/console/`.
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static [u8],
}

impl Asset {
    /// What it is told apart by from what it was in another version.
    pub(super) fn etag(&self) -> &'static str {
        static TAGS: LazyLock<Vec<String>> =
            LazyLock::new(|| ASSETS.iter().map(|asset| tag(asset.bytes)).collect());
        let place = ASSETS.iter().position(|asset| asset.path == self.path);
        place.and_then(|place| TAGS.get(place)).map_or("", String::as_str)
    }

    pub(super) fn body(&self) -> Bytes {
        Bytes::from_static(self.bytes)
    }
}

/// FNV-1a of 64 bits: nobody gains by two files of the same.
fn tag(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("\"{hash:016x}\"")
}

/// The file at `path`, below `/console/`.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    let path = if path.is_empty() { "index.html" } else { path };
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Each file as `path => content type`, below `page/`.
macro_rules! assets {
    ($($path:literal => $content:expr,)*) => {
        static ASSETS: &[Asset] = &[$(Asset {
            path: $path,
            content_type: $content,
            bytes: include_bytes!(concat!("page/", $path)),
        },)*];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

assets! {
    "index.html" => HTML,
    "style.css" => CSS,
    "icon.svg" => SVG,
    "app.js" => SCRIPT,
    "agents_tables.js" => SCRIPT,
    "charts.js" => SCRIPT,
    "dom.js" => SCRIPT,
    "format.js" => SCRIPT,
    "heatmap.js" => SCRIPT,
    "history.js" => SCRIPT,
    "live.js" => SCRIPT,
    "logline.js" => SCRIPT,
    "marks.js" => SCRIPT,
    "range.js" => SCRIPT,
    "request_columns.js" => SCRIPT,
    "router.js" => SCRIPT,
    "rules.js" => SCRIPT,
    "spark.js" => SCRIPT,
    "table.js" => SCRIPT,
    "theme.js" => SCRIPT,
    "tile.js" => SCRIPT,
    "view_agents.js" => SCRIPT,
    "view_cardinality.js" => SCRIPT,
    "view_engine.js" => SCRIPT,
    "view_logs.js" => SCRIPT,
    "view_overview.js" => SCRIPT,
    "view_tool.js" => SCRIPT,
    "view_tools.js" => SCRIPT,
    "view_trace.js" => SCRIPT,
    "view_traces.js" => SCRIPT,
    "waterfall.js" => SCRIPT,
    "vendor/uPlot.esm.js" => SCRIPT,
    "vendor/uPlot.min.css" => CSS,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                files(&path, &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    /// Files that are there to be read, not served.
    const BESIDE: [&str; 2] = ["LICENSE", "VERSION"];

    #[test]
    fn every_file_of_the_page_is_served() {
        let mut there = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/page"), "", &mut there);
        let beside = |name: &String| BESIDE.contains(&name.rsplit('/').next().unwrap_or(name));
        there.retain(|name| !beside(name));
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.into()).collect();
        assert_eq!(there, served);
        assert_eq!(served.len(), ASSETS.len(), "none stands twice");
    }

    #[test]
    fn content_types_are_those_of_the_endings() {
        for asset in ASSETS {
            let expected = match asset.path.rsplit('.').next().unwrap() {
                "html" => HTML,
                "css" => CSS,
                "js" => SCRIPT,
                "svg" => "image/svg+xml",
                other => panic!("a file that ends in {other}"),
            };
            assert_eq!(asset.content_type, expected, "{}", asset.path);
        }
    }

    #[test]
    fn tags_differ_where_files_do() {
        let tags: BTreeSet<_> = ASSETS.iter().map(Asset::etag).collect();
        assert_eq!(tags.len(), ASSETS.len());
        assert!(tags.iter().all(|tag| tag.len() == 18));
    }

    /// What the policy forbids would not be shown.
    #[test]
    fn the_page_has_no_script_or_style_of_its_own_and_loads_nothing_from_elsewhere() {
        let index = std::str::from_utf8(find("").unwrap().bytes).unwrap();
        assert!(!index.contains("style=\"") && !index.contains("<style"));
        assert!(!index.contains("http://") && !index.contains("https://"));
        assert!(index.split("<script").skip(1).all(|tag| tag.contains("src=")));
    }
}
