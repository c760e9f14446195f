//! The methods of MCP that a server answers: a closed list, because a method's name comes from the
//! client and becomes two labels.

macro_rules! methods {
    ($($variant:ident = $name:literal => $tool:literal, $operation:literal;)*) => {
        /// A method that a server answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Method {
            $(#[doc = $name] $variant,)*
            /// Everything else: a custom method, or a client's invention.
            Other,
        }

        impl Method {
            /// How many there are, [`Method::Other`] included.
            pub(crate) const COUNT: usize = Method::Other as usize + 1;

            /// Its name; `_other` for what is none of MCP's.
            #[inline]
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Method::$variant => $name,)*
                    Method::Other => OTHER,
                }
            }

            /// Every name of the list with its labels.
            #[cfg(test)]
            pub(crate) const NAMES: &[(&str, Method)] = &[$(($name, Method::$variant)),*];

            /// The method of this name.
            #[inline]
            pub(crate) fn parse(name: &str) -> Method {
                match name {
                    $($name => Method::$variant,)*
                    _ => Method::Other,
                }
            }

            /// The labels `tool` and `operation`. For `tools/call` the known tool's name takes the
            /// first one's place.
            #[inline]
            pub(crate) const fn labels(self) -> (&'static str, &'static str) {
                match self {
                    $(Method::$variant => ($tool, $operation),)*
                    Method::Other => (OTHER, OTHER),
                }
            }
        }
    };
}

/// The label value of every name that is not known.
pub(crate) const OTHER: &str = "_other";

methods! {
    ToolsCall = "tools/call" => "_other", "execute";
    ToolsList = "tools/list" => "tools", "list";
    Initialize = "initialize" => "server", "initialize";
    Ping = "ping" => "server", "ping";
    Discover = "server/discover" => "server", "discover";
    Complete = "completion/complete" => "completion", "complete";
    SetLevel = "logging/setLevel" => "logging", "setLevel";
    PromptsGet = "prompts/get" => "prompts", "get";
    PromptsList = "prompts/list" => "prompts", "list";
    ResourcesList = "resources/list" => "resources", "list";
    ResourceTemplates = "resources/templates/list" => "resources", "templates/list";
    ResourcesRead = "resources/read" => "resources", "read";
    DirectoryRead = "resources/directory/read" => "resources", "directory/read";
    ResourcesSubscribe = "resources/subscribe" => "resources", "subscribe";
    ResourcesUnsubscribe = "resources/unsubscribe" => "resources", "unsubscribe";
    Listen = "subscriptions/listen" => "subscriptions", "listen";
    TasksGet = "tasks/get" => "tasks", "get";
    TasksList = "tasks/list" => "tasks", "list";
    TasksResult = "tasks/result" => "tasks", "result";
    TasksUpdate = "tasks/update" => "tasks", "update";
    TasksCancel = "tasks/cancel" => "tasks", "cancel";
    SkillsList = "skills/list" => "skills", "list";
    SkillsGet = "skills/get" => "skills", "get";
}

impl Method {
    /// Whether its duration says anything. `subscriptions/listen` stays open for as long as the
    /// client likes: its hours would be every percentile of the histogram.
    #[inline]
    pub(crate) const fn timed(self) -> bool {
        !matches!(self, Method::Listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_parts_around_the_first_slash() {
        for &(name, method) in Method::NAMES {
            assert_eq!(Method::parse(name), method);
            let expected = match (name, name.split_once('/')) {
                ("tools/call", _) => (OTHER, "execute"),
                (_, Some(parts)) => parts,
                (_, None) => ("server", name),
            };
            assert_eq!(method.labels(), expected);
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_other() {
        for name in ["", "/", "tools", "tools/", "tools/call ", "Tools/call", "x/y\n", "_other"] {
            assert_eq!(Method::parse(name), Method::Other, "{name:?}");
            assert_eq!(Method::Other.labels(), (OTHER, OTHER));
        }
    }
}
