//! Reading the keys of a config that decide whom a node talks to. No error quotes a value of theirs.

use std::path::{Path, PathBuf};

use skyring_codec::native::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX, SecretError, Secrets};
use zeroize::Zeroizing;

use super::error::{ConfigError, ConfigErrorKind, quoted};
use super::evaluate::{Entries, Value};
use super::keys::{Keys, texts};
use super::known::{
    ADMIN_TOKEN, ADMIN_TOKEN_FILE, ALLOW, ALLOW_DEFAULT, SECRET, SECRET_FILE, SKYNET_PEERS, TLS,
};
use super::network::Network;
use super::security::{SKYNET_NETWORKS_MAX, Security};
use crate::secret_file::{self, Readers};
use crate::tls::{Tls, TlsFiles};

/// The largest file that is read as a secret, in bytes: two secrets, each on a line.
const SECRET_FILE_BYTES_MAX: u64 = (SECRETS_MAX * (SECRET_BYTES_MAX + 2)) as u64;

/// How to make a secret, for errors.
const ADVICE: &str = "make one with: openssl rand -hex 32";

/// Takes the secrets out of a config's entries, so that nothing else sees them.
pub(super) fn take(path: &Path, entries: &mut Entries) -> Result<Option<Secrets>, ConfigError> {
    let value = entries.remove(SECRET);
    let file = Keys { path, entries }.path(SECRET_FILE)?;
    let (secrets, key) = match (value, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let hint = "cluster_secret and cluster_secret_file are both set; which is meant? Remove one";
            return Err(ConfigError::of_key(
                path,
                SECRET,
                ConfigErrorKind::Unsupported(hint),
            ));
        }
        (Some(value), None) => (of_value(path, value)?, SECRET),
        (None, Some(file)) => (of_file(path, SECRET_FILE, &found(path, file))?, SECRET_FILE),
    };
    let count = secrets.len();
    Secrets::new(secrets).map(Some).map_err(|error| {
        let text = match error {
            SecretError::Length { bytes: 0 } => format!("the secret is empty; {ADVICE}"),
            SecretError::Length { bytes } if bytes < SECRET_BYTES_MIN => {
                format!("a secret of {bytes} bytes is too short, {SECRET_BYTES_MIN} is the least; {ADVICE}")
            }
            SecretError::Length { bytes } => {
                format!("a secret of {bytes} bytes is too long, {SECRET_BYTES_MAX} is the most")
            }
            SecretError::Count { .. } => {
                format!("{count} secrets: there is one, or two while they are exchanged")
            }
            SecretError::Same => "both secrets are the same".to_owned(),
        };
        ConfigError::of_key(path, key, ConfigErrorKind::Security(text))
    })
}

/// Takes the token of the admin address out of a config's entries.
pub(super) fn take_admin_token(
    path: &Path,
    entries: &mut Entries,
) -> Result<Option<Zeroizing<Vec<u8>>>, ConfigError> {
    let refused = |key, text: &str| {
        let kind = ConfigErrorKind::Security(text.to_owned());
        Err(ConfigError::of_key(path, key, kind))
    };
    let value = entries.remove(ADMIN_TOKEN);
    let file = Keys { path, entries }.path(ADMIN_TOKEN_FILE)?;
    match (value, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => refused(
            ADMIN_TOKEN,
            "admin_token and admin_token_file are both set; which is meant? Remove one",
        ),
        (Some(Value::Text(text)), None) => Ok(Some(Zeroizing::new(text.into_bytes()))),
        (Some(Value::Number { text, .. }), None) => {
            drop(Zeroizing::new(text));
            refused(ADMIN_TOKEN, "expected a text in quotes, found a number")
        }
        (Some(_), None) => refused(ADMIN_TOKEN, "expected a text in quotes"),
        (None, Some(file)) => {
            let mut lines = of_file(path, ADMIN_TOKEN_FILE, &found(path, file))?;
            match (lines.pop(), lines.is_empty()) {
                (Some(token), true) => Ok(Some(token)),
                _ => refused(ADMIN_TOKEN_FILE, "a file with one token has one line"),
            }
        }
    }
}

