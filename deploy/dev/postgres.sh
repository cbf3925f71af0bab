# PostgreSQL for deploy/dev/services, which sources this file.
# shellcheck shell=bash

# The folder of the newest PostgreSQL that is at least 15, if any.
postgres_programs() {
    local candidate version
    for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t / -k 5 -n -r) \
        "$(dirname "$(readlink -f "$(command -v postgres || echo /nowhere/postgres)")")"; do
        [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ] && [ -x "$candidate/psql" ] || continue
        version=$("$candidate/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
        if [ "$version" -ge 15 ]; then echo "$candidate"; return 0; fi
    done
    return 1
}

install_postgres() {
    command -v apt-get >/dev/null || die "PostgreSQL 15 or newer is missing, and this is not Debian: install it and try again"
    say "PostgreSQL is missing: installing Debian's, without its own server"
    as_root mkdir -p /etc/postgresql-common
    if ! grep -qs '^create_main_cluster *= *false' /etc/postgresql-common/createcluster.conf; then
        echo 'create_main_cluster = false' | as_root tee -a /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    apt_install postgresql
}

postgres_port() { cat "$folder/postgres.port" 2>/dev/null; }
postgres_pid() { head -n 1 "$folder/postgres/postmaster.pid" 2>/dev/null; }

# Ours and alive: the pid file names a process that was started for our folder.
postgres_runs() {
    local pid
    pid=$(postgres_pid) && [ -n "$pid" ] && grep -qsaF "$folder/postgres" "/proc/$pid/cmdline"
}

postgres_start() {
    as_server "$1/pg_ctl" -D "$folder/postgres" -l "$folder/postgres/server.log" -w -t 60 -s \
        -o "-p $2 -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" \
        start
}

postgres_up() {
    local programs port
    if ! programs=$(postgres_programs); then
        install_postgres
        programs=$(postgres_programs) || die "PostgreSQL was installed, yet its programs are not in /usr/lib/postgresql"
        find_folder    # the package brought the user postgres
    fi
    if postgres_runs; then
        say "PostgreSQL runs on port $(postgres_port)"
    else
        if [ ! -f "$folder/postgres/PG_VERSION" ]; then
            # Made beside its place and moved: an interrupted initdb leaves nothing half-made.
            rm -rf "$folder/postgres" "$folder/postgres.new" "$folder/migrations.sha256"
            mkdir -m 700 "$folder/postgres.new"
            if is_root; then chown "$(server_user)" "$folder/postgres.new"; fi
            as_server "$programs/initdb" -D "$folder/postgres.new" -U postgres -A trust -E UTF8 --no-sync >/dev/null
            mv "$folder/postgres.new" "$folder/postgres"
        fi
        port=$(free_port 25410 "${LETTERBOX_DEV_PG_PORT:-}")
        echo "$port" >"$folder/postgres.port"
        # Twice: a server that was killed a moment ago holds its folder for a little longer.
        postgres_start "$programs" "$port" || { sleep 2; postgres_start "$programs" "$port"; } \
            || { tail -n 20 "$folder/postgres/server.log" >&2; die "PostgreSQL did not start"; }
        say "PostgreSQL started on port $port, in $folder/postgres"
    fi
    postgres_database "$programs"
}

# The database letterbox_dev as the roles and the migrations make it, for the checked SQL macros. Made
# anew when one of them changed.
postgres_database() {
    local psql made sources
    psql=(env PGOPTIONS="-c client_min_messages=warning" "$1/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(postgres_port)" -U postgres)
    sources=("$root"/deploy/postgres/roles.sql "$root"/migrations/*.sql)
    [ -f "${sources[0]}" ] || sources=("${sources[@]:1}")
    made=$(cat "${sources[@]}" | sha256sum | cut -d ' ' -f 1)
    if [ "$made" != "$(cat "$folder/migrations.sha256" 2>/dev/null)" ]; then
        "${psql[@]}" -d postgres -c 'DROP DATABASE IF EXISTS letterbox_dev WITH (FORCE)' -c 'CREATE DATABASE letterbox_dev'
        cat "${sources[@]}" | "${psql[@]}" -d letterbox_dev >/dev/null
        echo "$made" >"$folder/migrations.sha256"
        say "made the database letterbox_dev from migrations/"
    fi
}

postgres_down() {
    local pid
    if postgres_runs; then
        pid=$(postgres_pid)
        # A fast shutdown: it closes connections instead of waiting for them.
        end_process "$pid" INT PostgreSQL
        say "PostgreSQL stopped"
    fi
}

postgres_env() {
    postgres_runs || die "PostgreSQL does not run: deploy/dev/services up"
    echo "export DATABASE_URL=postgres://postgres@127.0.0.1:$(postgres_port)/letterbox_dev"
}
