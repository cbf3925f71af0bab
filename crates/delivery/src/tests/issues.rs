//! Issues of the house: approved, fanned out, watched.

use std::time::Duration;

use domain::{Clock, IssueNumber, Language};
use store::{
    FanOutStep, FrozenText, InDoubtPolicy, IssueContent, IssueProgress, IssueState, NewIssue,
};

use super::house::House;

impl House {
    pub(super) async fn approve(&self, policy: InDoubtPolicy) -> IssueNumber {
        self.approve_as(policy, None).await
    }

    pub(super) async fn approve_frozen(
        &self,
        policy: InDoubtPolicy,
        frozen: FrozenText,
    ) -> IssueNumber {
        self.approve_as(policy, Some(frozen)).await
    }

    async fn approve_as(&self, policy: InDoubtPolicy, frozen: Option<FrozenText>) -> IssueNumber {
        let now = self.clock.now();
        let issue = NewIssue {
            newsletter: self.news.slug.clone(),
            contents: vec![IssueContent {
                language: Language::En,
                subject: "What is new".into(),
                preheader: String::new(),
                markdown: "Hello.\n\nThe library opens on Monday.".into(),
                frozen,
            }],
            content_sha256: [9; 32],
            message_date: now,
            deadline: now.plus(Duration::from_hours(36)),
            in_doubt_policy: policy,
        };
        self.database.issues().approve(&issue, now).await.unwrap()
    }

    /// Approves an issue and writes down its audience, as the planner would.
    pub(super) async fn fan_out(&self, policy: InDoubtPolicy) -> IssueNumber {
        let issue = self.approve(policy).await;
        let fan_out = self.database.fan_out();
        while fan_out.step(self.clock.now()).await.unwrap() != FanOutStep::Idle {}
        issue
    }

    pub(super) async fn progress(&self, issue: IssueNumber) -> IssueProgress {
        let progress = self.database.issues().progress(issue).await.unwrap();
        let progress = progress.unwrap();
        assert!(progress.counts.balances(), "{:?}", progress.counts);
        progress
    }

    /// Waits until the issue is finished; its equation balances at every look.
    pub(super) async fn finished(&self, issue: IssueNumber) -> IssueProgress {
        self.until("the issue is finished", async || {
            self.progress(issue).await.state == IssueState::Finished
        })
        .await;
        self.progress(issue).await
    }
}
