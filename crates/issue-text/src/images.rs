//! Where an issue's images come from: an image on somebody else's host tells that host who opens the
//! mail, and when (`privacy.md` S29).

use comrak::Arena;
use comrak::nodes::NodeValue;

use crate::{Code, IssueText, Problem, document};

/// A problem for each image that is neither on one of these hosts nor on a host below one; sorted by
/// line. `own_hosts` are those of the body: the one of its pages, the domain it sends from.
#[must_use]
pub fn foreign_images(issue: &IssueText, own_hosts: &[&str]) -> Vec<Problem> {
    let arena = Arena::new();
    let mut problems: Vec<Problem> = document::read(&arena, &issue.markdown)
        .descendants()
        .filter_map(|node| {
            let data = node.data();
            let NodeValue::Image(image) = &data.value else {
                return None;
            };
            let url = ammonia::Url::parse(&image.url).ok()?;
            let host = url.host_str()?;
            if own_hosts.iter().any(|own| is_at_or_below(host, own)) {
                return None;
            }
            Some(Problem {
                line: data.sourcepos.start.line + issue.first_line - 1,
                code: Code::ForeignImage,
                message: format!(
                    "This image is on {host}, which would learn who opens the mail. Put the image on one of your own hosts ({}), or link to a page that shows it.",
                    own_hosts.join(", ")
                ),
            })
        })
        .collect();
    problems.sort();
    problems
}

fn is_at_or_below(host: &str, own: &str) -> bool {
    host.eq_ignore_ascii_case(own)
        || host.len().checked_sub(own.len() + 1).is_some_and(|at| {
            host.as_bytes()[at] == b'.' && host[at + 1..].eq_ignore_ascii_case(own)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_other_hosts_are_named() {
        let issue = IssueText::new(
            "s".into(),
            String::new(),
            "![a](https://img.council.example/a.png)\n\n![b](https://Council.example/b.png)\n\n![c](https://evilcouncil.example/c.png)\n\n[![d](https://t.example/p.gif)](https://council.example)".into(),
        );
        let found: Vec<(usize, Code)> = foreign_images(&issue, &["council.example"])
            .into_iter()
            .map(|problem| (problem.line, problem.code))
            .collect();
        assert_eq!(found, [(5, Code::ForeignImage), (7, Code::ForeignImage)]);
    }
}