/// The secrets of the key itself: a text, or a table of two.
fn of_value(path: &Path, value: Value) -> Result<Vec<Zeroizing<Vec<u8>>>, ConfigError> {
    let wrong = |found: &str| {
        let expected = "a text in quotes, or a table of two";
        ConfigError::of_key(
            path,
            SECRET,
            ConfigErrorKind::Security(format!("expected {expected}, found {found}")),
        )
    };
    let of_text = |value: Value| match value {
        Value::Text(text) => Ok(Zeroizing::new(text.into_bytes())),
        Value::Bytes(bytes) => Ok(Zeroizing::new(bytes)),
        Value::Boolean(_) => Err(wrong("true or false")),
        Value::Number { text, .. } => {
            drop(Zeroizing::new(text));
            Err(wrong("a number"))
        }
        Value::Table(_) | Value::List(_) | Value::Mixed { .. } => Err(wrong("a table")),
        Value::Other(name) => Err(wrong(name)),
    };
    match value {
        Value::List(values) => values.into_iter().map(of_text).collect(),
        Value::Table(_) => Err(wrong("a table with names")),
        value => Ok(vec![of_text(value)?]),
    }
}

/// The path of a file that a config names: in the working directory, else beside the config.
fn found(config: &Path, named: PathBuf) -> PathBuf {
    let beside = config.parent().unwrap_or(Path::new("")).join(&named);
    match named.exists() || !beside.exists() {
        true => named,
        false => beside,
    }
}

/// The secrets of a file: each is a line.
fn of_file(path: &Path, key: &str, file: &Path) -> Result<Vec<Zeroizing<Vec<u8>>>, ConfigError> {
    let fail = |text: String| {
        let text = format!("{}: {text}", file.display());
        ConfigError::of_key(path, key, ConfigErrorKind::Security(text))
    };
    let bytes = secret_file::read(file, SECRET_FILE_BYTES_MAX, Readers::Owner).map_err(fail)?;
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let secrets: Vec<_> = lines
        .filter(|line| !line.is_empty())
        .map(|line| Zeroizing::new(line.to_vec()))
        .collect();
    match secrets.is_empty() {
        true => Err(fail(format!("empty; {ADVICE}"))),
        false => Ok(secrets),
    }
}

/// Reads the keys that decide whom a node with these secrets talks to.
pub(super) fn read(keys: &Keys<'_>, secrets: Option<Secrets>) -> Result<Option<Security>, ConfigError> {
    let networks = keys.texts(SKYNET_PEERS, "{ \"10.1.0.0/16\" }, the networks of Skynet nodes")?;
    let tls = read_tls(keys)?;
    if secrets.is_none() && tls.is_none() {
        let mut needing = [ALLOW, ALLOW_DEFAULT].into_iter();
        let needing = needing.find(|key| keys.entries.contains_key(*key));
        return match needing.or(networks.is_some().then_some(SKYNET_PEERS)) {
            None => Ok(None),
            Some(key) => Err(needs_secret(keys.path, key)),
        };
    }
    let mut security = secrets.map_or_else(Security::default, Security::with);
    if let Some(tls) = tls {
        security = security.with_tls(tls);
    }
    let networks = networks.unwrap_or_default();
    if networks.len() > SKYNET_NETWORKS_MAX {
        let text = format!("{} networks, {SKYNET_NETWORKS_MAX} are the most", networks.len());
        return Err(ConfigError::of_key(
            keys.path,
            SKYNET_PEERS,
            ConfigErrorKind::Security(text),
        ));
    }
    for network in networks {
        let parsed: Network = network
            .parse()
            .map_err(|expected: super::network::NetworkExpected| {
                let found = Value::Text(network.clone());
                ConfigError::wrong_value(keys.path, SKYNET_PEERS, expected.to_string(), &found)
            })?;
        security = security.allow_skynet_peers(parsed);
    }
    read_permissions(keys, &mut security)?;
    Ok(Some(security))
}

