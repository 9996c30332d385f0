//! The rules of a line under random moves: one holder, nobody forgotten, first come first served.

use std::collections::BTreeMap;
use std::time::Duration;

use cplock::lock::line::{Holder, Line, Moment};
use proptest::prelude::*;
use tokio::time::Instant;

const LEASE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Move {
    Join(u8),
    Leave(u8),
    /// By the present holder, or with a token that is not its own.
    PassOn {
        stale: bool,
    },
    /// The process of this one is gone: waking it fails from now on.
    Die(u8),
    Wait(u8),
    Advance,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Move::Join),
        1 => (0..12_u8).prop_map(Move::Leave),
        3 => any::<bool>().prop_map(|stale| Move::PassOn { stale }),
        1 => (0..12_u8).prop_map(Move::Die),
        1 => (0..12_u8).prop_map(Move::Wait),
        1 => Just(Move::Advance),
    ]
}

proptest! {
    #[test]
    fn one_holder_nobody_forgotten_first_come_first_served(
        moves in prop::collection::vec(any_move(), 1..200),
    ) {
        let mut line = Line::new(LEASE);
        let start = Instant::now();
        let mut now = Moment { instant: start, unix_us: 1_000_000 };
        // Who asked, with the ticket it was told, and neither entered nor left since.
        let mut asked: BTreeMap<u64, String> = BTreeMap::new();
        let mut dead: Vec<String> = Vec::new();
        let mut last_token = 0;
        for a_move in moves {
            let before = line.holder().cloned();
            let mut woken: Vec<Holder> = Vec::new();
            let mut wake = |holder: &Holder| {
                woken.push(holder.clone());
                !dead.contains(&holder.request)
            };
            let mut joined = None;
            match a_move {
                Move::Join(who) => {
                    let who = format!("r{who}");
                    let ticket = line.join(&who, now, &mut wake);
                    let again = asked.iter().find(|(_, request)| **request == who);
                    if let Some((&told, _)) = again {
                        prop_assert_eq!(told, ticket, "one question, one ticket");
                    }
                    asked.insert(ticket, who.clone());
                    joined = Some(who);
                }
                Move::Leave(who) => {
                    let who = format!("r{who}");
                    line.leave(&who, now, &mut wake);
                    asked.retain(|_, request| *request != who);
                }
                Move::PassOn { stale } => if let Some(holder) = &before {
                    let token = holder.token - u64::from(stale);
                    let held = line.pass_on(&holder.request, token, now, &mut wake);
                    prop_assert_eq!(held, !stale && holder.until > now.instant);
                },
                Move::Die(who) => dead.push(format!("r{who}")),
                Move::Wait(seconds) => now.instant += Duration::from_secs(seconds.into()),
                Move::Advance => line.advance(now, &mut wake),
            }
            // The dead who were tried and found absent no longer wait.
            for absent in woken.iter().filter(|holder| dead.contains(&holder.request)) {
                asked.remove(&absent.ticket);
            }
            if let Some(holder) = line.holder() {
                let entered = before.as_ref().is_none_or(|before| before.token != holder.token);
                if entered {
                    prop_assert!(holder.token > last_token, "tokens grow");
                    last_token = holder.token;
                    let first = asked.keys().next();
                    prop_assert_eq!(first, Some(&holder.ticket), "the head enters");
                    let by_answer = joined.as_ref() == Some(&holder.request);
                    let told = woken.iter().filter(|woke| woke.token == holder.token).count();
                    prop_assert_eq!(told, usize::from(!by_answer), "told exactly once");
                }
                asked.remove(&holder.ticket);
            }
            let waiting: Vec<u64> = line.waiting().map(|(ticket, _)| ticket).collect();
            prop_assert_eq!(&waiting, &asked.keys().copied().collect::<Vec<_>>());
            let advances = match a_move {
                Move::Die(_) | Move::Wait(_) => false,
                Move::PassOn { .. } => before.is_some(),
                Move::Join(_) | Move::Leave(_) | Move::Advance => true,
            };
            if advances && !waiting.is_empty() {
                let held = line.holder().is_some_and(|holder| holder.until > now.instant);
                prop_assert!(held, "somebody waits and nobody is inside");
            }
        }
    }
}
