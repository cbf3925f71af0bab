# RabbitMQ for deploy/dev/services, which sources this file.
# shellcheck shell=bash

# The programs behind Debian's wrappers: those insist on the user rabbitmq and on its folders.
rabbitmq_programs=${LETTERBOX_TEST_RABBITMQ:-/usr/lib/rabbitmq/bin}

# The vhosts test-1 … test-16 are there for tests that want a broker to themselves. The user `test-web` may
# do there what deploy/README.md lets a web role do: publish, and nothing else.
rabbitmq_vhosts=16

install_rabbitmq() {
    [ -z "${LETTERBOX_TEST_RABBITMQ:-}" ] || die "no rabbitmq-server in LETTERBOX_TEST_RABBITMQ=$LETTERBOX_TEST_RABBITMQ"
    command -v apt-get >/dev/null || die "RabbitMQ 3.10 or newer is missing, and this is not Debian: install it, and name the folder of rabbitmq-server in LETTERBOX_TEST_RABBITMQ"
    say "RabbitMQ is missing: installing Debian's, without its own server"
    without_its_service rabbitmq-server apt_install rabbitmq-server
}

# The user that the node runs as: ourselves, but never root.
rabbitmq_user() {
    if ! is_root; then id -un
    elif id rabbitmq >/dev/null 2>&1; then echo rabbitmq
    else echo nobody
    fi
}

# With everything that a node of ours and its tools must know; nothing of /etc/rabbitmq.
become_rabbitmq() {
    local home=$folder/rabbitmq
    become "$(rabbitmq_user)" env HOME="$home" \
        RABBITMQ_CONF_ENV_FILE="$home/none" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$home/none" RABBITMQ_ENABLED_PLUGINS_FILE="$home/plugins" \
        RABBITMQ_NODENAME=letterbox-dev@localhost RABBITMQ_MNESIA_BASE="$home" RABBITMQ_MNESIA_DIR="$home/data" \
        RABBITMQ_LOG_BASE="$home" RABBITMQ_LOGS="$home/node.log" RABBITMQ_PID_FILE="$home/node.pid" \
        RABBITMQ_DIST_PORT="$(cat "$folder/rabbitmq.dist")" \
        ERL_EPMD_PORT="$(cat "$folder/rabbitmq.epmd")" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}" \
        RUNNING_UNDER_SYSTEMD=true \
        "$@"
}
as_rabbitmq() { (become_rabbitmq "$@"); }

# The name server of the same Erlang.
epmd_program() { if [ -x "$rabbitmq_programs/epmd" ]; then echo "$rabbitmq_programs/epmd"; else command -v epmd; fi; }

rabbitmq_port() { cat "$folder/rabbitmq.port" 2>/dev/null; }
rabbitmq_pid() { cat "$folder/rabbitmq/node.pid" 2>/dev/null; }
epmd_pid() { cat "$folder/rabbitmq/epmd.pid" 2>/dev/null; }

# Ours and alive: the pid file names a process that was started for our folder.
rabbitmq_runs() {
    local pid
    pid=$(rabbitmq_pid) && [ -n "$pid" ] && grep -qsaF "$folder/rabbitmq" "/proc/$pid/cmdline"
}

epmd_runs() {
    local pid
    pid=$(epmd_pid) && [ -n "$pid" ] && grep -qsaF epmd "/proc/$pid/cmdline" &&
        grep -qsazx "HOME=$folder/rabbitmq" "/proc/$pid/environ"
}