/// Reads the files of the node's certificate.
fn read_tls(keys: &Keys<'_>) -> Result<Option<Tls>, ConfigError> {
    const EXPECTED: &str = "{ certificate = \"FILE\", key = \"FILE\", ca = \"FILE\" }";
    let entries = match keys.entries.get(TLS) {
        None => return Ok(None),
        Some(Value::Table(entries)) => entries,
        Some(found) => return Err(ConfigError::wrong_value(keys.path, TLS, EXPECTED, found)),
    };
    let file = |name: &str| match entries.get(name) {
        Some(Value::Text(text)) if !text.is_empty() => Ok(found(keys.path, PathBuf::from(text))),
        Some(found) => {
            let key = format!("{TLS}.{name}");
            Err(ConfigError::wrong_value(
                keys.path,
                &key,
                "the path of a file in PEM",
                found,
            ))
        }
        None => {
            let text = format!("has no {name}; expected {EXPECTED}");
            Err(ConfigError::of_key(
                keys.path,
                TLS,
                ConfigErrorKind::Security(text),
            ))
        }
    };
    let known = ["certificate", "key", "ca"];
    if let Some(unknown) = entries.keys().find(|key| !known.contains(&key.as_str())) {
        let text = format!("is not known; expected {EXPECTED}");
        let key = format!("{TLS}.{unknown}");
        return Err(ConfigError::of_key(
            keys.path,
            &key,
            ConfigErrorKind::Security(text),
        ));
    }
    let files = TlsFiles {
        certificate: file("certificate")?,
        key: file("key")?,
        ca: file("ca")?,
    };
    let tls = Tls::load(files).map_err(|error| {
        let text = format!("{}: {}", error.file.display(), error.text);
        let key = format!("{TLS}.{}", error.setting);
        ConfigError::of_key(keys.path, &key, ConfigErrorKind::Security(text))
    })?;
    if let Some(name) = keys.text("open")?
        && !tls.names().contains(&name)
    {
        let text = format!(
            "{}: is for {}, and not for {}, the name of this node",
            tls.files().certificate.display(),
            tls.names().join(", "),
            quoted(&name)
        );
        let key = format!("{TLS}.certificate");
        return Err(ConfigError::of_key(
            keys.path,
            &key,
            ConfigErrorKind::Security(text),
        ));
    }
    Ok(Some(tls))
}

/// Reads who may call which service.
fn read_permissions(keys: &Keys<'_>, security: &mut Security) -> Result<(), ConfigError> {
    const EXPECTED: &str = "{ SERVICE = { \"NODE\", \"PATTERN*\" } }";
    const DEFAULT_EXPECTED: &str = "\"deny\", or a list of callers such as { \"*\" }";
    let refused = |key: &str, expected: String| {
        let text = format!("expected {expected}");
        ConfigError::of_key(keys.path, key, ConfigErrorKind::Security(text))
    };
    match keys.entries.get(ALLOW) {
        None => {}
        Some(Value::Table(rules)) => {
            for (service, callers) in rules {
                let key = format!("{ALLOW}.{service}");
                let callers = texts(callers)
                    .map_err(|found| ConfigError::wrong_value(keys.path, &key, EXPECTED, found))?;
                let added = security.permissions.add(service, &callers);
                added.map_err(|expected| refused(&key, expected))?;
            }
        }
        Some(found) => return Err(ConfigError::wrong_value(keys.path, ALLOW, EXPECTED, found)),
    }
    let wrong = |found: &Value| ConfigError::wrong_value(keys.path, ALLOW_DEFAULT, DEFAULT_EXPECTED, found);
    let default = match keys.entries.get(ALLOW_DEFAULT) {
        None => return Ok(()),
        Some(Value::Text(text)) if text == "deny" => Vec::new(),
        Some(found @ Value::Text(_)) => return Err(wrong(found)),
        Some(found) => texts(found).map_err(|_| wrong(found))?,
    };
    let set = security.permissions.set_default(&default);
    set.map_err(|expected| refused(ALLOW_DEFAULT, expected))
}

/// The error of a key that has no effect, because nobody proves anything.
fn needs_secret(path: &Path, key: &str) -> ConfigError {
    let hint = "has no effect without cluster_secret or tls: nobody proves who it is. Set one of them, or remove this key";
    ConfigError::of_key(path, key, ConfigErrorKind::Unsupported(hint))
}
