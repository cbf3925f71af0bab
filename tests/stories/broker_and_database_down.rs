//! RabbitMQ stopped, killed, its data deleted; PostgreSQL stopped; both: a client outside counts what is
//! answered 2xx, and in the end all of it is applied, in whatever order it came (`DESIGN.md` idea 4).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{
    BrokerNode, DEADLINE, Roles, RolesPlan, Vhost, addresses, all_join, all_sign_up, confirm_all,
    confirm_link, confirm_links, count, leave, leave_by_page, undo, unsubscribe_link, wait_for,
    wait_until,
};

use crate::settled::{an_issue_reaches, nothing_waits};

/// What happens while people come and go.
#[derive(Debug, Clone, Copy)]
enum Outage {
    /// The broker is stopped.
    BrokerStopped,
    /// The broker is killed.
    BrokerKilled,
    /// All workers are killed; the broker takes everything, and then is killed and loses its disk.
    BrokerWiped,
    /// PostgreSQL is stopped.
    DatabaseStopped,
    /// Both are down.
    Both,
    /// PostgreSQL is stopped; the broker takes everything, and then is killed and loses its disk.
    DatabaseStoppedAndBrokerWiped,
}

impl Outage {
    fn begin(self, roles: &mut Roles, node: &BrokerNode) -> Result<()> {
        match self {
            Self::BrokerStopped => node.stop()?,
            Self::BrokerKilled => node.kill()?,
            Self::BrokerWiped => {
                for worker in &mut roles.delivers {
                    worker.kill()?;
                }
            }
            Self::DatabaseStopped | Self::DatabaseStoppedAndBrokerWiped => roles.postgres.stop()?,
            Self::Both => {
                roles.postgres.kill()?;
                node.stop()?;
            }
        }
        Ok(())
    }

    fn end(self, roles: &mut Roles, node: &BrokerNode) -> Result<()> {
        let wipe = |roles: &Roles| {
            for queue in ["letterbox.stops.v1", "letterbox.requests.v1"] {
                wait_until("the broker to have everything", DEADLINE, || {
                    Ok(roles.vhost()?.depth(queue)? >= 2)
                })?;
            }
            node.kill()?;
            node.wipe()
        };
        match self {
            Self::BrokerStopped | Self::BrokerKilled => node.resume(),
            Self::BrokerWiped => {
                wipe(roles)?;
                node.resume()?;
                roles.start_all()
            }
            Self::DatabaseStopped => roles.postgres.resume(),
            Self::Both => {
                node.resume()?;
                roles.postgres.resume()
            }
            Self::DatabaseStoppedAndBrokerWiped => {
                wipe(roles)?;
                roles.postgres.resume()?;
                node.resume()
            }
        }
    }
}

/// Residents of one outage, by what they do during it.
struct Residents {
    /// Leave.
    leavers: Vec<String>,
    /// Leave and come back by undo.
    returners: Vec<String>,
    /// Leave, and press the button of their old confirmation, which has no effect any more.
    late: Vec<String>,
    /// Leave and sign up anew; the new confirmation comes after the outage.
    again: Vec<String>,
    /// Signed up before; confirm during it.
    confirmers: Vec<String>,
    /// Sign up during it; confirm after it.
    newcomers: Vec<String>,
}

impl Residents {
    fn of(outage: Outage, number: usize) -> Self {
        let named = |what: &str| addresses(&format!("{outage:?}.{what}.").to_lowercase(), number);
        Self {
            leavers: named("leaver"),
            returners: named("returner"),
            late: named("late"),
            again: named("again"),
            confirmers: named("confirmer"),
            newcomers: named("newcomer"),
        }
    }

