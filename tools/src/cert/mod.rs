//! `skyring cert`: makes a CA, and certificates of nodes that it signs, for a test cluster.

mod files;
mod issue;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use self::files::{check_free, read_key, write_certificate, write_key};
use self::issue::{Authority, Issued};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};

const EXAMPLES: &str = "\
Examples:
  skyring cert ca                      ca.pem for every node, and ca.key, which makes certificates
  skyring cert node db                 db.pem and db.key, for the node db
  skyring cert node gate gate_beijing  one certificate for a node with two names

In the config of the node: tls = { certificate = \"./db.pem\", key = \"./db.key\", ca = \"./ca.pem\" }
Keys are readable by their owner only. Nothing is overwritten without --force.";

/// Days for which certificates of nodes are valid unless the command line says otherwise.
const NODE_DAYS: u32 = 365;

/// The same for a CA.
const CA_DAYS: u32 = 3_650;

/// The longest validity that can be asked for, in days.
const DAYS_MAX: i64 = 36_500;

/// The arguments of `skyring cert`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a CA: ca.pem and ca.key
    Ca {
        #[command(flatten)]
        place: Place,
        /// For how many days it is valid
        #[arg(long, default_value_t = CA_DAYS, value_parser = clap::value_parser!(u32).range(0..=DAYS_MAX))]
        days: u32,
    },
    /// Make a certificate of a node, signed by the CA of the folder: NAME.pem and NAME.key
    Node {
        /// The node's name in the cluster map, and further names that it has
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        place: Place,
        /// For how many days it is valid
        #[arg(long, default_value_t = NODE_DAYS, value_parser = clap::value_parser!(u32).range(0..=DAYS_MAX))]
        days: u32,
    },
}

/// Where the files are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The folder of the files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

/// Makes the files, and prints what they are for.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let made = match arguments.action {
        Action::Ca { place, days } => make_ca(&place, days),
        Action::Node { names, place, days } => make_node(&place, &names, days),
    };
    match made {
        Ok(text) => match ignore_broken_pipe(io::stdout().write_all(text.as_bytes())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(EXIT_FAILURE, format!("cannot write: {error}")),
        },
        Err(cause) => fail(EXIT_USAGE, cause),
    }
}

impl Place {
    /// A file of the folder; of the working directory without a folder in front.
    fn file(&self, name: &str) -> PathBuf {
        match self.folder.as_os_str() == "." {
            true => PathBuf::from(name),
            false => self.folder.join(name),
        }
    }
}

fn make_ca(place: &Place, days: u32) -> Result<String, String> {
    let (certificate, key) = (place.file("ca.pem"), place.file("ca.key"));
    check_free(&[&certificate, &key], place.force)?;
    let Issued { pem, key_pem } = Authority::make(days)?;
    write_key(&key, &key_pem, place.force)?;
    write_certificate(&certificate, &pem)?;
    Ok(format!(
        "{}: the certificate of the CA, for every node\n{}: its key, which makes certificates; no node needs it\n",
        certificate.display(),
        key.display()
    ))
}

fn make_node(place: &Place, names: &[String], days: u32) -> Result<String, String> {
    let name = names.first().map(String::as_str).unwrap_or_default();
    for name in names {
        check_name(name)?;
    }
    let file = |end: &str| place.file(&format!("{name}.{end}"));
    let (certificate, key) = (file("pem"), file("key"));
    if name == "ca" {
        return Err(
            "the files of a node named ca would be those of the CA: give it another --folder".to_owned(),
        );
    }
    check_free(&[&certificate, &key], place.force)?;
    let ca_key = place.file("ca.key");
    let authority = Authority::of_key(&read_key(&ca_key)?)
        .map_err(|error| format!("{}: no key of a CA: {error}", ca_key.display()))?;
    let Issued { pem, key_pem } = authority.issue(names, days)?;
    write_key(&key, &key_pem, place.force)?;
    write_certificate(&certificate, &pem)?;
    let names = names.join(", ");
    Ok(format!(
        "{}: the certificate of {names}, valid for {days} days\n{}: its key, for this node only\n",
        certificate.display(),
        key.display()
    ))
}

/// The longest part of a name between dots.
const LABEL_BYTES_MAX: usize = 63;

/// Checks that a certificate can be for this name, and a file too.
fn check_name(name: &str) -> Result<(), String> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    match name.len() <= 253 && name.split('.').all(is_label) && !is_number {
        true => Ok(()),
        false => Err(format!(
            "\"{}\" cannot be the name of a certificate: letters, digits, '-', '_' and '.', not only digits at its end, \
             and at most {LABEL_BYTES_MAX} characters between two dots",
            name.escape_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_certificate_or_file_can_have_is_refused() {
        for name in ["db", "gate_beijing", "db-1.eu", "DB", "1db", "a.b1"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(64);
        for name in [
            "",
            "..",
            "a..b",
            "a/b",
            "../a",
            "数据库",
            "a b",
            "-a",
            "a-",
            "127.0.0.1",
            "1",
            &long,
            "*.x",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
