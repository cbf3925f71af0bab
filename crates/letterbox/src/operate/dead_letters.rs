//! `letterbox dead-letters list` and `seen`.

use anyhow::Context;
use domain::Clock;
use service_runtime::SystemClock;

use super::{block_on, installation};
use crate::cli::DeadLettersCommand;
use crate::failure::SettingsError;
use crate::up::print_line;

/// Runs the command.
pub(crate) fn run(command: DeadLettersCommand) -> anyhow::Result<()> {
    match command {
        DeadLettersCommand::List { target } => {
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let letters = open
                    .database
                    .dead_letters()
                    .list()
                    .await
                    .context("the dead letters cannot be read")?;
                if letters.is_empty() {
                    print_line("No dead letter waits for anybody to look at it.");
                }
                for letter in letters {
                    print_line(&format!(
                        "{:>6}  {}  {:<5} {} bytes, seq {} of spool {}: {}",
                        letter.number,
                        letter
                            .died_at
                            .to_date_time()
                            .map_or_else(String::new, |moment| moment.to_string()),
                        if letter.stop { "stop" } else { "other" },
                        letter.bytes,
                        letter.seq,
                        letter.spool_id,
                        letter.reason
                    ));
                    if letter.stop {
                        print_line(&format!(
                            "        It may be an unsubscribe, so no bulk mail goes out. Once you know whose it was: letterbox dead-letters seen {}",
                            letter.number
                        ));
                    }
                }
                Ok(())
            })
        }
        DeadLettersCommand::Seen { number, target } => {
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let found = open
                    .database
                    .dead_letters()
                    .seen(number, SystemClock.now())
                    .await
                    .context("the dead letter was not marked")?;
                if !found {
                    return Err(SettingsError::new(format!(
                        "there is no dead letter {number} that nobody has seen: `letterbox dead-letters list` shows them"
                    ))
                    .into());
                }
                print_line(&format!(
                    "Dead letter {number} is seen: it holds nothing back any more."
                ));
                Ok(())
            })
        }
    }
}
