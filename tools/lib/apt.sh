# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Installing Debian packages: what is missing, as whom, and plain words when it fails. Which
# packages is told by packages.sh. Needs common.sh.

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die "needs root for: $* (run this as root, or install sudo)"
    fi
}

# Reads package names, prints those that are not installed.
missing_packages() {
    local names
    mapfile -t names
    comm -23 <(printf '%s\n' "${names[@]}" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${names[@]}" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u)
}

# apt_run WHAT ARGUMENT...: apt-get as root, quietly but not silently; its last lines on failure.
apt_run() {
    local what=$1 log apt status=0 shown=0
    shift
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
        -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 &
    apt=$!
    while kill -0 "$apt" 2>/dev/null; do
        sleep 0.2
        shown=$((shown + 1))
        if [ $((shown % 75)) = 0 ]; then
            echo "  ... $(tail -n 1 "$log" | cut -c1-90)"
        fi
    done
    wait "$apt" || status=$?
    if [ "$status" != 0 ]; then
        echo "apt-get $*: exit code $status" >&2
        grep -E '^[EW]:' "$log" | tail -n 6 >&2 || tail -n 6 "$log" >&2
        rm -f "$log"
        note "could not $what (apt's words above)"
        return 1
    fi
    rm -f "$log"
}

# Once per run. Failing is no reason to stop: the lists at hand may do.
lists_refreshed=''
refresh_lists() {
    [ -z "$lists_refreshed" ] || return 0
    lists_refreshed=yes
    apt_run "refresh the package lists" update ||
        note "going on with the package lists of this machine"
}

apt_install() {
    local package unknown=()
    for package in "$@"; do
        apt-cache show "${package%%=*}" >/dev/null 2>&1 || unknown+=("$package")
    done
    [ ${#unknown[@]} -eq 0 ] ||
        die "no configured package source has: ${unknown[*]}; check /etc/apt/sources.list.d and the network, then run tools/setup again"
    apt_run "install: $*" install --no-install-recommends "$@" ||
        die "installing failed; mend what apt says (often: no network, another apt running, or a full disk), then run tools/setup again"
}

# installed_is_at_least PACKAGE VERSION
installed_is_at_least() {
    local version
    version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 1
    [[ $version == installed\ * ]] && dpkg --compare-versions "${version#installed }" ge "$2"
}

# Installed packages that were built of one source package: they are upgraded together.
installed_of_source() { # SOURCE
    dpkg-query -W -f '${db:Status-Status} ${source:Package} ${Package}\n' |
        awk -v source="$1" '$1 == "installed" && $2 == source { print $3 }'
}

# The newest version on offer.
offered_version() { # PACKAGE
    apt-cache madison "$1" | awk '{ print $3 }' | sed -n 1p
}

offered_is_at_least() { # PACKAGE VERSION
    local version
    version=$(offered_version "$1")
    [ -n "$version" ] && dpkg --compare-versions "$version" ge "$2"
}

# apt_install_newest VERSION PACKAGE...: the newest of each, from wherever; of the first, at least
# VERSION. Fails when no source has it, or when apt would have to remove other packages for it.
apt_install_newest() {
    local least=$1 package exact=()
    shift
    if ! offered_is_at_least "$1" "$least"; then
        offer_backports "$1 >= ${least#*:}"
        offered_is_at_least "$1" "$least" || return 1
    fi
    while read -r package; do
        exact+=("$package=$(offered_version "$package")")
    done < <(printf '%s\n' "$@" | sort -u)
    apt_run "install: ${exact[*]}" install --no-install-recommends --no-remove "${exact[@]}"
}

# Adds the release's backports suite, from the mirror this machine uses already. apt takes nothing
# from it unless asked by version.
offer_backports() { # WHAT_FOR
    local suite mirror file=/etc/apt/sources.list.d/exo-backports.sources
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}-backports")
    if [ "$suite" != bookworm-backports ] || [ -e "$file" ]; then
        return 0
    fi
    # shellcheck disable=SC2016  # apt expands these
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 2>/dev/null |
        sed -n 's/^bookworm //p' | sed -n 1p)
    echo "Adding $suite in $file: Debian 12 itself has no $1"
    printf '%s\n' "Types: deb" "URIs: ${mirror:-http://deb.debian.org/debian/}" "Suites: $suite" \
        "Components: main" "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" |
        as_root tee "$file" >/dev/null
    lists_refreshed=''
    refresh_lists
}