# Settings, vhosts and rights: all of it files, so that nothing needs rabbitmqctl (two seconds a call).
rabbitmq_write() {
    local home=$folder/rabbitmq number users vhosts='' permissions=''
    cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$(rabbitmq_port)
# The default watermark is 40 % of the machine, which cargo wants too.
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 200MB
raft.wal_max_size_bytes = 64000000
load_definitions = $home/definitions.json
log.file.level = info
CONF
    for number in / $(seq -f 'test-%.0f' "$rabbitmq_vhosts"); do
        vhosts+="${vhosts:+, }{\"name\": \"$number\"}"
        permissions+="${permissions:+, }{\"user\": \"guest\", \"vhost\": \"$number\", \"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"}"
        permissions+=", {\"user\": \"test-web\", \"vhost\": \"$number\", \"configure\": \"^$\", \"write\": \"^letterbox[.](work|delay)$\", \"read\": \"^$\"}"
    done
    users='{"name": "guest", "password": "guest", "tags": ["administrator"]}, {"name": "test-web", "password": "test-web", "tags": []}'
    echo "{\"users\": [$users], \"vhosts\": [$vhosts], \"permissions\": [$permissions]}" >"$home/definitions.json"
    echo '[].' >"$home/plugins"
    [ -f "$home/.erlang.cookie" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$home/.erlang.cookie")
    chmod 400 "$home/.erlang.cookie"
    if is_root; then chown -R "$(rabbitmq_user):" "$home"; fi
}

rabbitmq_up() {
    local home=$folder/rabbitmq node waited
    [ -x "$rabbitmq_programs/rabbitmq-server" ] || install_rabbitmq
    if rabbitmq_runs; then
        say "RabbitMQ runs on port $(rabbitmq_port)"
        return
    fi
    mkdir -p -m 700 "$home"
    if epmd_runs; then end_process "$(epmd_pid)" TERM epmd; fi
    free_port 25430 "${LETTERBOX_DEV_AMQP_PORT:-}" >"$folder/rabbitmq.port"
    free_port $(($(rabbitmq_port) + 1)) >"$folder/rabbitmq.dist"
    free_port $(($(cat "$folder/rabbitmq.dist") + 1)) >"$folder/rabbitmq.epmd"
    rabbitmq_write
    rm -f "$home/node.log" "$home/node.pid" "$home/epmd.pid"
    # A name server of our own, so that `down` knows what to end. setsid: Ctrl-C is not meant for them.
    # shellcheck disable=SC2016
    become_rabbitmq setsid sh -c 'echo $$ >"$HOME/epmd.pid"; exec "$@"' sh \
        "$(epmd_program)" -address 127.0.0.1 -port "$(cat "$folder/rabbitmq.epmd")" </dev/null >/dev/null 2>&1 &
    for waited in $(seq 100); do
        if ! port_is_free "$(cat "$folder/rabbitmq.epmd")"; then break; fi
        sleep 0.1
    done
    become_rabbitmq setsid "$rabbitmq_programs/rabbitmq-server" </dev/null >"$home/start.log" 2>&1 &
    node=$!
    for waited in $(seq 600); do
        # By what it prints as well: its log leaves lines out where many come at once.
        if grep -qs 'Server startup complete' "$home/node.log" ||
            grep -qs 'Starting broker\.\.\. completed' "$home/start.log"; then
            say "RabbitMQ started on port $(rabbitmq_port), in $home"
            return
        fi
        kill -0 "$node" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$home/start.log" "$home/node.log" >&2
    die "RabbitMQ did not start within $((waited / 10)) s: the lines above say why"
}

rabbitmq_down() {
    if rabbitmq_runs; then
        end_process "$(rabbitmq_pid)" TERM RabbitMQ
        say "RabbitMQ stopped"
    fi
    if epmd_runs; then end_process "$(epmd_pid)" TERM epmd; fi
}

# rabbitmqctl for this node: its name, cookie and ports are not the usual ones.
rabbitmq_rabbitmqctl() {
    rabbitmq_runs || die "RabbitMQ does not run: deploy/dev/services up"
    as_rabbitmq "$rabbitmq_programs/rabbitmqctl" "$@"
}

rabbitmq_env() {
    rabbitmq_runs || die "RabbitMQ does not run: deploy/dev/services up"
    echo "export LETTERBOX_TEST_BROKER=amqp://guest:guest@127.0.0.1:$(rabbitmq_port)"
}
