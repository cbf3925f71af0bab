# The separate roles for `deploy/dev/services roles`, which sources this file: two of each web role, three
# senders that catch their mail, and nginx in front, on the servers of the other files here.
# shellcheck shell=bash

roles_instances="intake-1 intake-2 unsubscribe-1 unsubscribe-2 deliver-1 deliver-2 deliver-3"
roles_users="owner intake unsubscribe deliver operator"

# --- the pieces ----------------------------------------------------------------------

# The user of the roles and of nginx: ourselves; as root the system user that Letterbox uses then.
roles_user() { if is_root; then echo letterbox; else id -un; fi; }

roles_folder() { echo "$folder/roles"; }

# The port of PIECE, the same as last time where that is free.
roles_port() { cat "$(roles_folder)/ports/$1"; }
roles_choose_port() {
    local file before
    file="$(roles_folder)/ports/$1"
    before=$(cat "$file" 2>/dev/null || true)
    if [ -n "$before" ] && port_is_free "$before"; then return; fi
    # Not one that another of the pieces was given and does not use yet.
    before=$2
    while grep -qsx "$before" "$(roles_folder)"/ports/* || ! port_is_free "$before"; do before=$((before + 1)); done
    echo "$before" >"$file"
}

roles_pid() { cat "$(roles_folder)/pids/$1" 2>/dev/null; }

# Ours and alive: the process names a folder of ours.
roles_runs() {
    local pid
    pid=$(roles_pid "$1") && [ -n "$pid" ] && grep -qsaF "$(roles_folder)/$1" "/proc/$pid/cmdline"
}

# roles_start PIECE COMMAND…: as root the roles drop root's rights by themselves.
roles_start() {
    local piece=$1
    shift
    # shellcheck disable=SC2016
    setsid sh -c 'echo $$ >"$1"; shift; cd /; exec "$@"' sh "$(roles_folder)/pids/$piece" "$@" \
        </dev/null >>"$(roles_folder)/logs/$piece.log" 2>&1 &
    for _ in $(seq 50); do
        if roles_runs "$piece"; then return; fi
        sleep 0.1
    done
}

# --- what they need ------------------------------------------------------------------

roles_binary() {
    if [ -n "${LETTERBOX_BINARY:-}" ]; then
        [ -x "$LETTERBOX_BINARY" ] || die "LETTERBOX_BINARY=$LETTERBOX_BINARY is no program"
        letterbox=$(readlink -f "$LETTERBOX_BINARY")
        return
    fi
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || die "Rust is missing: deploy/up installs it and builds, or name a built program in LETTERBOX_BINARY"
    say "building (cargo build --release)"
    (cd "$root" && SQLX_OFFLINE=true cargo build --release --locked -q -p letterbox) >&2 || die "the build failed: see above"
    letterbox="${CARGO_TARGET_DIR:-$root/target}/release/letterbox"
}

roles_nginx() { PATH="/usr/sbin:$PATH" command -v nginx; }

roles_install_nginx() {
    if roles_nginx >/dev/null; then return; fi
    command -v apt-get >/dev/null || die "nginx is missing, and this is not Debian: install it and try again"
    say "nginx is missing: installing Debian's, without its own server"
    without_its_service nginx apt_install nginx-light
}

roles_password() { cat "$(roles_folder)/passwords/$1"; }

roles_folders() {
    local place user
    place=$(roles_folder)
    if is_root && ! id letterbox >/dev/null 2>&1; then
        useradd --system --no-create-home --home-dir /var/lib/letterbox --shell /usr/sbin/nologin --user-group letterbox
    fi
    mkdir -p "$place" "$place/ports" "$place/pids" "$place/logs" "$place/passwords" "$place/nginx"
    chmod 711 "$place"
    chmod 700 "$place/passwords" "$place/logs"
    for user in $roles_users; do
        [ -s "$place/passwords/$user" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$place/passwords/$user")
    done
    if is_root; then as_user letterbox test -x "$place" || die "the user letterbox cannot reach $place: set LETTERBOX_DEV_DIR to a folder that it can, such as one in /tmp"; fi
    # One folder for the mails of all three workers: any of them shows all.
    mkdir -p -m 700 "$place/caught-mail"
    if is_root; then chown letterbox: "$place/caught-mail" "$place/nginx"; fi
}

# The database letterbox_roles and a login user for each role, as deploy/README.md tells it.
roles_database() {
    local psql user
    psql=("$(postgres_programs)/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(postgres_port)" -U postgres)
    {
        cat "$root/deploy/postgres/roles.sql"
        for user in $roles_users; do
            echo "DO \$\$ BEGIN CREATE ROLE roles_$user LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;"
            echo "ALTER ROLE roles_$user PASSWORD '$(roles_password "$user")';"
            [ "$user" = owner ] || echo "GRANT letterbox_$user TO roles_$user;"
        done
    } | PGOPTIONS='-c client_min_messages=warning' "${psql[@]}" -d postgres
    if [ -z "$("${psql[@]}" -At -d postgres -c "SELECT 1 FROM pg_database WHERE datname = 'letterbox_roles'")" ]; then
        "${psql[@]}" -d postgres -c 'CREATE DATABASE letterbox_roles OWNER roles_owner'
    fi
}

roles_database_url() { echo "postgres://roles_$1@127.0.0.1:$(postgres_port)/letterbox_roles"; }

# A vhost, and a user for each role that may do what the role does.
roles_broker() {
    local place=$folder/rabbitmq user rights users=
    for user in intake unsubscribe deliver; do
        users+="${users:+, }{\"name\": \"roles_$user\", \"password\": \"$(roles_password "$user")\", \"tags\": []}"
    done
    rights='"vhost": "letterbox", "configure": "^$", "write": "^letterbox\\.work$", "read": "^$"'
    (
        umask 077
        echo "{\"vhosts\": [{\"name\": \"letterbox\"}], \"users\": [$users], \"permissions\": [
            {\"user\": \"roles_intake\", $rights}, {\"user\": \"roles_unsubscribe\", $rights},
            {\"user\": \"roles_deliver\", \"vhost\": \"letterbox\", \"configure\": \"^letterbox\\\\.\", \"write\": \"^letterbox\\\\.\", \"read\": \"^letterbox\\\\.\"},
            {\"user\": \"guest\", \"vhost\": \"letterbox\", \"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"}]}" >"$place/roles.json"
    )
    if is_root; then chown "$(rabbitmq_user):" "$place/roles.json"; fi
    rabbitmq_rabbitmqctl -q import_definitions "$place/roles.json" || die "RabbitMQ did not take the users of the roles: see above"
}

# --- the roles ------------------------------------------------------------------------

roles_run_one() {
    local instance=$1 role=${1%-*} place options
    place=$(roles_folder)
    if roles_runs "$instance"; then return; fi
    roles_choose_port "$instance-admin" 25470
    options=("$letterbox" "$role" --keys "$place/keys/$role" --data "$place/$instance"
        --admin-listen "127.0.0.1:$(roles_port "$instance-admin")"
        --database "$(roles_database_url "$role")" --database-password-file "$place/passwords/$role"
        --broker "amqp://roles_$role@127.0.0.1:$(rabbitmq_port)/letterbox" --broker-password-file "$place/passwords/$role")
    case $role in
    intake | unsubscribe)
        roles_choose_port "$instance" 25450
        options+=(--listen "127.0.0.1:$(roles_port "$instance")" --stop-notice 0)
        ;;
    deliver) options+=(--caught-mail "$place/caught-mail") ;;
    esac
    case $role in intake | deliver) options+=(--base-url "http://127.0.0.1:$(roles_port nginx)") ;; esac
    roles_start "$instance" "${options[@]}"
}

# Until /readyz says so.
roles_wait_for() {
    local instance=$1 answer=
    for _ in $(seq 300); do
        roles_runs "$instance" || break
        answer=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$(roles_port "$instance-admin")/readyz" || true)
        if [ "$answer" = 200 ]; then return; fi
        sleep 0.1
    done
    tail -n 20 "$(roles_folder)/logs/$instance.log" >&2
    die "$instance is not ready: the lines above say why"
}

roles_run_nginx() {
    local place role instance
    place=$(roles_folder)/nginx
    if roles_runs nginx; then return; fi
    cp "$root/deploy/nginx/letterbox-routes.conf" "$place/routes.conf"
    {
        echo "daemon off; pid $place/nginx.pid; error_log $place/error.log; worker_processes 1;"
        echo "events { worker_connections 1024; }"
        echo "http {"
        echo "    default_type application/octet-stream;"
        for role in client_body proxy fastcgi uwsgi scgi; do echo "    ${role}_temp_path $place/$role;"; done
        for role in intake unsubscribe; do
            echo "    upstream letterbox_$role {"
            for instance in "$role-1" "$role-2"; do
                echo "        server 127.0.0.1:$(roles_port "$instance") max_fails=1 fail_timeout=2s;"
            done
            echo "        keepalive 32;"
            echo "    }"
        done
        echo "    server {"
        echo "        listen 127.0.0.1:$(roles_port nginx);"
        echo "        include $place/routes.conf;"
        echo "    }"
        echo "}"
    } >"$place/nginx.conf"
    : >>"$(roles_folder)/logs/nginx.log"
    if is_root; then
        chmod 644 "$place"/*.conf
        roles_start nginx setpriv --reuid letterbox --regid letterbox --clear-groups "$(roles_nginx)" -e "$place/error.log" -c "$place/nginx.conf"
    else
        roles_start nginx "$(roles_nginx)" -e "$place/error.log" -c "$place/nginx.conf"
    fi
    for _ in $(seq 50); do
        if ! port_is_free "$(roles_port nginx)"; then return; fi
        sleep 0.1
    done
    cat "$(roles_folder)/logs/nginx.log" "$place/error.log" >&2
    die "nginx did not start: the lines above say why"
}

# The body and the newsletter of the examples, so that there is something to sign up for.
roles_catalogue() {
    local place operator
    place=$(roles_folder)
    operator=(--database "$(roles_database_url operator)" --database-password-file "$place/passwords/operator")
    if [ -d "$place/examples" ]; then return; fi
    "$letterbox" examples "$place/examples.new" >/dev/null
    "$letterbox" body set "$place/examples.new/body.toml" "${operator[@]}" >&2
    "$letterbox" newsletter add "$place/examples.new/newsletter.toml" "${operator[@]}" >&2
    chmod -R a+rX "$place/examples.new"
    mv "$place/examples.new" "$place/examples"
}

roles_up() {
    local place instance
    place=$(roles_folder)
    command -v curl >/dev/null || apt_install curl
    roles_binary
    roles_install_nginx
    roles_folders
    roles_database
    roles_broker
    if [ ! -d "$place/keys/deliver" ]; then "$letterbox" keys new "$place/keys" >/dev/null; fi
    "$letterbox" migrate --keys "$place/keys/deliver" \
        --database "$(roles_database_url owner)" --database-password-file "$place/passwords/owner" >&2 ||
        die "the database was not brought up to date: see above"
    roles_catalogue
    if ! roles_runs nginx; then roles_choose_port nginx 25440; fi
    for instance in $roles_instances; do roles_run_one "$instance"; done
    for instance in $roles_instances; do roles_wait_for "$instance"; done
    roles_run_nginx
    roles_show
}

roles_show() {
    local place instance role site
    place=$(roles_folder)
    site=http://127.0.0.1:$(roles_port nginx)
    printf '%-15s %8s  %-25s %s\n' process pid listens/admin 'data and log'
    for instance in $roles_instances nginx; do
        role=$(cat "$place/ports/$instance" 2>/dev/null || echo -)/$(cat "$place/ports/$instance-admin" 2>/dev/null || echo -)
        printf '%-15s %8s  127.0.0.1:%-15s %s\n' "$instance" "$(roles_pid "$instance")" "$role" "$place/$instance $place/logs/$instance.log"
    done
    cat <<SHOWN

the site        $site/newsletters
caught mail     http://127.0.0.1:$(roles_port deliver-1-admin)/caught-mail
an issue        $letterbox issue send $place/examples/first-issue.md \\
                    --welsh $place/examples/first-issue.cy.md --newsletter council-news --base-url $site \\
                    --database $(roles_database_url operator) --database-password-file $place/passwords/operator
rabbitmqctl     deploy/dev/services rabbitmqctl -p letterbox list_queues name messages
again, after a kill: deploy/dev/services roles        the end: deploy/dev/services down
SHOWN
}

roles_down() {
    local instance stopped=
    for instance in nginx $roles_instances; do
        if roles_runs "$instance"; then
            kill -TERM "$(roles_pid "$instance")" 2>/dev/null || true
            stopped+=" $instance"
        fi
    done
    for instance in $stopped; do end_process "$(roles_pid "$instance")" TERM "$instance"; done
    if [ -n "$stopped" ]; then say "stopped$stopped"; fi
}
