//! Keeps the cluster secret and the admin token out of the errors of a config: Lua's own messages quote what stands in the file.

use std::cell::{Cell, RefCell};

use zeroize::Zeroizing;

use super::known::{ADMIN_TOKEN, SECRET};

/// What an error says in the place of a text that may be the secret.
const CONCEALED: &str = "…";

/// What the texts of one evaluation say about the secret.
#[derive(Default)]
pub(super) struct Concealed {
    /// Some text names a key of a secret.
    is_named: Cell<bool>,
    /// Some text assigns the cluster secret.
    is_assigned: Cell<bool>,
    /// The environment variables on lines that name a secret.
    values: RefCell<Vec<Zeroizing<String>>>,
}

impl Concealed {
    /// Takes note of a text, before its variables are replaced.
    pub(super) fn note(&self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            if !line.contains(SECRET) && !line.contains(ADMIN_TOKEN) {
                continue;
            }
            self.is_named.set(true);
            let assigned = line.trim_start().strip_prefix(SECRET);
            let assigned = assigned.map(|rest| rest.trim_start_matches("_file").trim_start());
            if assigned.is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("==")) {
                self.is_assigned.set(true);
            }
            let names = line.split('$').skip(1).map(|rest| {
                let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                &rest[..end.unwrap_or(rest.len())]
            });
            let values = names
                .filter(|name| !name.is_empty())
                .filter_map(|name| std::env::var(name).ok());
            let values = values.filter(|value| !value.is_empty()).map(Zeroizing::new);
            self.values.borrow_mut().extend(values);
        }
    }

    /// Whether the secret is assigned, so that it must have a value.
    pub(super) fn is_assigned(&self) -> bool {
        self.is_assigned.get()
    }

    /// A message without what may be the secret: what it quotes, and the values of the variables.
    pub(super) fn conceal(&self, message: &str) -> String {
        if !self.is_named.get() {
            return message.to_owned();
        }
        let mut message = message.to_owned();
        for value in self.values.borrow().iter() {
            message = message.replace(value.as_str(), CONCEALED);
        }
        match (message.find('\''), message.rfind('\'')) {
            // From the first quotation mark to the last: a secret may have some itself.
            (Some(first), Some(last)) if first < last => {
                format!("{}'{CONCEALED}'{}", &message[..first], &message[last + 1..])
            }
            (Some(first), _) => format!("{}'{CONCEALED}", &message[..first]),
            (None, _) => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_concealed_where_a_file_names_the_secret_and_nowhere_else() {
        let concealed = Concealed::default();
        concealed.note(b"thread = 8");
        let message = "unfinished string near '\"abc'";
        assert_eq!(concealed.conceal(message), message);
        concealed.note(b"thread = 8\n  cluster_secret = \"abc");
        assert!(concealed.is_assigned());
        assert_eq!(concealed.conceal(message), "unfinished string near '…'");
        assert_eq!(concealed.conceal("near 'a'b'c' (x)"), "near '…' (x)");
        assert_eq!(concealed.conceal("near 'abc"), "near '…");
    }

    #[test]
    fn only_an_assignment_of_the_key_is_one() {
        for (line, is_assigned) in [
            ("cluster_secret='x'", true),
            ("\tcluster_secret_file  = 'x'", true),
            ("-- cluster_secret = 'x'", false),
            ("print(cluster_secret == nil)", false),
            ("cluster_secrets = 1", false),
        ] {
            let concealed = Concealed::default();
            concealed.note(line.as_bytes());
            assert_eq!(concealed.is_assigned(), is_assigned, "{line}");
        }
    }
}
