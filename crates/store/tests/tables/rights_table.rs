//! The rights as `deploy/postgres/README.md` has them and as the database has them.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use std::collections::BTreeSet;

use sqlx::PgPool;

use super::rights::ROLES;

const README: &str = include_str!("../../../../deploy/postgres/README.md");
/// Role, object, privilege, column; `*` stands for the whole object.
pub(crate) type Right = (String, String, String, String);

/// The table of the README.
pub(crate) fn written() -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    let rows = README
        .lines()
        .skip_while(|line| !line.starts_with("| object |"))
        .take_while(|line| line.starts_with('|'));
    for row in rows.skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 1 + ROLES.len(), "{row}");
        for (cell, role) in cells[1..].iter().zip(ROLES) {
            for (privilege, columns) in privileges(cell) {
                for object in cells[0].split('`').map(str::trim).filter(|o| !o.is_empty()) {
                    for column in &columns {
                        rights.insert((
                            role.to_owned(),
                            object.to_owned(),
                            privilege.clone(),
                            column.clone(),
                        ));
                    }
                }
            }
        }
    }
    rights
}

/// `SELECT, UPDATE (a, b)` as pairs of a privilege and its columns.
fn privileges(cell: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find(|c: char| c.is_ascii_uppercase()) {
        rest = &rest[start..];
        let end = rest
            .find(|c: char| !c.is_ascii_uppercase())
            .unwrap_or(rest.len());
        let privilege = rest[..end].to_owned();
        rest = rest[end..].trim_start();
        let mut columns = vec!["*".to_owned()];
        if let Some(inner) = rest.strip_prefix('(') {
            let (list, after) = inner.split_once(')').unwrap();
            columns = list.split(',').map(|c| c.trim().to_owned()).collect();
            rest = after;
        }
        found.push((privilege, columns));
    }
    found
}

/// Everything that is granted to anybody but the owner, `PUBLIC` included.
pub(crate) async fn granted(pool: &PgPool) -> BTreeSet<Right> {
    let rows: Vec<Right> = sqlx::query_as(
        "WITH ours AS (
             SELECT c.oid, c.relname, c.relacl, c.relowner, c.relkind FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> '_sqlx_migrations'
         ), acl AS (
             SELECT relname AS object, '*' AS part, relowner AS owner, a.*
             FROM ours, aclexplode(coalesce(relacl, acldefault(
                 CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))) a
             WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
             UNION ALL
             SELECT relname, attname, relowner, a.*
             FROM ours JOIN pg_attribute ON attrelid = oid, aclexplode(attacl) a
             UNION ALL
             SELECT proname, '*', proowner, a.*
             FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
             WHERE pronamespace = 'public'::regnamespace
         )
         SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END::text,
                object::text, privilege_type, part::text
         FROM acl WHERE grantee <> owner",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}
