//! The shell lines in the documentation, taken out so that they can be run as a reader would run them.

/// Takes every block of shell that calls curl out of a Markdown text, in order.
pub(super) fn curl_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, bool)> = None;
    for line in markdown.lines() {
        match (&mut open, line.trim_end()) {
            (None, fence) if fence.starts_with("```") => {
                open = Some((String::new(), matches!(fence, "```sh" | "```bash")));
            }
            (Some((text, shell)), "```") => {
                if *shell && text.contains("curl ") {
                    blocks.push(std::mem::take(text));
                }
                open = None;
            }
            (Some((text, _)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

/// Takes the curl command out of what `allod dev` prints.
pub(super) fn banner_curl(banner: &str) -> Option<String> {
    let from = banner.lines().skip_while(|line| !line.trim_start().starts_with("curl "));
    let command: Vec<&str> = from.take_while(|line| !line.trim().is_empty()).collect();
    (!command.is_empty()).then(|| command.join("\n") + "\n")
}

/// Takes the passwords out of a text: what is in quotes behind the word and a colon or an equals sign.
pub(super) fn passwords(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let named = lower.match_indices("password").filter_map(|(at, word)| text.get(at + word.len()..));
    let given = named.filter_map(|rest| {
        let rest = rest.trim_start_matches(['\\', '"', '\'']).trim_start();
        let rest = rest.strip_prefix([':', '='])?.trim_start().trim_start_matches('\\');
        let rest = rest.strip_prefix(['"', '\''])?;
        rest.split(['"', '\'', '\\', '\n']).next().map(str::to_owned)
    });
    given.filter(|password| !password.is_empty()).collect()
}

/// Takes the admin password out of what `allod dev` prints.
pub(super) fn admin_password(banner: &str) -> Option<String> {
    let line = banner.lines().find_map(|line| line.trim().strip_prefix("Admin "))?;
    line.rsplit_once("password ").map(|(_, password)| password.trim().to_owned())
}

/// Makes one script of the blocks, for the server at these addresses. A curl that is refused ends it.
pub(super) fn script(blocks: &[String], pds_url: &str, plc_url: &str) -> String {
    let body = blocks.concat().replace("http://localhost:2583", pds_url).replace("http://localhost:2582", plc_url);
    format!(
        "set -euo pipefail\ncurl() {{ command curl --silent --show-error --fail-with-body \"$@\" && echo; }}\nset -v\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_shell_blocks_with_curl_and_no_others() {
        let text = "a\n```sh\ncurl -s \\\n  x\n```\n```json\n{\"curl \": 1}\n```\n```sh\ncargo test\n```\n";
        assert_eq!(curl_blocks(text), ["curl -s \\\n  x\n"]);
    }

    #[test]
    fn reads_what_the_server_prints() {
        let banner = "Allod\n  Admin   user admin, password s3cret\n\nCreate:\n\n  curl x \\\n    -d y\n\nStop\n";
        assert_eq!(admin_password(banner).as_deref(), Some("s3cret"));
        assert_eq!(banner_curl(banner).as_deref(), Some("  curl x \\\n    -d y\n"));
        assert_eq!(admin_password("nothing"), None);
        assert_eq!(banner_curl("nothing"), None);
    }

    #[test]
    fn reads_passwords_as_they_are_written_in_scripts_and_clients() {
        let text = "-d '{\"password\": \"one horse\"}'\n-d \"{\\\"password\\\": \\\"two\\\"}\"\nPASSWORD = 'three'\n\
            login({ password: 'four', x })\nlogin({ password })\npassword, or x\n";
        assert_eq!(passwords(text), ["one horse", "two", "three", "four"]);
    }

    #[test]
    fn puts_the_servers_in() {
        let script = script(&["curl http://localhost:2583/x\n".to_owned()], "http://localhost:9", "http://localhost:8");
        assert!(script.ends_with("\ncurl http://localhost:9/x\n"), "{script}");
    }
}