    /// Those who have a subscription before it.
    fn before(&self) -> Vec<String> {
        [&self.leavers, &self.returners, &self.late, &self.again]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Those who have one after it.
    fn after(&self) -> Vec<String> {
        [
            &self.returners,
            &self.again,
            &self.confirmers,
            &self.newcomers,
        ]
        .into_iter()
        .flatten()
        .cloned()
        .collect()
    }
}

/// The unsubscribe link of an issue that each of these got.
fn links(roles: &Roles, subject: &str, emails: &[String]) -> Result<Vec<String>> {
    let mails = roles.mailbox().all()?;
    emails
        .iter()
        .map(|email| {
            let mut mails = mails.iter();
            let mail = mails.find(|mail| mail.to == *email && mail.subject == subject);
            unsubscribe_link(mail.with_context(|| format!("no {subject} for {email}"))?)
        })
        .collect()
}

/// The confirm link of each one's second sign-up. Whoever was told “you already get this”, because
/// the sign-up overtook the unsubscribe on its way, signs up once more.
fn second_confirm_links(roles: &Roles, emails: &[String]) -> Result<Vec<String>> {
    let links_of = |email: &String| -> Result<Vec<String>> {
        let mails = roles.mailbox().to(email)?;
        Ok(mails
            .iter()
            .filter_map(|mail| confirm_link(mail).ok())
            .collect())
    };
    let mut found = Vec::new();
    for email in emails {
        if links_of(email)?.len() < 2 {
            all_sign_up(roles, std::slice::from_ref(email))?;
        }
        let second = wait_for("a second confirmation", DEADLINE, || {
            Ok(links_of(email)?.get(1).cloned())
        });
        found.push(second.with_context(|| email.clone())?);
    }
    Ok(found)
}

#[test]
fn everything_answered_is_applied_whatever_was_away() -> Result<()> {
    let node = BrokerNode::start()?;
    let mut roles = Roles::start(RolesPlan {
        intakes: 2,
        unsubscribes: 2,
        delivers: 2,
        broker: Some(Vhost::of(&node)?),
        ..RolesPlan::default()
    })?;
    let web = roles.web();
    let outages = [
        Outage::BrokerStopped,
        Outage::DatabaseStopped,
        Outage::BrokerWiped,
        Outage::DatabaseStoppedAndBrokerWiped,
        Outage::BrokerKilled,
        Outage::Both,
    ];
    let outages = &outages[..count(4, 6)];
    let number = count(2, 20);
    let all: Vec<Residents> = outages
        .iter()
        .map(|outage| Residents::of(*outage, number))
        .collect();
    let members: Vec<String> = all.iter().flat_map(Residents::before).collect();
    let confirmers: Vec<String> = all
        .iter()
        .flat_map(|them| them.confirmers.clone())
        .collect();
    all_sign_up(&roles, &confirmers)?;
    all_join(&roles, &members)?;
    roles.wait_for_active(members.len())?;
    an_issue_reaches(&roles, "First", &members)?;

    let mut expected = members;
    let mut stops = 0;
    for (outage, them) in outages.iter().copied().zip(&all) {
        let leaving = links(&roles, "First", &them.leavers)?;
        let returning = links(&roles, "First", &them.returners)?;
        let late = links(&roles, "First", &them.late)?;
        let again = links(&roles, "First", &them.again)?;
        let old_confirmations = confirm_links(&roles, &them.late)?;
        let confirmations = confirm_links(&roles, &them.confirmers)?;

        outage.begin(&mut roles, &node)?;
        for link in leaving.iter().chain(&late).chain(&again) {
            leave(&web, link)?;
        }
        for link in &returning {
            undo(&web, &leave_by_page(&web, link)?)?;
        }
        confirm_all(&roles, &old_confirmations)?;
        confirm_all(&roles, &confirmations)?;
        all_sign_up(&roles, &them.newcomers)?;
        all_sign_up(&roles, &them.again)?;
        for role in roles.intakes.iter().chain(&roles.unsubscribes) {
            let ready = role.admin().get("/readyz")?;
            ensure!(
                ready.status == 200,
                "{outage:?}: {} {}",
                role.name,
                ready.body
            );
        }
        outage.end(&mut roles, &node)?;

        // A spool is patient for a minute with what a broker took and lost.
        wait_until("all of it to be applied", 3 * DEADLINE, || {
            Ok(confirm_links(&roles, &them.newcomers).is_ok())
        })?;
        confirm_all(&roles, &confirm_links(&roles, &them.newcomers)?)?;
        nothing_waits(&roles).with_context(|| format!("after {outage:?}"))?;
        roles.wait_for_sql("SELECT count(*) FROM mail WHERE state IN (0, 1)", "0")?;
        confirm_all(&roles, &second_confirm_links(&roles, &them.again)?)?;
        nothing_waits(&roles).with_context(|| format!("after {outage:?}"))?;
        let before = them.before();
        expected.retain(|email| !before.contains(email));
        expected.extend(them.after());
        roles
            .wait_for_active(expected.len())
            .with_context(|| format!("after {outage:?}"))?;
        stops += before.len();
        assert_eq!(
            roles.sql("SELECT count(*) FROM ledger_entry WHERE method IN (0, 1)")?,
            stops.to_string(),
            "{outage:?}: each unsubscribe is in the ledger once"
        );
        an_issue_reaches(&roles, &format!("After {outage:?}"), &expected)?;
    }
    assert_eq!(roles.sql("SELECT count(*) FROM dead_request")?, "0");
    Ok(())
}

/// Threads of this process that carry a connection to the broker.
fn connection_threads(role: &support::RoleProcess) -> Result<usize> {
    let mut names = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", role.pid()?))? {
        names.push(std::fs::read_to_string(task?.path().join("comm")).unwrap_or_default());
    }
    Ok(names
        .iter()
        .filter(|name| name.starts_with("lapin"))
        .count())
}

