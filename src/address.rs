//! Addresses of servers as people may see them: the password never shows. No connecting here.

/// `url` without its password: `mysql://app:***@host/db`.
///
/// Works on the text, so that an address that no parser accepts is hidden as well: everything
/// between the first `:` after `//` and the last `@` before the path is replaced. Query values of
/// keys that sound like secrets are replaced too.
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(end) => url.split_at(end + "://".len()),
        None => ("", url),
    };
    let (address, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
    if query.is_some_and(|query| query.contains('@')) {
        // A password with a `?`, or a query with a bare `@`: no telling what is secret.
        return format!("{scheme}***");
    }
    let end_of_authority = address.rfind('@').map_or(0, |at| at + 1);
    let (credentials, place) = address.split_at(end_of_authority);
    let user = credentials.trim_end_matches('@').split(':').next().unwrap_or_default();
    let hidden = if credentials.contains(':') { ":***" } else { "" };
    let at = if credentials.is_empty() { "" } else { "@" };
    let query = query.map_or(String::new(), |query| format!("?{}", redacted_query(query)));
    format!("{scheme}{user}{hidden}{at}{place}{query}")
}

fn redacted_query(query: &str) -> String {
    let secret = |key: &str| {
        let key = key.to_ascii_lowercase();
        ["pass", "secret", "token", "key", "auth"].iter().any(|word| key.contains(word))
    };
    let hide = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if secret(key) => format!("{key}=***"),
        _ => pair.to_owned(),
    };
    query.split('&').map(hide).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    //! Known answers, odd shapes included.

    use super::redacted;

    #[test]
    fn passwords_do_not_show() {
        for (url, shown) in [
            ("mysql://app:s3cret@db:3306/shop", "mysql://app:***@db:3306/shop"),
            ("mysql://app:p@ss:w@rd@db/shop", "mysql://app:***@db/shop"),
            ("redis://:s3cret@127.0.0.1:6379/1", "redis://:***@127.0.0.1:6379/1"),
            (
                "postgres://app@db/shop?password=s3cret&a=b",
                "postgres://app@db/shop?password=***&a=b",
            ),
            ("sqlite://cplock.db", "sqlite://cplock.db"),
            ("mysql://app:a/b@db/shop", "mysql://app:***@db/shop"),
            ("app:s3cret@db/shop", "app:***@db/shop"),
            ("mysql:/app:s3cret@db/shop", "mysql:***@db/shop"),
            ("mysql://app:a?b@db/shop", "mysql://***"),
            ("postgres://db/shop?password=a@b", "postgres://***"),
            ("not an address", "not an address"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