#[test]
fn a_broker_that_stays_away_is_gone_round_and_taken_up_again() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", 4);
    all_join(&roles, &members)?;
    roles.wait_for_active(4)?;
    an_issue_reaches(&roles, "First", &members)?;
    let leaving = links(&roles, "First", &members[..1])?;
    let threads = connection_threads(&roles.delivers[0])?;
    let routes = |route: &str| -> Result<f64> {
        let mut sum = 0.0;
        for role in [&roles.intakes[0], &roles.unsubscribes[0]] {
            sum += role.metric("letterbox_shipping_route", &format!("route=\"{route}\""))?;
        }
        Ok(sum)
    };
    assert!((routes("queue")? - 2.0).abs() < 0.1);

    node.kill()?;
    let newcomers = addresses("newcomer", 4);
    all_sign_up(&roles, &newcomers)?;
    leave(&roles.web(), &leaving[0])?;
    // After a minute both roles go round the broker by themselves: this waits for the effect.
    wait_until("the unsubscribe to be applied", 2 * DEADLINE, || {
        let stopped = "SELECT count(*) FROM subscription WHERE state = 2";
        Ok(roles.sql(stopped)? == "1")
    })?;
    confirm_all(&roles, &confirm_links(&roles, &newcomers)?)?;
    roles.wait_for_active(7)?;
    let everybody: Vec<String> = members[1..].iter().chain(&newcomers).cloned().collect();
    an_issue_reaches(&roles, "While it is away", &everybody)?;
    assert!((routes("inbox")? - 2.0).abs() < 0.1);

    // And back, with nothing of the broker's left.
    node.wipe()?;
    node.resume()?;
    wait_until("consumers to be back", Duration::from_secs(40), || {
        Ok(vhost
            .consumers("letterbox.requests.v1")
            .is_ok_and(|number| number == 1)
            && vhost
                .consumers("letterbox.confirm.v1")
                .is_ok_and(|number| number == 1))
    })?;
    wait_until("both roles to ship by it", Duration::from_secs(40), || {
        Ok((routes("queue")? - 2.0).abs() < 0.1)
    })?;
    let last = addresses("last", 2);
    all_join(&roles, &last)?;
    roles.wait_for_active(9)?;
    nothing_waits(&roles)?;
    assert_eq!(
        connection_threads(&roles.delivers[0])?,
        threads,
        "as many threads for connections as before"
    );
    Ok(())
}

#[test]
fn a_broker_that_dies_again_and_again_stops_no_issue() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let roles = Roles::start(RolesPlan {
        delivers: 2,
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", count(30, 300));
    all_join(&roles, &members)?;
    roles.wait_for_active(members.len())?;
    for time in 0..count(2, 10) {
        // In the middle of it: while it is planned, or sent.
        roles.hand_over_issue(&format!("Issue {time}"), "Tuesday.")?;
        node.kill()?;
        node.resume()?;
        wait_until("consumers to be back", Duration::from_secs(40), || {
            Ok(vhost
                .consumers("letterbox.bulk.v1")
                .is_ok_and(|number| number == 2))
        })?;
    }
    an_issue_reaches(&roles, "Last", &members)?;
    nothing_waits(&roles)?;
    for time in 0..count(2, 10) {
        let copies = crate::settled::copies(&roles, &format!("Issue {time}"))?;
        assert_eq!(copies.len(), members.len(), "issue {time}");
        assert!(copies.values().all(|number| *number == 1), "{copies:?}");
    }
    Ok(())
}
